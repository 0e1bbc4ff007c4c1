"""Does the smallest perturbation that fools agree with the attacks of a fixed budget?"""

import numpy as np
from jaxtyping import Float

from ...attacks import FMN, DeepFool, InputAttack
from ..finding import CHECKS, Check, Finding, allowed
from ..subject import Subject

WEAK = 0.05
"""Fraction of the examples that the attacks may fool within eps, and the smallest perturbations lie beyond."""


def with_smallest(subject: Subject) -> Float[np.ndarray, "examples"]:
    """The smallest perturbation found, after attacks that look for it."""
    for attack in smallest_attacks(subject):
        subject.attacked(attack)
    return subject.smallest()


def smallest_attacks(subject: Subject) -> list[InputAttack]:
    return [DeepFool(clip=subject.clip, norm="inf"), FMN(clip=subject.clip, norm="inf")]


@CHECKS.register("smallest-perturbation")
class SmallestPerturbation(Check):
    """DeepFool and FMN against the attacks within eps: whom a smaller perturbation fools, those must fool."""

    asks = "Do the smallest perturbations found agree with the curve?"
    source = "Carlini et al. (2019), Section 5.5; DeepFool (Moosavi-Dezfooli et al. 2016), FMN (Pintor et al. 2021)"

    def find(self, subject: Subject) -> Finding:
        n, eps, clip = len(subject.y), subject.eps, subject.clip
        seen = subject.fooled_by(subject.white_box_attacks)
        found = {str(one): subject.attacked(one) for one in smallest_attacks(subject)}
        within = np.any([one.within(eps, clip) for one in found.values()], axis=0)
        overlooked, missed = int((within & ~seen).sum()), int((seen & ~within).sum())
        distances = with_smallest(subject)
        median = float(np.median(distances))
        red, amber = overlooked > allowed(n), missed > max(1, WEAK * n)
        return Finding(
            colour="red" if red else "amber" if amber else "green",
            value=f"{median:.3g}",
            number=median,
            reason=f"the median is {median:.3g}; {overlooked} examples are fooled by less than eps {eps:g} and by no"
            f" attack within it, {missed} the other way round",
            todo="the attacks within eps overlook examples: more --steps and --restarts"
            if red
            else "the smallest perturbations are not small enough: read their median as an upper bound"
            if amber
            else "",
            details={"overlooked": overlooked, "missed": missed, "attacks": _medians(found)},
        )


def _medians(found: dict) -> dict[str, float]:
    return {name: float(np.median(np.where(one.fooled, one.distance, np.inf))) for name, one in found.items()}
