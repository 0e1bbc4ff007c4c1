"""All checks of a subject, one after the other."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import NumericalError
from .finding import CHECKS, Finding, not_done
from .subject import Subject

FORWARD = 0.4
"""Time of a forward pass, as a fraction of a gradient's."""

Progress = Callable[[int, str], None]
"""Told how many checks are done, and which is made next."""


@dataclass(frozen=True)
class Audit:
    """The findings by the names of the checks, and how long they took, in seconds."""

    subject: Subject
    findings: dict[str, Finding]
    seconds: float

    def of(self, colour: str) -> list[str]:
        """The checks of a colour, by name."""
        return [name for name, one in self.findings.items() if one.colour == colour]

    @property
    def red(self) -> list[str]:
        return self.of("red")

    def rows(self) -> list[dict[str, Any]]:
        """A row of plain data for each check."""
        rows = []
        for name, one in self.findings.items():
            kind = CHECKS[name]
            row = {"check": name, "asks": kind.asks, "source": kind.source, "colour": one.colour, "done": one.done}
            row |= {"value": one.value, "number": one.number, "reason": one.reason, "todo": one.todo}
            rows.append({**row, "details": dict(one.details)})
        return rows


def audit(subject: Subject, names: Sequence[str] | None = None, progress: Progress = lambda done, name: None) -> Audit:
    """The findings of the checks, all of them unless some are named.

    A check that numbers stopped, a gradient that is not finite, say, counts as not done. Raises `UsageError` for a name
    that no check has.
    """
    started, findings = time.perf_counter(), {}
    kinds = {name: CHECKS[name] for name in names or CHECKS.names()}
    for done, (name, kind) in enumerate(kinds.items()):
        progress(done, name)
        try:
            findings[name] = kind().find(subject)
        except NumericalError as error:
            findings[name] = not_done(f"the numbers failed: {error}", "mend what the checks before it found")
    progress(len(kinds), "")
    return Audit(subject, findings, time.perf_counter() - started)


def expected_seconds(subject: Subject) -> float:
    """How long an audit is going to take, by the time of one gradient at every example."""
    started = time.perf_counter()
    subject.each(lambda x, y: subject.net.loss(y)(x), subject.x, subject.y)
    return (time.perf_counter() - started) * _gradients(subject)


def _gradients(subject: Subject) -> float:
    """About how many gradients are taken at each example."""
    s, classes = subject.settings, subject.n_classes
    pgd = 20 + 2 * len(subject.surrogates) + 3 * s.restarts  # of so many times the steps
    return s.steps * (pgd + s.restarts + classes) + FORWARD * (s.queries + 2 * s.draws)
