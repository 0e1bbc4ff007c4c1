"""The nuclear norm and its gradient against PyTorch's, and what they add to a training step; NumPy."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from jaxtyping import Float

from ..backend import backend
from ..data import Dataset, on
from ..networks import FCNN
from ..optimizers import SGD
from ..regularizers import Batch, Nuclear, nuclear, nuclear_by_svd
from ..runs.config import Config
from ..runs.fast_twins import accelerated
from ..settings import setting
from ..training import CrossEntropy, Step
from . import peers
from .base import BENCHMARKS, DataBenchmark, Note
from .timing import Row, interleave, row
from .train import Ours, epochs

CALLS, BATCH = 200, 128
LAM = 0.01

Matrix = Float[np.ndarray, "m n"]


@BENCHMARKS.register("nuclear")
@dataclass(frozen=True, kw_only=True)
class NuclearNorm(DataBenchmark):
    """Nuclear norms with gradients of W1 in the training of fcnn, and an epoch with and without the term; NumPy.

    Everybody is given the same matrices, one after the other; `error` is the largest difference of the last gradient
    from the definition in double precision.
    """

    name: ClassVar[str] = "nuclear"

    against: tuple[str, ...] = setting(("torch",), "Peers: torch.")
    examples: int | None = setting(None, "The first so many examples.", usual="all", at_least=1)

    def __post_init__(self) -> None:
        super().__post_init__()
        peers.check(self.against, ("torch",))

    def rows(self, note: Note) -> list[Row]:
        data = self.load(FCNN(), note)
        return [*self._gradients(in_training(data)), self._epoch(data)]

    def _gradients(self, matrices: list[Matrix]) -> list[Row]:
        size = " x ".join(map(str, matrices[0].shape))
        title = f"{CALLS} nuclear norms with gradients of a {size} layer in training"
        there, absent = peers.present(self.against, FCNN(), title)
        gradients = {
            "refimpl, Gram matrix": lambda W: nuclear(W)[1],
            "refimpl, SVD": lambda W: nuclear_by_svd(W)[1],
        }
        if "torch" in there:
            gradients["torch, eager"] = peers.load("torch").nuclear_gradient
        last: dict[str, Matrix] = {}
        competitors = {name: _each(name, gradient, matrices, last) for name, gradient in gradients.items()}
        times = interleave({"refimpl": _ours(matrices, last), **competitors}, self.repeats)
        exact = nuclear_by_svd(matrices[-1].astype(np.float64))[1]
        error = {name: float(np.abs(gradient - exact).max()) for name, gradient in last.items()}
        ours = times.pop("refimpl")
        return [
            row(title, ours, peer, taken, error=error["refimpl"], peer_error=error[peer])
            for peer, taken in times.items()
        ] + absent

    def _epoch(self, data: Dataset) -> Row:
        without, numpy = Config(threads=self.threads), backend("numpy")
        with_term = replace(without, regularizers=(Nuclear({"W1": LAM}),))
        competitors = {"with": Ours(with_term, data, numpy), "without": Ours(without, data, numpy)}
        n = len(data.train.labels)
        times = interleave({name: epochs(c, n) for name, c in competitors.items()}, self.repeats)
        title = f"train fcnn, {data.name}, an epoch of {n}, nuclear norm of W1 in the loss"
        accuracy = {name: c.accuracy() for name, c in competitors.items()}
        return row(
            title, times["with"], "the same without the term", times["without"],
            accuracy=accuracy["with"], peer_accuracy=accuracy["without"],
        )  # fmt: skip


def in_training(data: Dataset) -> list[Matrix]:
    """W1 after each of the first steps of plain SGD."""
    network, examples, n = FCNN(), on(backend("numpy"), data), len(data.train.labels)
    step = Step(CrossEntropy(accelerated(network)), SGD(), network.init(backend("numpy")), {})
    matrices = []
    for t in range(CALLS):
        step(examples.batch(np.arange(BATCH * t, BATCH * (t + 1)) % n, np.float32))
        matrices.append(step.params["W1"])
    return matrices


def _ours(matrices: list[Matrix], last: dict[str, Matrix]) -> Callable[[], None]:
    """The fast twin on a weight that changes in place, as it does in training."""
    params = {"W1": np.empty_like(matrices[0])}
    term = accelerated(Nuclear({"W1": 1.0}))
    nothing = np.empty((0, 0), np.float32), np.empty(0, np.int64)

    def run() -> None:
        for i, W in enumerate(matrices):
            params["W1"][...] = W
            last["refimpl"] = term.value_and_grad(params, Batch(*nothing, new_epoch=i == 0))[1]["W1"]

    return run


def _each(
    name: str, gradient: Callable[[Matrix], Matrix], matrices: list[Matrix], last: dict[str, Matrix]
) -> Callable[[], None]:
    def run() -> None:
        for W in matrices:
            last[name] = gradient(W)

    return run
