"""Attacks: every one that is registered, with and without cut pixels, and their evaluation."""

from dataclasses import fields
from typing import Any

import numpy as np

from ..attacks import ATTACKS, FGSM, GNM, PGD, InputAttack, InputWeight, verify
from ..backend import Backend, Params, to_host
from ..measures import LabelledImages, fooling, fooling_weights
from ..networks import FCNN
from .check import CHECKS, NUMPY, compare, compare_signs, data, pixels, put

NETWORK = FCNN()
FEW = {"steps": 5, "queries": 20, "restarts": 2, "random_start": True}
"""Settings of an attack where it has them."""


@CHECKS.register("attacks")
def attacks(on: Backend) -> str:
    """The adversarial examples of every attack on inputs, in float64, and that each verifies them on the device."""
    named: dict[str, InputAttack] = {}
    for name, kind in ATTACKS.items():
        few: dict[str, Any] = {one.name: FEW[one.name] for one in fields(kind) if one.name in FEW}
        for clip in (None, (0.0, 1.0)):
            attack = kind(**few, clip=clip)
            if isinstance(attack, InputAttack):
                named[f"{name}{', cut' if clip else ''}"] = attack
    params = NETWORK.init(NUMPY, 1, "float64")
    found, expected = (
        {name: _perturbed(attack, params, where) for name, attack in named.items()} for where in (on, NUMPY)
    )
    return compare_signs(found, expected)


def _perturbed(attack: InputAttack, params: Params, where: Backend) -> Any:
    target, x = NETWORK.gradients(put(where, params)), where.asarray(pixels(16))
    y = where.xp.argmax(target.logits(x), axis=-1)
    perturb = attack.prepared(target, [(x, y)])
    x_adv = perturb(target, x, y, attack.starts(), None)
    verify(x, x_adv, eps=attack.eps, norm=attack.ball, clip=attack.clip)
    return x_adv


@CHECKS.register("attacks on weights")
def on_weights(on: Backend) -> str:
    """Inputs and weights perturbed together, in both modes, in float64."""
    params = NETWORK.init(NUMPY, 1, "float64")
    modes = {
        mode: InputWeight(eps=0.02, eps_weights=0.002, steps=5, mode=mode) for mode in ("simultaneous", "alternating")
    }

    def moved(attack: InputWeight, where: Backend) -> Any:
        there, x = put(where, params), where.asarray(pixels(16))
        y = where.xp.argmax(NETWORK.gradients(there).logits(x), axis=-1)
        return attack.perturb_all(NETWORK.gradients, there, x, y)

    found, expected = ({mode: moved(attack, where) for mode, attack in modes.items()} for where in (on, NUMPY))
    return compare_signs(found, expected)


@CHECKS.register("fooling ratios")
def ratios(on: Backend) -> str:
    """Which inputs are correct and which are fooled, in float64, and how far each was moved; perturbed weights, too."""
    params = NETWORK.init(NUMPY, 1, "float64")
    images = data().test.images
    labels = to_host(NETWORK.gradients(params).logits(pixels(len(images)))).argmax(axis=-1)
    labels[:8] = (labels[:8] + 1) % 10

    def counted(where: Backend) -> dict[str, np.ndarray]:
        inputs, there = LabelledImages(images, labels, where, "float64"), put(where, params)
        results = fooling(NETWORK, there, inputs, [FGSM(), PGD(steps=5), GNM(eps=1.0, norm="2")])
        results += fooling_weights(NETWORK, there, inputs, [InputWeight(eps=0.01, eps_weights=0.001)], certify=True)
        parts = "index", "adversarial_label", "distance", "zero_gradient"
        return {f"{one.attack} {part}": getattr(one, part) for one in results for part in parts}

    return compare(counted(on), counted(NUMPY), 1e-6)
