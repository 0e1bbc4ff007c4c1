"""How the cost of a training step of the convolutional net grows with the batch, the filters and the image."""

import statistics
import time
import tracemalloc
from typing import Any

import numpy as np

from ..backend import backend
from ..fast import passes as fast
from ..fast.step import FusedStep
from ..networks import cnn
from ..networks.architectures import CNN
from ..optimizers.sgd import sgd

USUAL = {"batch": 64, "filters": 32, "side": 28}
GRID = {"batch": (16, 32, 64, 128, 256, 512), "filters": (8, 16, 32, 64, 128), "side": (14, 20, 28, 40, 56)}
EVALUATED = (1_000, 2_500, 5_000, 10_000)


def bench_cost(*, threads: int, repeats: int) -> list[dict[str, Any]]:
    """Rows of median seconds and peak bytes of a step, one size varied at a time, and of an evaluation of many images.

    The last row of each group has the exponents a of least squares, $\\mathrm{cost} \\sim \\mathrm{size}^a$.
    """
    groups = [
        [{"varied": size, "size": value, **_step(USUAL | {size: value}, threads, repeats)} for value in values]
        for size, values in GRID.items()
    ]
    groups.append([{"varied": "images evaluated", "size": n, **_evaluation(n, threads)} for n in EVALUATED])
    return [row for group in groups for row in [*group, _exponents(group)]]


def _step(sizes: dict[str, int], threads: int, repeats: int) -> dict[str, float]:
    batch, filters, side = sizes["batch"], sizes["filters"], sizes["side"]
    rng = np.random.default_rng(0)
    params = cnn.init(backend("numpy"), filters=filters, side=side)
    images, labels = rng.integers(0, 256, (batch, side, side), np.uint8), rng.integers(0, 10, batch)
    index = np.arange(batch)
    tracemalloc.start()
    step = FusedStep(CNN(threads=threads), params, {}, sgd(0.01), images, labels)
    step(index, 1)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    times = []
    for t in range(2, repeats + 2):
        began = time.perf_counter()
        step(index, t)
        times.append(time.perf_counter() - began)
    return {"seconds": statistics.median(times), "peak_bytes": peak}


def _evaluation(n: int, threads: int) -> dict[str, float]:
    params, x = cnn.init(backend("numpy")), np.zeros((n, 784), np.float32)
    tracemalloc.start()
    began = time.perf_counter()
    fast.logits(CNN(threads=threads), params, x)
    seconds = time.perf_counter() - began
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return {"seconds": seconds, "peak_bytes": peak}


def _exponents(rows: list[dict[str, Any]]) -> dict[str, Any]:
    sizes = np.log([row["size"] for row in rows])
    fits = {
        key: float(np.polyfit(sizes, np.log([row[key] for row in rows]), 1)[0]) for key in ("seconds", "peak_bytes")
    }
    return {"varied": rows[0]["varied"], **{f"{key}_exponent": a for key, a in fits.items()}}
