"""The bounds of the mutual information against their formula written down in SciPy, the whole matrix at once."""

import tracemalloc
from collections.abc import Callable

import numpy as np
from jaxtyping import Float
from scipy.spatial.distance import cdist
from scipy.special import logsumexp

from ..measures.information import Bounds, mutual_information
from .race import Row, race, row

SIGMA2, UNITS = 0.1, 20


def full_matrix(h: Float[np.ndarray, "examples units"], sigma2: float) -> Bounds:
    """Both bounds in bits, as their formulas are written."""
    n, D = len(h), cdist(h, h, "sqeuclidean")
    lower, upper = (-np.mean(logsumexp(-D / (scale * sigma2), axis=1) - np.log(n)) / np.log(2) for scale in (8.0, 2.0))
    return float(lower), float(upper)


def bench_information(examples: int, *, threads: int, repeats: int) -> list[Row]:
    """One row: seconds, bounds and peak memory in bytes of each, on activations of the size of a hidden layer."""
    h = np.tanh(np.random.default_rng(0).normal(size=(examples, UNITS)))
    runners: dict[str, Callable[[], Bounds]] = {
        "refimpl": lambda: mutual_information(h, SIGMA2),
        "scipy, full matrix": lambda: full_matrix(h, SIGMA2),
    }
    times = race(runners, repeats)
    bounds = {name: run() for name, run in runners.items()}
    peaks = {name: _peak(run) for name, run in runners.items()}
    return [
        row(
            f"mutual information, {examples} examples of {UNITS} units",
            times["refimpl"],
            "scipy, full matrix",
            times["scipy, full matrix"],
            threads,
            bounds=list(bounds["refimpl"]),
            peer_bounds=list(bounds["scipy, full matrix"]),
            peak_bytes=peaks["refimpl"],
            peer_peak_bytes=peaks["scipy, full matrix"],
        )
    ]


def _peak(run: Callable[[], Bounds]) -> int:
    """The most memory that was taken from the start of the run to its end, in bytes."""
    tracemalloc.start()
    run()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak
