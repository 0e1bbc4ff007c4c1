"""Have the attacks come to their end?"""

import numpy as np

from ..finding import CHECKS, Check, Finding, allowed, counted
from ..subject import Subject

LAST = 10
RISE = 0.05
"""Of the range of the loss along the path, how much it may still rise in the last steps."""
MANY = 0.1
"""Fraction of the examples that makes the check red, where it is most of those not fooled."""


@CHECKS.register("twice-the-steps")
class TwiceTheSteps(Check):
    """Examples that PGD with twice the steps fools, and PGD does not."""

    asks = "Has PGD enough steps?"
    source = "Carlini et al. (2019), Section 5.3: doubling the iterations must change nothing"

    def find(self, subject: Subject) -> Finding:
        once, twice = (subject.attacked(subject.pgd(steps=f * subject.settings.steps)).fooled for f in (1, 2))
        count, steps = int((twice & ~once).sum()), subject.settings.steps
        return counted(
            count, len(once),
            f"{2 * steps} steps fool {count} examples that {steps} do not",
            f"{2 * steps} steps fool {count} examples that {steps} do not: the attack is not at its end",
            "more --steps",
        )  # fmt: skip


@CHECKS.register("incomplete-optimization")
class IncompleteOptimization(Check):
    """Examples that PGD does not fool, and whose loss still rises in its last ten steps by 5 % of its range."""

    asks = "Is the loss still rising where PGD gives up?"
    source = "Indicators of Attack Failure (Pintor et al. 2022): incomplete optimization"

    def find(self, subject: Subject) -> Finding:
        path = subject.path(subject.pgd())
        loss = np.maximum.accumulate(path.loss, axis=0)
        spread = loss[-1] - loss[0]
        rise = loss[-1] - loss[max(0, len(loss) - 1 - LAST)]
        rising = ~path.fooled[-1] & (rise > RISE * np.where(spread > 0, spread, np.inf))
        count, n, left = int(rising.sum()), len(spread), int((~path.fooled[-1]).sum())
        reason = (
            f"of the {left} examples that PGD does not fool, the loss of {count} still rises in the last {LAST} steps"
        )
        red = count > max(allowed(n), MANY * n, left / 2)
        amber = count > allowed(n)
        return Finding(
            colour="red" if red else "amber" if amber else "green",
            value=f"{count} of {left}",
            number=count / n,
            reason=reason,
            todo="more --steps, or a longer --step-size" if amber else "",
        )


@CHECKS.register("silent-success")
class SilentSuccess(Check):
    """Examples that PGD fools on its way, and does not at its end."""

    asks = "Does PGD throw away what it has found?"
    source = "Indicators of Attack Failure (Pintor et al. 2022): silent success"

    def find(self, subject: Subject) -> Finding:
        silent = int(subject.path(subject.pgd()).silent.sum())
        return counted(
            silent, len(subject.y),
            f"PGD leaves {silent} examples unfooled that it had fooled on its way",
            f"PGD fools {silent} examples on its way that are not fooled at its end",
            "keep the best point of the path, as APGD does, or take a smaller step",
        )  # fmt: skip
