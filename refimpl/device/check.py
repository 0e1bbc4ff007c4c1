"""What a check of a device is, and how what it computes is compared with NumPy."""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..backend import Backend, backend, to_host
from ..data import Dataset, Split
from ..errors import NumericalError
from ..registry import Registry

Check = Callable[[Backend], str]
"""A backend in, what was found in a line out. Raises `NumericalError` where it is not what it should be."""

CHECKS: Registry[Check] = Registry("check of a device", __package__)

NUMPY = backend("numpy")

FLOAT64 = 1e-11
"""By how much passes may differ, relative to the largest entry: sums of a thousand numbers in another order."""
TRAINED = 1e-8
"""The same after an epoch, whose steps enlarge what the steps before them rounded."""
SIGNS = 0.01
"""The fraction of pixels, or of entries, that may differ where a sign is taken: that of a number that is rounding."""


@dataclass(frozen=True)
class Outcome:
    """Whether a check passed, what it found or why it failed in a line, and how long it took."""

    name: str
    passed: bool
    said: str
    seconds: float


def run_checks(on: Backend) -> Iterator[Outcome]:
    """All checks, one after the other; one that fails, for whatever reason, stops no other."""
    for name, check in CHECKS.items():
        started = time.perf_counter()
        try:
            passed, said = True, check(on)
        except Exception as error:
            line = (str(error).splitlines() or [""])[0]
            passed, said = False, line if isinstance(error, NumericalError) else f"{type(error).__name__}: {line}"
        yield Outcome(name, passed, said, time.perf_counter() - started)


def put(on: Backend, tree: Any) -> Any:
    """Arrays of the host, alone or in dictionaries, lists and tuples, on the device."""
    if isinstance(tree, Mapping):
        return {name: put(on, value) for name, value in tree.items()}
    if isinstance(tree, list | tuple):
        return [put(on, value) for value in tree]
    return on.asarray(tree) if isinstance(tree, np.ndarray) else tree


def leaves(tree: Any, name: str = "") -> Iterator[tuple[str, np.ndarray]]:
    """The arrays and numbers of a tree on the host, each with its path."""
    if isinstance(tree, Mapping):
        for key, value in tree.items():
            yield from leaves(value, f"{name} {key}".strip())
    elif isinstance(tree, list | tuple):
        for i, value in enumerate(tree):
            yield from leaves(value, f"{name} {i}".strip())
    elif isinstance(tree, float | int):
        yield name, np.asarray(tree, np.float64)
    elif tree is not None and not isinstance(tree, str):
        yield name, to_host(tree)


def compare(found: Any, expected: Any, tolerance: float) -> str:
    """The largest difference of two trees of arrays, relative to the largest entry of each array.

    Raises `NumericalError` where it is above `tolerance`, where shapes, dtypes or names differ, and where a nan does
    not meet a nan.
    """
    return _held({name: _apart(a, b, name) for name, a, b in _pairs(found, expected)}, tolerance)


def compare_signs(found: Any, expected: Any) -> str:
    """The largest fraction of entries by which the arrays of two trees differ, at most `SIGNS`; else as `compare`."""
    apart = {}
    for name, a, b in _pairs(found, expected):
        _apart(a, b, name)
        apart[name] = float((np.abs(a - b) > 1e-6).mean())
    return _held(apart, SIGNS)


def _pairs(found: Any, expected: Any) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    ours, theirs = list(leaves(found)), list(leaves(expected))
    names = [name for name, _ in ours], [name for name, _ in theirs]
    if names[0] != names[1] or not names[0]:
        raise NumericalError(f"expected {', '.join(names[1])}, got {', '.join(names[0])}")
    for (name, a), (_, b) in zip(ours, theirs, strict=True):
        yield name, a, b


def _apart(a: np.ndarray, b: np.ndarray, name: str) -> float:
    if (a.shape, a.dtype) != (b.shape, b.dtype):
        raise NumericalError(f"{name} is {a.dtype}{a.shape}, on NumPy {b.dtype}{b.shape}")
    a, b = a.astype(np.float64), b.astype(np.float64)
    if (np.isnan(a) != np.isnan(b)).any():
        return math.inf
    difference, size = np.nanmax(np.abs(a - b), initial=0.0), np.nanmax(np.abs(b), initial=0.0)
    return float(difference / (size or 1.0))


def _held(apart: dict[str, float], tolerance: float) -> str:
    worst = max(apart, key=lambda name: apart[name])
    said = f"{len(apart)} arrays, differing by at most {apart[worst]:.2g}"
    if not apart[worst] <= tolerance:
        raise NumericalError(f"{worst} differs from NumPy's by {apart[worst]:.3g}; at most {tolerance:g} is rounding")
    return said


def draw(*shape: int, seed: int = 0) -> np.ndarray:
    """Standard normal numbers, the same in every call."""
    return np.random.default_rng([20190129, seed]).normal(size=shape)


def data(n_train: int = 160, n_test: int = 64) -> Dataset:
    """Grey levels and labels at random, of the size of the paper's images."""
    rng = np.random.default_rng(20190129)
    train, test = (
        Split(rng.integers(0, 256, (n, 28, 28), np.uint8), rng.integers(0, 10, n).astype(np.uint8))
        for n in (n_train, n_test)
    )
    return Dataset("random", train, test, {}, "made here")


def pixels(n: int) -> np.ndarray:
    """Rows of pixels of the test images in double precision."""
    return data().test.images[:n].reshape(n, -1) / 255
