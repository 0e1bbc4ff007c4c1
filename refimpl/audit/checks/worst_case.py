"""What is left when every attack has had its turn?"""

from collections import Counter

import numpy as np

from ...measures import interval
from ..finding import CHECKS, TOLERANCE, Check, Finding, percent, points
from ..subject import Subject


@CHECKS.register("worst-case")
class WorstCase(Check):
    """For each example the first attack that fooled it, of all that were carried out within the budget."""

    asks = "How many examples does no attack fool, and which found the others?"
    source = "Carlini et al. (2019), Section 5.12: the worst case example by example; fra31/auto-attack issue 45"

    def find(self, subject: Subject) -> Finding:
        usual = subject.attacked(subject.pgd())
        within = {one.name: one.within(subject.eps, subject.clip) for one in subject.attacks.values()}
        found = found_by(subject)
        fooled = np.array([name is not None for name in found])
        robust, said = subject.robust_accuracy(fooled), subject.robust_accuracy(usual.fooled)
        low, high = interval(int((~fooled).sum()), subject.n)
        first = Counter(name for name in found if name is not None)
        alone = Counter(
            name for name, one in within.items()
            for _ in range(int((one & (np.sum(list(within.values()), axis=0) == 1)).sum()))
        )  # fmt: skip
        amber = said - robust > TOLERANCE
        return Finding(
            colour="amber" if amber else "green",
            value=percent(robust),
            number=robust,
            reason=f"robust accuracy {percent(robust)} ({percent(low)} to {percent(high)}, 95 % interval) under"
            f" {len(within)} attacks; PGD alone says {percent(said)}, {points(said - robust)} more",
            todo="report the worst case, not PGD" if amber else "",
            details={
                "robust_accuracy": robust, "robust_accuracy_interval_95": [low, high], "pgd_robust_accuracy": said,
                "found_first": dict(first), "found_alone": dict(alone),
            },
        )  # fmt: skip


def found_by(subject: Subject) -> list[str | None]:
    """For each example the first attack that fooled it within the budget; None for one that none did."""
    first: list[str | None] = [None] * len(subject.y)
    for one in subject.attacks.values():
        for i in np.flatnonzero(one.within(subject.eps, subject.clip)):
            first[i] = first[i] or one.name
    return first
