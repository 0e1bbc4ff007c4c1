"""What is measured in training on request: fooling ratios and mutual information, now and then, on a fixed subset."""

import math
from collections.abc import Sequence
from typing import Any

from ..attacks.base import ATTACKS
from ..backend import Backend, Params
from ..data import Dataset
from ..measures.fooling import fooling
from ..measures.per_layer import information
from ..networks.gradients import Network
from ..runs.config import Config

KEPT = ("attack", "eps", "n", "n_correct", "fooling_ratio")
RISE = 0.1
"""By which PGD's fooling ratio must have risen to count: six standard errors of 1,000 inputs."""


def due(epoch: int) -> bool:
    """Ten epochs a decade, evenly on a logarithmic axis: 1, 2, 3, 4, 5, 6, 8, 10, 13, 16, 20, 25, 32, 40, ..."""
    return epoch == round(10 ** (round(10 * math.log10(epoch)) / 10))


class Watch:
    """The first `watch_examples` test inputs, and what the configuration asks to know of them, also at epoch `last`."""

    def __init__(self, network: Network, config: Config, data: Dataset, backend: Backend, last: int) -> None:
        self.last = last
        self.network, self.backend, self.dtype, self.what = network, backend, config.dtype, config.watched
        self.images, self.labels = (part[: config.watch_examples] for part in (data.test.images, data.test.labels))
        names = dict.fromkeys((*ATTACKS, *(() if config.adversarial == "none" else (config.adversarial,))))
        self.attacks = [config.make_attack(name) for name in names]

    def __call__(self, line: dict[str, Any], params: Params) -> dict[str, Any]:
        """The record of an epoch, completed where one is due: `attacks`, and the bounds in bits in `layers`."""
        if not (self.what and (due(line["epoch"]) or line["epoch"] == self.last)):
            return line
        if "fooling" in self.what:
            outcomes = fooling(
                self.network, params, self.images, self.labels, self.attacks,
                backend=self.backend, dtype=self.dtype,
            )  # fmt: skip
            line |= {"attacks": [{key: outcome.summary[key] for key in KEPT} for outcome in outcomes]}
        if "mi" in self.what:
            known = information(self.network, params, self.backend.asarray(self.images))
            line |= {"layers": [layer | more for layer, more in zip(line["layers"], [*known, {}], strict=True)]}
        return line


def catastrophic_overfitting(history: Sequence[dict[str, Any]]) -> int | None:
    """The first epoch at which FGSM fools fewer, and PGD markedly more, than at some epoch before; None for none.

    The net has then learnt to defeat the single step, not the attack (Wong, Rice and Kolter 2020).
    """
    watched = [
        (line["epoch"], *(ratio["fooling_ratio"] for ratio in line["attacks"] if ratio["attack"] in ("fgsm", "pgd")))
        for line in history
        if "attacks" in line
    ]
    whole = [numbers for numbers in watched if None not in numbers]
    for i, (epoch, fgsm, pgd) in enumerate(whole):
        if any(fgsm < earlier[1] and pgd > earlier[2] + RISE for earlier in whole[:i]):
            return int(epoch)
    return None
