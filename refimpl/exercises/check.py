"""The check of an answer: the file is run, the function called, its result compared; a wrong one gets a hint."""

import copy
import runpy
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import DataError
from .exercise import Arguments, Exercise, Row

SEED = 0


@dataclass(frozen=True)
class CheckResult:
    """What the check of a file found.

    `problem` is why the function could not be tried, or the largest error; `hint` names a typical mistake. Both are
    empty where it passed.
    """

    rows: tuple[Row, ...] = ()
    problem: str = ""
    hint: str = ""

    @property
    def passed(self) -> bool:
        return not self.problem


class _Problem(Exception):
    """Why a file could not be tried."""


def check(exercise: Exercise, path: Path) -> CheckResult:
    """Run the file, and hold its function against what the exercise has.

    The code in the file is run as it is, with all that the user may do. Raises `DataError` where there is no such
    file; what goes wrong in it is the `problem` of the result.
    """
    if not path.is_file():
        raise DataError(f"{path} cannot be read: it is not a regular file")
    arguments = exercise.inputs(np.random.default_rng(SEED))
    try:
        f = _function(exercise, path)
        answer = _answer(f(*copy.deepcopy(arguments)))
        problem = _unlike(exercise, answer, arguments) or _not_finite(answer)
        if problem:
            return CheckResult((), problem, _hint(exercise, answer, arguments))
        rows = _rows(exercise, f, answer, arguments)
    except _Problem as found:
        return CheckResult((), str(found))
    except (Exception, SystemExit) as error:
        line = _line(error, path)
        if line is None:
            raise
        return CheckResult((), _said(error, path, line))
    failed = [row for row in rows if row.passed is False]
    if not failed:
        return CheckResult(rows)
    problem = next((row.worst for row in failed if row.worst), f"this does not hold: {failed[0].against}")
    return CheckResult(rows, problem, _hint(exercise, answer, arguments))


def _rows(exercise: Exercise, f: Callable[..., Any], answer: np.ndarray, arguments: Arguments) -> tuple[Row, ...]:
    """Of all checks up to the first that fails, so that its hint is not lost to what goes wrong in a later one."""

    def elsewhere(*others: Any) -> np.ndarray:
        found = _answer(f(*copy.deepcopy(others)))
        problem = _unlike(exercise, found, others)
        if problem:
            raise _Problem(f"at other arguments {problem}")
        return found

    rows: list[Row] = []
    for one in exercise.checks:
        rows += one.rows(elsewhere, answer, copy.deepcopy(arguments))
        if any(row.passed is False for row in rows):
            break
    return tuple(rows)


def _function(exercise: Exercise, path: Path) -> Callable[..., Any]:
    try:
        found = runpy.run_path(str(path))
    except (Exception, SystemExit) as error:
        raise _Problem(_said(error, path, _line(error, path))) from None
    name = exercise.solution.__name__
    if not callable(found.get(name)):
        raise _Problem(f"{path} has no function {name}")
    return found[name]


def _said(error: BaseException, path: Path, line: int | None) -> str:
    """An error in the user's code, with its line."""
    place = f"{path}, line {line}" if line else str(path)
    if isinstance(error, NotImplementedError):
        return f"{place}: the hole is still there; put your code in its place"
    said = error.msg if isinstance(error, SyntaxError) else str(error)
    return f"{place}: {type(error).__name__}{': ' if said else ''}{said}"


def _line(error: BaseException, path: Path) -> int | None:
    """The line of the file in which an error arose; None where it did not."""
    if isinstance(error, SyntaxError) and error.filename == str(path):
        return error.lineno
    lines = [line for frame, line in traceback.walk_tb(error.__traceback__) if frame.f_code.co_filename == str(path)]
    return lines[-1] if lines else None


def _answer(result: Any) -> np.ndarray:
    if result is None:
        raise _Problem("the function returns nothing")
    if not isinstance(result, np.ndarray | np.generic | int | float):
        raise _Problem(f"the function should return an array, got {type(result).__name__}")
    return np.asarray(result)


def _unlike(exercise: Exercise, answer: np.ndarray, arguments: Arguments) -> str:
    """What is wrong with the shape and the type of an answer."""
    right = np.asarray(exercise.solution(*copy.deepcopy(arguments)))
    if answer.shape != right.shape:
        return f"the result should have the shape {right.shape}, got {answer.shape}"
    return "" if answer.dtype == right.dtype else f"the result should be {right.dtype}, got {answer.dtype}"


def _not_finite(answer: np.ndarray) -> str:
    finite = np.isfinite(answer)
    return "" if finite.all() else f"{(~finite).sum()} of {answer.size} entries of the result are not finite"


def _hint(exercise: Exercise, answer: np.ndarray, arguments: Arguments) -> str:
    """The name of the mistake that gives this answer; of every exercise a sign, a transpose, a factor."""
    if answer.dtype.kind not in "iuf":
        return ""
    for hint, wrong in exercise.mistakes.items():
        if _equal(answer, np.asarray(wrong(*copy.deepcopy(arguments)))):
            return hint
    right = np.asarray(exercise.solution(*copy.deepcopy(arguments)))
    if _equal(answer, -right):
        return "a sign: the result is the negative of what it should be"
    if _equal(answer, right):
        return ""
    if _equal(answer, right.T):
        return "a transpose: the result is the transpose of what it should be"
    if answer.shape == right.shape and answer.dtype.kind == "f":
        factor = float(np.sum(answer * right) / np.sum(right * right))
        if factor and _equal(answer, factor * right):
            return f"a factor: the result is {factor:.6g} times what it should be"
    return ""


def _equal(a: np.ndarray, b: np.ndarray) -> bool:
    return a.shape == b.shape and np.allclose(a, b, rtol=1e-9, atol=1e-9)
