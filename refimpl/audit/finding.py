"""What a check is, and what it says: a colour, a number, a reason."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from ..registry import Registry

if TYPE_CHECKING:
    from .subject import Subject

COLOURS = ("red", "amber", "green", "grey")
"""Red: the evaluation or the net is wrong. Amber: to be looked at, or not done. Grey: does not apply, or no verdict."""

TOLERANCE = 0.002
"""Fraction of the examples, 0.2 points, that a comparison of attacks may be off by."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """`value` is the number in words, `number` the same for programs; `details` are plain data, kept in audit.json.

    `done` is False where the check could not be made; `todo` says what to do about it, or about an amber or a red one.
    """

    colour: str
    value: str
    reason: str
    number: float | None = None
    todo: str = ""
    done: bool = True
    details: Mapping[str, Any] = field(default_factory=dict)


class Check(ABC):
    """One line of an audit. Derive from it, and register the class with `CHECKS` under its name."""

    asks: ClassVar[str]
    """The question, in a line."""
    source: ClassVar[str]
    """The work that the check is from."""

    @abstractmethod
    def find(self, subject: "Subject") -> Finding:
        """The answer. A `NumericalError` means that the check could not be made."""


CHECKS: Registry[type[Check]] = Registry("check", f"{__package__}.checks")


def not_done(why: str, todo: str) -> Finding:
    """A check that lacks something."""
    return Finding(colour="amber", value="not done", reason=why, todo=todo, done=False)


def does_not_apply(why: str) -> Finding:
    return Finding(colour="grey", value="does not apply", reason=why, done=False)


def allowed(n: int) -> int:
    """How many of n examples are within the tolerance; a single one is no evidence."""
    return max(1, int(TOLERANCE * n))


def counted(
    count: int, n: int, within: str, beyond: str, todo: str, details: Mapping[str, Any] | None = None
) -> Finding:
    """Red where more of n examples than are allowed speak against the evaluation, in the words of `beyond`."""
    red = count > allowed(n)
    return Finding(
        colour="red" if red else "green",
        value=f"{count} of {n}",
        number=count / n,
        reason=beyond if red else within,
        todo=todo if red else "",
        details=details or {},
    )


def points(fraction: float) -> str:
    """A difference of percentages."""
    return f"{100 * fraction:.1f} points"


def percent(fraction: float) -> str:
    return f"{100 * fraction:.1f} %"
