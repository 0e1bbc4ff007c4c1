"""Paired differences over seeds: interval, power and several tests at once, by Student's t."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from scipy.special import nctdtrinc, stdtr, stdtrit

LEVEL = 0.025
"""Of each one-sided test: intervals are two-sided and hold 95 %."""
POWER = 0.8


@dataclass(frozen=True)
class Paired:
    """Differences, one a seed, taken as drawn from a normal distribution; of a single one nothing but it is known."""

    differences: tuple[float, ...]

    @property
    def mean(self) -> float:
        return statistics.fmean(self.differences)

    @property
    def _standard_error(self) -> float:
        n = len(self.differences)
        if not all(map(math.isfinite, self.differences)):
            return math.nan
        return statistics.stdev(self.differences) / math.sqrt(n) if n > 1 else math.inf

    @property
    def _degrees(self) -> int:
        return len(self.differences) - 1

    def interval(self) -> tuple[float, float]:
        """Holds the mean of all seeds with 95 %."""
        if not self._degrees:
            return -math.inf, math.inf
        half = float(stdtrit(self._degrees, 1 - LEVEL)) * self._standard_error
        return self.mean - half, self.mean + half

    def smallest_effect(self) -> float:
        r"""The smallest fall that as many seeds with this spread would have shown with 80 % power.

        By the noncentral t distribution: $\delta\,s / \sqrt n$, where with noncentrality $\delta$ the interval lies
        below 0 in 80 % of cases. The spread s is that of these few seeds, and as uncertain. Infinite for a single seed.
        """
        if not self._degrees:
            return math.inf
        if self._standard_error == 0:
            return 0.0
        critical = float(stdtrit(self._degrees, 1 - LEVEL))
        return float(nctdtrinc(self._degrees, 1 - POWER, critical)) * self._standard_error

    def p_above(self, value: float) -> float:
        """The one-sided p of the hypothesis that the mean of all seeds is at most `value`."""
        error = self._standard_error
        if not math.isfinite(error) or not math.isfinite(value):
            return 1.0
        if error == 0:
            return 0.0 if self.mean > value else 1.0
        return float(stdtr(self._degrees, (value - self.mean) / error))


def holm(p: Sequence[float]) -> list[float]:
    """The p of several tests, adjusted so that one below a level makes no error among them but at that level.

    Holm 1979: the smallest of k times k, the next times k - 1, ..., none below one before it.

    >>> from refimpl.experiments.paired import holm
    >>> holm([0.04, 0.01, 0.5])
    [0.08, 0.03, 0.5]
    """
    adjusted, largest = [0.0] * len(p), 0.0
    for rank, i in enumerate(sorted(range(len(p)), key=p.__getitem__)):
        largest = max(largest, min(1.0, (len(p) - rank) * p[i]))
        adjusted[i] = largest
    return adjusted
