"""The bounds of the mutual information against their formula written down in SciPy, the whole matrix at once."""

import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float
from scipy.spatial.distance import cdist
from scipy.special import logsumexp

from ..measures.information import Bounds, mutual_information
from ..settings import setting
from .base import BENCHMARKS, Benchmark, Note
from .timing import Row, interleave, row

SIGMA2, UNITS = 0.1, 20


@BENCHMARKS.register("mi")
@dataclass(frozen=True, kw_only=True)
class Information(Benchmark):
    """Both bounds of the mutual information, against SciPy's cdist and logsumexp on the full matrix.

    The row has the bounds and the peak memory of each, on activations of the size of a hidden layer.
    """

    name: ClassVar[str] = "mi"

    examples: int = setting(10_000, "Number of activations; the peer takes its square.", at_least=2)

    def rows(self, note: Note) -> list[Row]:
        h = np.tanh(np.random.default_rng(0).normal(size=(self.examples, UNITS)))
        peer = "scipy, full matrix"
        competitors: dict[str, Callable[[], Bounds]] = {
            "refimpl": lambda: mutual_information(h, SIGMA2),
            peer: lambda: full_matrix(h, SIGMA2),
        }
        times = interleave(competitors, self.repeats)
        bounds = {name: run() for name, run in competitors.items()}
        peaks = {name: _peak(run) for name, run in competitors.items()}
        return [
            row(
                f"mutual information, {self.examples} examples of {UNITS} units",
                times["refimpl"],
                peer,
                times[peer],
                bounds=list(bounds["refimpl"]),
                peer_bounds=list(bounds[peer]),
                peak_bytes=peaks["refimpl"],
                peer_peak_bytes=peaks[peer],
            )
        ]


def full_matrix(h: Float[np.ndarray, "examples units"], sigma2: float) -> Bounds:
    """Both bounds in bits, as their formulas are written."""
    n, D = len(h), cdist(h, h, "sqeuclidean")
    lower, upper = (-np.mean(logsumexp(-D / (scale * sigma2), axis=1) - np.log(n)) / np.log(2) for scale in (8.0, 2.0))
    return float(lower), float(upper)


def _peak(run: Callable[[], Bounds]) -> int:
    """The most memory that was taken from the start of the run to its end, in bytes."""
    tracemalloc.start()
    run()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak
