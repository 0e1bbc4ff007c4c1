"""Growth of the cost of the convolutional net with the batch, the filters, the image, and the images evaluated."""

import statistics
import time
import tracemalloc
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ..backend import backend
from ..networks import CNN
from ..optimizers import SGD
from ..runs.fast_twins import accelerated
from ..training import CrossEntropy, Examples, Step
from .base import BENCHMARKS, Benchmark, Note
from .timing import Row

USUAL = {"batch": 64, "filters": 32, "side": 28}
GRID = {"batch": (16, 32, 64, 128, 256, 512), "filters": (8, 16, 32, 64, 128), "side": (14, 20, 28, 40, 56)}
EVALUATED = (1_000, 2_500, 5_000, 10_000)


@BENCHMARKS.register("cost")
@dataclass(frozen=True, kw_only=True)
class Cost(Benchmark):
    r"""Median seconds and peak bytes of a step of the cnn, one size varied at a time, and of an evaluation of images.

    The last row of each group has the exponents a of least squares, $\mathrm{cost} \sim \mathrm{size}^a$.
    """

    name: ClassVar[str] = "cost"

    @property
    def blas_threads(self) -> int:
        return 1

    def rows(self, note: Note) -> list[Row]:
        rows: list[Row] = []
        for size, values in GRID.items():
            name = f"a training step of cnn, {size} varied"
            group = [self._step(USUAL | {size: value}) for value in values]
            rows += _named(name, values, group)
        return rows + _named("an evaluation of cnn, images varied", EVALUATED, [self._evaluation(n) for n in EVALUATED])

    def _step(self, sizes: dict[str, int]) -> Row:
        batch, filters, side = sizes["batch"], sizes["filters"], sizes["side"]
        network = CNN(filters=(filters, filters), side=side)
        rng = np.random.default_rng(0)
        images, labels = rng.integers(0, 256, (batch, side, side), np.uint8), rng.integers(0, 10, batch)
        index = np.arange(batch)
        params = network.init(backend("numpy"))
        tracemalloc.start()
        step = accelerated(Step(CrossEntropy(network), SGD(learning_rate=0.01), params, {}), self.threads)
        examples = accelerated(Examples(images, labels, images, labels))
        step(examples.batch(index, np.float32))
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        times = []
        for t in range(2, self.repeats + 2):
            began = time.perf_counter()
            step(examples.batch(index, np.float32)._replace(step=t))
            times.append(time.perf_counter() - began)
        return {"seconds": statistics.median(times), "peak_bytes": peak}

    def _evaluation(self, n: int) -> Row:
        network = accelerated(CNN(), self.threads)
        gradients, x = network.gradients(network.init(backend("numpy"))), np.zeros((n, 784), np.float32)
        tracemalloc.start()
        began = time.perf_counter()
        gradients.logits(x)
        seconds = time.perf_counter() - began
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return {"seconds": seconds, "peak_bytes": peak}


def _named(name: str, sizes: tuple[int, ...], costs: list[Row]) -> list[Row]:
    """Rows of the costs at these sizes, and one of their exponents."""
    logs = np.log(sizes)
    exponents: dict[str, Any] = {
        f"{key}_exponent": float(np.polyfit(logs, np.log([row[key] for row in costs]), 1)[0]) for key in costs[0]
    }
    return [*({"name": name, "size": size, **row} for size, row in zip(sizes, costs, strict=True)),
            {"name": name, **exponents}]  # fmt: skip
