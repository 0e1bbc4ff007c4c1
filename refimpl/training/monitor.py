"""What is measured in training on request: fooling ratios and mutual information, now and then, on a fixed subset."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..attacks.base import InputAttack
from ..backend import Params
from ..measures.fooling import LabelledImages, fooling
from ..measures.per_layer import layer_information
from ..networks.base import Network

KEPT = ("attack", "eps", "n", "n_correct", "fooling_ratio", "robust_accuracy", "examples_seed")
RISE = 0.1
"""By which PGD's fooling ratio must have risen to count: six standard errors of 1,000 inputs."""


def due(epoch: int) -> bool:
    """Ten epochs a decade, evenly on a logarithmic axis: 1, 2, 3, 4, 5, 6, 8, 10, 13, 16, 20, 25, 32, 40, ..."""
    return epoch == round(10 ** (round(10 * math.log10(epoch)) / 10))


@dataclass(frozen=True)
class Monitor:
    """`inputs`, the attacks on them, and whether bounds of the mutual information are wanted; also at epoch `last`."""

    network: Network
    inputs: LabelledImages
    attacks: Sequence[InputAttack]
    mutual_information: bool
    last: int

    def __call__(self, line: dict[str, Any], params: Params) -> dict[str, Any]:
        """The log of an epoch, completed where one is due: `attacks`, and the bounds in bits in `layers`."""
        if not (due(line["epoch"]) or line["epoch"] == self.last):
            return line
        if self.attacks:
            results = fooling(self.network, params, self.inputs, self.attacks)
            line |= {"attacks": [{key: one.summary[key] for key in KEPT if key in one.summary} for one in results]}
        if self.mutual_information:
            known = layer_information(self.network, params, self.inputs.backend.asarray(self.inputs.images))
            line |= {"layers": [layer | more for layer, more in zip(line["layers"], [*known, {}], strict=True)]}
        return line


def unmonitored(line: dict[str, Any], last: int) -> dict[str, Any]:
    """The log of an epoch without what only the last epoch has, unless it is the last or one that is due."""
    if due(line["epoch"]) or line["epoch"] == last:
        return line
    layers = [
        {key: value for key, value in layer.items() if not key.startswith("mutual_information")}
        for layer in line["layers"]
    ]
    return {key: value for key, value in line.items() if key != "attacks"} | {"layers": layers}


def catastrophic_overfitting(history: Sequence[dict[str, Any]]) -> int | None:
    """The first epoch at which FGSM fools fewer, and PGD markedly more, than at some epoch before; None for none.

    The net has then learnt to defeat the single step, not the attack (Wong, Rice and Kolter 2020).
    """
    monitored = [
        (line["epoch"], *(ratio["fooling_ratio"] for ratio in line["attacks"] if ratio["attack"] in ("fgsm", "pgd")))
        for line in history
        if "attacks" in line
    ]
    whole = [numbers for numbers in monitored if None not in numbers]
    for i, (epoch, fgsm, pgd) in enumerate(whole):
        if any(fgsm < earlier[1] and pgd > earlier[2] + RISE for earlier in whole[:i]):
            return int(epoch)
    return None
