"""The fooling ratio where inputs and weights are perturbed: one attack on all correctly classified inputs together."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..attacks.base import WeightAttack
from ..attacks.verify import verify_weights
from ..backend import Params, to_host
from ..errors import NumericalError
from ..networks.base import Network
from .certificates import certified, check_certifiable
from .fooling import (
    AttackResult,
    Correct,
    LabelledImages,
    Row,
    check_request,
    correctly_classified,
    result_of,
    verified,
)


def fooling_weights(
    network: Network,
    params: Params,
    inputs: LabelledImages,
    attacks: Sequence[WeightAttack],
    *,
    certify: bool = False,
    progress: Callable[[int], None] = lambda done: None,
) -> list[AttackResult]:
    """Each attack's result where inputs and weights are perturbed, on the test inputs the network gets right.

    The weights found are one perturbation for all those inputs; `AttackResult.weights` has them. Inputs that were wrong
    before are not attacked and stay counted as wrong, whatever the perturbed weights make of them. All inputs are on
    the device at once, activations of a chunk of examples at a time.

    With `certify` the summary counts as `n_certified` the inputs whose label the bound of `certificates` holds within
    the same radii. Raises `UsageError`, before any work, for arguments of another kind, for layers the net does not
    have or where it has no bound, `NumericalError` where a result is not finite, is outside its budget, or a certified
    input was fooled.
    """
    check_request(network, params, inputs, attacks, WeightAttack, "InputWeight(eps=0.1)")
    for attack in attacks:
        attack.radii(params)
    if certify:
        check_certifiable(network)
    batches = list(correctly_classified(network.gradients(params), inputs))
    found = []
    for done, attack in enumerate(attacks, start=1):
        found.append(_attacked(network, params, inputs, attack, batches))
        if certify:
            sure = sum(_certified(network, params, attack, batch, found[-1]) for batch in batches)
            found[-1].summary["n_certified"] = sure
        progress(len(inputs.labels) * done // len(attacks))
    return found


def _attacked(
    network: Network, params: Params, inputs: LabelledImages, attack: WeightAttack, batches: list[Correct]
) -> AttackResult:
    rows: list[Row] = []
    moved, radii, xp = params, attack.radii(params), inputs.backend.xp
    if batches:
        x, y = (xp.concat(parts) for parts in zip(*((b.x, b.y) for b in batches), strict=True))
        x_adv, moved = attack.perturb_all(network.gradients, params, x, y, inputs.at_a_time(params))
    most = verify_weights(params, moved, radii)
    start, perturbed = 0, network.gradients(moved)
    for batch in batches:
        part = slice(start, start := start + len(batch.indices))
        rows.append(verified(batch, x_adv[part, ...], perturbed.logits(x_adv[part, ...]), attack))
    result = result_of(attack.describe(), rows, inputs)
    result.summary["weights_moved"] = most
    return replace(result, weights={name: to_host(moved[name]) for name in radii})


def _certified(network: Network, params: Params, attack: WeightAttack, batch: Correct, result: AttackResult) -> int:
    """How many inputs of a batch are certified. Raises `NumericalError` where one of them was fooled."""
    safe: Any = to_host(certified(network, params, batch.x, batch.y, attack.eps, attack.radii(params)))
    fooled = safe & np.isin(batch.indices, result.index[result.fooled])
    if fooled.any():
        raise NumericalError(f"{fooled.sum()} certified inputs were fooled by {attack}")
    return int(safe.sum())
