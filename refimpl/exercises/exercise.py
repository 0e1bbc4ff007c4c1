"""What an exercise is, and what an answer is held against: derivatives, other functions, statements."""

import importlib
import importlib.util
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..registry import Registry

STEP = 1e-6
"""Half the distance of the two points of a difference quotient."""

Arguments = tuple[Any, ...]
"""What a function is called with: arrays in float64, and numbers."""


@dataclass(frozen=True)
class Row:
    """One thing that an answer was held against.

    `passed` is None where it could not be tried. `error` is the largest error of an entry, relative to the largest
    entry; `worst` says where it is.
    """

    against: str
    passed: bool | None
    error: float | None = None
    worst: str = ""


class Check(ABC):
    """Something that an answer is held against."""

    @abstractmethod
    def rows(self, f: Callable[..., Any], answer: np.ndarray, arguments: Arguments) -> list[Row]:
        """`answer` is f(*arguments), of the right shape; a statement may call f elsewhere."""


@dataclass(frozen=True)
class Gradient(Check):
    r"""The answer is the gradient of $p \mapsto \sum \mathrm{value}(p, \ldots)$ at p = `at`(...).

    Held against central difference quotients, and against autograd where it is installed; `...` are the arguments of
    the exercise.
    """

    value: Callable[..., Any]
    at: Callable[..., np.ndarray]

    def rows(self, f: Callable[..., Any], answer: np.ndarray, arguments: Arguments) -> list[Row]:
        p = self.at(*arguments)
        found = [compared("difference quotients", answer, self.quotients(p, arguments), 1e-6)]
        if importlib.util.find_spec("autograd") is None:
            return [*found, Row("autograd (not installed: pip install autograd)", None)]
        return [*found, compared("autograd", answer, self.by_autograd(p, arguments), 1e-9)]

    def quotients(self, p: np.ndarray, arguments: Arguments) -> np.ndarray:
        """The gradient, an entry at a time."""
        found = np.zeros_like(p)
        for index in np.ndindex(p.shape):
            step = np.zeros_like(p)
            step[index] = STEP
            rise = self.value(p + step, *arguments) - self.value(p - step, *arguments)
            found[index] = np.sum(rise) / (2 * STEP)
        return found

    def by_autograd(self, p: np.ndarray, arguments: Arguments) -> np.ndarray:
        """The gradient by p; the other arrays are variables, too, so that all of them are arrays of autograd."""
        arrays = [i for i, a in enumerate(arguments) if isinstance(a, np.ndarray) and a.dtype.kind == "f"]

        def value(p: Any, *variables: Any) -> Any:
            given = dict(enumerate(arguments)) | dict(zip(arrays, variables, strict=True))
            return self.value(p, *given.values())

        reference = importlib.import_module("refimpl.theory.autograd_reference")
        found: np.ndarray = reference.vjp(value, (p, *(arguments[i] for i in arrays)), np.ones(()))[0]
        return found


@dataclass(frozen=True)
class Equals(Check):
    """The answer is what another function gives."""

    against: str
    other: Callable[..., Any]

    def rows(self, f: Callable[..., Any], answer: np.ndarray, arguments: Arguments) -> list[Row]:
        return [compared(self.against, answer, np.asarray(self.other(*arguments)), 1e-9)]


@dataclass(frozen=True)
class Statement(Check):
    """`holds`(f, answer, ...) is true; f is the function under test."""

    words: str
    holds: Callable[..., Any]

    def rows(self, f: Callable[..., Any], answer: np.ndarray, arguments: Arguments) -> list[Row]:
        return [Row(self.words, bool(self.holds(f, answer, *arguments)))]


@dataclass(frozen=True, kw_only=True)
class Exercise:
    """A function to write: the docstring of `solution` is the question.

    `where` is where library and lessons have it. `inputs` draws the arguments of the check. `mistakes` has, for the
    hint that names it, a function that gives what a typical mistake gives.
    """

    name: str
    title: str
    where: str
    solution: Callable[..., Any]
    inputs: Callable[[np.random.Generator], Arguments]
    checks: tuple[Check, ...]
    mistakes: Mapping[str, Callable[..., Any]]


EXERCISES: Registry[Exercise] = Registry("exercise", f"{__package__}.tasks")


def enter(exercise: Exercise) -> None:
    """Register an exercise under its name."""
    EXERCISES.register(exercise.name)(exercise)


def compared(against: str, answer: np.ndarray, right: np.ndarray, tolerance: float) -> Row:
    """Two arrays of one shape, entry by entry."""
    if answer.dtype.kind == "i":
        wrong = (answer != right).astype(float)
    else:
        wrong = np.abs(answer - right) / (np.abs(right).max() or 1.0)
    error, index = float(wrong.max()), np.unravel_index(wrong.argmax(), wrong.shape)
    where = f"the entry {[int(i) for i in index]}" if index else "it"
    worst = "" if error <= tolerance else f"{where} is {answer[index]:.6g}, should be {right[index]:.6g}"
    return Row(against, error <= tolerance, error, worst)
