"""The nuclear norm's gradient against PyTorch's, and what it adds to a training step."""

import importlib.util
from collections.abc import Callable

import numpy as np

from ..backend import Backend
from ..data import Dataset
from ..fast.newton_schulz import WarmPolar
from ..networks import fcnn
from ..optimizers.sgd import sgd
from ..regularizers.nuclear import nuclear, nuclear_by_svd
from ..regularizers.penalty import Penalty
from ..training.loop import examples, make_step
from .race import Row, absent, race, row
from .train import Ours, epochs

CALLS = 200
LAM = 0.01


def bench_nuclear(
    data: Dataset, backend: Backend, *, against: tuple[str, ...], threads: int, repeats: int
) -> list[Row]:
    """Rows of seconds for `CALLS` gradients of a layer W1 in training, and for an epoch with and without the term.

    Each way of computing the gradient is given the same matrices, one after the other; `error` is the largest
    difference of its last result from the definition in double precision.
    """
    return [*_gradients(data, backend, against, threads, repeats), _step(data, backend, threads, repeats)]


def _gradients(data: Dataset, backend: Backend, against: tuple[str, ...], threads: int, repeats: int) -> list[Row]:
    matrices = _in_training(data, backend)
    changing = np.empty_like(matrices[0])
    warm, last = WarmPolar(changing), {}

    def refimpl() -> None:
        warm.forget()
        for W in matrices:
            changing[...] = W
            last["refimpl"] = warm()

    def each(name: str, gradient: Callable[[np.ndarray], np.ndarray]) -> Callable[[], None]:
        def run() -> None:
            for W in matrices:
                last[name] = gradient(W)

        return run

    runners = {
        "refimpl": refimpl,
        "refimpl, Gram matrix": each("refimpl, Gram matrix", lambda W: nuclear(W)[1]),
        "refimpl, SVD": each("refimpl, SVD", lambda W: nuclear_by_svd(W)[1]),
    }
    title = f"{CALLS} gradients of the nuclear norm of a {' x '.join(map(str, changing.shape))} layer in training"
    missing = [peer for peer in against if importlib.util.find_spec(peer) is None]
    if "torch" in against and "torch" not in missing:
        from . import torch_peer

        runners["torch, eager"] = each("torch, eager", torch_peer.nuclear_gradient)
    times = race(runners, repeats)
    exact = nuclear_by_svd(matrices[-1].astype(np.float64))[1]
    error = {name: float(np.abs(gradient - exact).max()) for name, gradient in last.items()}
    ours = times.pop("refimpl")
    rows = [
        row(title, ours, peer, taken, threads, error=error["refimpl"], peer_error=error[peer])
        for peer, taken in times.items()
    ]
    return rows + [absent(title, peer, threads) for peer in missing]


def _in_training(data: Dataset, backend: Backend) -> list[np.ndarray]:
    """W1 after each of the first steps of plain SGD."""
    arrays = examples(data, backend)
    step = make_step(fcnn, fcnn.init(backend), {}, sgd(0.001), arrays.train_images, arrays.train_labels)
    matrices = []
    for t in range(1, CALLS + 1):
        step(np.arange(128 * (t - 1), 128 * t) % len(data.train.labels), t)
        matrices.append(step.params["W1"])
    return matrices


def _step(data: Dataset, backend: Backend, threads: int, repeats: int) -> Row:
    arrays = examples(data, backend)

    def contestant(penalty: Penalty) -> Ours:
        params = fcnn.init(backend)
        step = make_step(fcnn, params, {}, sgd(0.001), arrays.train_images, arrays.train_labels, penalty)
        return Ours(step, arrays, backend, batch_size=128)

    contestants = {"with": contestant(Penalty(nuclear={"W1": LAM})), "without": contestant(Penalty())}
    n = len(data.train.labels)
    times = race({name: epochs(c, n) for name, c in contestants.items()}, repeats)
    title = f"train fcnn, {data.name}, an epoch of {n}, nuclear norm of W1 in the loss"
    accuracy = {name: c.accuracy() for name, c in contestants.items()}
    return row(
        title, times["with"], "the same without the term", times["without"], threads,
        accuracy=accuracy["with"], peer_accuracy=accuracy["without"],
    )  # fmt: skip
