"""Try a statement on many examples; what came out, with the smallest counterexample found."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Unsatisfiable

from ...backend import Backend
from ...errors import NumericalError
from .statement import CORRECTED, HOLDS, REFUTED, Case, Claim, Refuted, Statement


@dataclass(frozen=True)
class Verdict:
    """`counterexample` is the case as it was drawn, `measured` what it shows; both None where nothing refuted."""

    statement: Statement
    verdict: str
    examples: int
    counterexample: dict[str, Any] | None = None
    measured: dict[str, float] | None = None

    @property
    def as_expected(self) -> bool:
        return self.verdict == self.statement.expected

    def record(self) -> dict[str, Any]:
        """As plain data, arrays as lists."""
        statement = self.statement
        case = None if self.counterexample is None else {k: _plain(v) for k, v in self.counterexample.items()}
        return {
            "name": statement.name,
            "location": statement.location,
            "claim": statement.claim.words,
            "correction": statement.correction.words if statement.correction else None,
            "verdict": self.verdict,
            "expected": statement.expected,
            "as_expected": self.as_expected,
            "examples": self.examples,
            "counterexample": case,
            "measured": self.measured,
        }


def judge(statement: Statement, backend: Backend, examples: int, entropy: int | None = 0) -> Verdict:
    """Try the claim, and its correction where there is one, each on `examples` examples in float64.

    The same `entropy` draws the same examples; None draws new ones. Raises `NumericalError` where the premises are
    never met, for then nothing was tested.
    """
    tried, found = _attempt(statement.claim, backend, examples, entropy)
    if found is None:
        return Verdict(statement, HOLDS, tried)
    verdict, case, refuted = REFUTED, vars(found[0]), found[1].measured
    if statement.correction:
        tried, further = _attempt(statement.correction, backend, examples, entropy)
        if further is None:
            verdict = CORRECTED
        else:
            case, refuted = vars(further[0]), further[1].measured
    return Verdict(statement, verdict, tried, case, refuted)


def _attempt(
    claim: Claim, backend: Backend, examples: int, entropy: int | None
) -> tuple[int, tuple[Case, Refuted] | None]:
    """How many examples met the premises, and the smallest that the check failed on."""
    tried, latest = 0, Case()

    def attempt(case: Case) -> None:
        nonlocal tried, latest
        latest = case
        claim.check(Case(**{name: _moved(value, backend) for name, value in vars(case).items()}))
        tried += 1

    search = settings(
        max_examples=examples, deadline=None, database=None, derandomize=False, phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck), report_multiple_bugs=False, print_blob=False,
    )(given(claim.premises)(attempt))  # fmt: skip
    run: Callable[[], None] = search if entropy is None else seed(entropy)(search)
    try:
        run()
    except Refuted as refuted:
        return tried, (latest, refuted)
    except Unsatisfiable:
        pass
    if not tried:
        raise NumericalError(f"no example in {examples} met the premises of: {claim.words}; try more --examples")
    return tried, None


def _moved(value: Any, backend: Backend) -> Any:
    """Arrays to the backend, also those in a list or a dictionary."""
    if isinstance(value, np.ndarray):
        return backend.asarray(value)
    if isinstance(value, dict):
        return {name: _moved(part, backend) for name, part in value.items()}
    if isinstance(value, list):
        return [_moved(part, backend) for part in value]
    return value


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in value.items()}
    return [_plain(part) for part in value] if isinstance(value, list) else value
