"""Try to refute a statement on many examples: the outcome, with the smallest counterexample found."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.configuration import set_hypothesis_home_dir
from hypothesis.errors import Unsatisfiable

from ...backend import Backend
from ...errors import NumericalError
from .statement import CORRECTED, HOLDS, NOT_REFUTED, REFUTED, Claim, Example, Refuted, Statement


@dataclass(frozen=True)
class Verdict:
    """Outcome of one statement: `HOLDS`, `REFUTED`, `CORRECTED` or `NOT_REFUTED`.

    `REFUTED` means that a claim we expect to hold, a correction included, has a counterexample. `NOT_REFUTED` means
    that for a claim we expect to fail none was found, so that more examples are needed. `counterexample` is the
    example as it was drawn, `measured` the numbers that show it; both are None where nothing was refuted.
    """

    statement: Statement
    outcome: str
    examples: int
    counterexample: dict[str, Any] | None = None
    measured: dict[str, float] | None = None

    @property
    def as_expected(self) -> bool | None:
        """None for `NOT_REFUTED`, which neither confirms nor contradicts what we expect."""
        return None if self.outcome == NOT_REFUTED else self.outcome == self.statement.expected

    def as_dict(self) -> dict[str, Any]:
        """Plain data, arrays as lists."""
        statement = self.statement
        measured = None if self.measured is None else [{"quantity": k, "value": v} for k, v in self.measured.items()]
        return {
            "name": statement.name,
            "location": statement.location,
            "claim": statement.claim.words,
            "correction": statement.correction.words if statement.correction else None,
            "outcome": self.outcome,
            "expected": statement.expected,
            "as_expected": self.as_expected,
            "examples": self.examples,
            "counterexample": None if self.counterexample is None else _plain(self.counterexample),
            "measured": measured,
        }


def judge(
    statement: Statement, backend: Backend, examples: int, entropy: int | None = 0, shrink: bool = True
) -> Verdict:
    """Try to refute the claim, and its correction where there is one, each on `examples` examples in float64.

    The same `entropy` draws the same examples in processes that have loaded the same modules, whose constants
    hypothesis draws too; None draws new ones. Without `shrink` the counterexample is the first found, not the smallest.

    Raises `NumericalError` where no example met a claim's premise, for then nothing was tested.
    """
    tried, found = _search(statement.claim, backend, examples, entropy, shrink)
    if statement.correction is None:
        return _verdict(statement, REFUTED if found else HOLDS, tried, found)
    tried, contradiction = _search(statement.correction, backend, examples, entropy, shrink)
    if contradiction:
        return _verdict(statement, REFUTED, tried, contradiction)
    return _verdict(statement, CORRECTED if found else NOT_REFUTED, tried, found)


def keep_files_in(folder: Path) -> None:
    """Make hypothesis write its caches to `folder`, not to `.hypothesis` in the working directory."""
    set_hypothesis_home_dir(folder)


def _verdict(statement: Statement, outcome: str, tried: int, found: tuple[Example, Refuted] | None) -> Verdict:
    if found is None:
        return Verdict(statement, outcome, tried)
    return Verdict(statement, outcome, tried, vars(found[0]), found[1].measured)


def _search(
    claim: Claim, backend: Backend, examples: int, entropy: int | None, shrink: bool
) -> tuple[int, tuple[Example, Refuted] | None]:
    """Number of examples that passed the check, and one that failed it."""
    tried, latest = 0, Example()

    def attempt(example: Example) -> None:
        nonlocal tried, latest
        latest = example
        claim.check(Example(**_on(backend, vars(example))))
        tried += 1

    phases = (Phase.generate, Phase.shrink) if shrink else (Phase.generate,)
    search = settings(
        max_examples=examples, deadline=None, database=None, derandomize=False, phases=phases,
        suppress_health_check=list(HealthCheck), report_multiple_bugs=False, print_blob=False,
    )(given(claim.strategy)(attempt))  # fmt: skip
    run: Callable[[], None] = search if entropy is None else seed(entropy)(search)
    try:
        run()
    except Refuted as refuted:
        return tried, (latest, refuted)
    except Unsatisfiable:
        pass
    if not tried:
        raise NumericalError(f"no example of {examples} met the premise of: {claim.words}; try more --examples")
    return tried, None


def _on(backend: Backend, value: Any) -> Any:
    """Arrays moved to the backend, also those in a list or a dictionary."""
    if isinstance(value, np.ndarray):
        return backend.asarray(value)
    if isinstance(value, dict):
        return {name: _on(backend, part) for name, part in value.items()}
    if isinstance(value, list):
        return [_on(backend, part) for part in value]
    return value


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in value.items()}
    return [_plain(part) for part in value] if isinstance(value, list) else value
