"""A statement: a strategy that draws examples, a check that can fail, and the outcome we expect."""

from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from hypothesis.strategies import SearchStrategy

from ...errors import UsageError

Example = SimpleNamespace
"""What a strategy draws: arrays and numbers by name."""

HOLDS, REFUTED, CORRECTED, NOT_REFUTED = "holds", "refuted", "holds as corrected", "not refuted"


class Refuted(AssertionError):
    """Raised by a check that failed; `measured` are the numbers that show it."""

    def __init__(self, measured: dict[str, float]) -> None:
        super().__init__(", ".join(f"{name} = {value:.6g}" for name, value in measured.items()))
        self.measured = measured


def require(holds: bool, measured: dict[str, Any]) -> None:
    """Raises `Refuted`, with the numbers measured, unless `holds`. Numbers are whatever `float` takes."""
    if not holds:
        raise Refuted({name: float(value) for name, value in measured.items()})


def at_most(smaller: float, larger: float, slack: float = 1e-9) -> bool:
    """Comparison up to rounding; false where one of them is nan."""
    return smaller <= larger + slack * max(abs(smaller), abs(larger))


def equal(a: float, b: float, slack: float = 1e-9) -> bool:
    """Equality up to rounding; false where one of them is nan."""
    return at_most(a, b, slack) and at_most(b, a, slack)


@dataclass(frozen=True)
class Claim:
    """A claim in our words, the strategy that draws its examples, and its check, which raises `Refuted`."""

    words: str
    strategy: SearchStrategy[Example]
    check: Callable[[Example], Any]


@dataclass(frozen=True)
class Statement:
    """A claim, its place in the paper, and for a false claim a correction: a similar claim that is true.

    `location` is a place in the paper; "ours" where the paper does not say so.
    """

    name: str
    location: str
    claim: Claim
    correction: Claim | None = None

    @property
    def expected(self) -> str:
        return CORRECTED if self.correction else HOLDS


def named(statements: tuple[Statement, ...], names: tuple[str, ...]) -> list[Statement]:
    """The statements whose names begin with one of `names`; all of them for no names.

    Raises `UsageError` for a name that fits none.
    """
    for name in names:
        if not any(statement.name.startswith(name) for statement in statements):
            raise UsageError(
                f"no statement is called {name!r}: choose from {', '.join(s.name for s in statements)}, or gradients"
            )
    return [s for s in statements if not names or s.name.startswith(names)]
