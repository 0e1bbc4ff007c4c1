"""What a statement is: premises to draw examples from, a check that can fail, and the verdict we expect."""

from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from hypothesis.strategies import SearchStrategy

from ...errors import UsageError

Case = SimpleNamespace
"""One example of the premises: arrays and numbers by name."""

HOLDS, REFUTED, CORRECTED = "holds", "refuted", "holds as corrected"


class Refuted(AssertionError):
    """A check failed; `measured` are the numbers that show it."""

    def __init__(self, measured: dict[str, float]) -> None:
        super().__init__(", ".join(f"{name} = {value:.6g}" for name, value in measured.items()))
        self.measured = measured


def require(holds: bool, measured: dict[str, Any]) -> None:
    """Raise `Refuted`, with the numbers measured, unless it holds. Numbers are whatever `float` takes."""
    if not holds:
        raise Refuted({name: float(value) for name, value in measured.items()})


def at_most(smaller: float, larger: float, slack: float = 1e-9) -> bool:
    """Up to rounding; false where one of them is nan."""
    return smaller <= larger + slack * max(abs(smaller), abs(larger))


def equal(a: float, b: float, slack: float = 1e-9) -> bool:
    """Up to rounding; false where one of them is nan."""
    return at_most(a, b, slack) and at_most(b, a, slack)


@dataclass(frozen=True)
class Claim:
    """In our words, with the strategy that draws its premises; the check raises `Refuted` where it fails."""

    words: str
    premises: SearchStrategy[Case]
    check: Callable[[Case], Any]


@dataclass(frozen=True)
class Statement:
    """A claim, where it stands, and where it is wrong the nearest claim that is right.

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
    """Those called by their names or by what these begin with; all of them for no names.

    Raises `UsageError` for a name that fits none.
    """
    for name in names:
        if not any(statement.name.startswith(name) for statement in statements):
            raise UsageError(
                f"no statement is called {name!r}: choose of {', '.join(s.name for s in statements)}, or gradients"
            )
    return [s for s in statements if not names or s.name.startswith(names)]
