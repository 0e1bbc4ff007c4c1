"""The training loop: a generator that yields one record an epoch and waits for the device once an epoch."""

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int, UInt8

from ..backend import Array, Backend, Params, like, namespace, to_host
from ..data import Dataset
from ..errors import NumericalError
from ..fast.step import FusedStep
from ..layers.images import scale
from ..layers.loss import cross_entropy
from ..low_rank.network import is_low_rank
from ..measures.accuracy import n_correct
from ..measures.per_layer import measure_weights
from ..networks.gradients import Network, has_workspace, logits
from ..optimizers.base import Optimizer, State
from ..regularizers.margin_bound import ReachTerm
from ..regularizers.penalty import NO_PENALTY, Penalty
from ..rng import stream
from .adversarial import Adversary, WeightAdversary
from .step import Step

DIVERGED = 1000.0
"""Nats. A mean loss above it gives the true class a probability below e^-1000: the run is lost."""


class Examples(NamedTuple):
    """A data set where the computation is."""

    train_images: UInt8[Array, "train height width"]
    train_labels: Int[Array, "train"]
    test_images: UInt8[Array, "test height width"]
    test_labels: Int[Array, "test"]


class Record(NamedTuple):
    """One epoch: cross-entropies in nats, mean over the epoch's steps and over the test set after it; the rest
    after it.

    `penalties` are the regularizers' terms of the loss, the margins' reach that of the test set, `layers` the effective
    rank and sparsity of each weight matrix.
    """

    epoch: int
    loss: float
    test_loss: float
    accuracy: float
    penalties: dict[str, float]
    layers: list[dict[str, Any]]
    params: Params
    state: State

    def line(self) -> dict[str, Any]:
        numbers = {"epoch": self.epoch, "loss": self.loss, "test_loss": self.test_loss, "accuracy": self.accuracy}
        return {**numbers, **self.penalties, "layers": self.layers}


def examples(data: Dataset, backend: Backend) -> Examples:
    """Grey levels stay bytes until a batch is made: a quarter of the memory, and a cheaper gather."""
    return Examples(
        backend.asarray(data.train.images),
        backend.asarray(data.train.labels, "int64"),
        backend.asarray(data.test.images),
        backend.asarray(data.test.labels, "int64"),
    )


def make_step(
    network: Network,
    params: Params,
    state: State,
    optimizer: Optimizer,
    images: Array,
    labels: Array,
    penalty: Penalty = NO_PENALTY,
    adversary: Adversary | None = None,
    weight_adversary: WeightAdversary | None = None,
    reach: ReachTerm | None = None,
) -> Step | FusedStep:
    """The fast step where there is one, else the readable one."""
    kind = FusedStep if has_workspace(network, images) and not is_low_rank(params) else Step
    return kind(network, params, state, optimizer, images, labels, penalty, adversary, weight_adversary, reach)


def train(
    network: Network,
    step: Step | FusedStep,
    data: Examples,
    *,
    epochs: int,
    batch_size: int,
    seed: int,
    start: int = 0,
) -> Iterator[Record]:
    """Epochs `start + 1` to `epochs`, each over all examples in an order of its own, the short last batch included.

    The order depends on the seed and the epoch alone, so a run continued from epoch `start` has the same bits as one
    that never stopped. Raises `NumericalError` with epoch, batch and seed where a loss is NaN or above `DIVERGED`.
    """
    n = data.train_labels.shape[0]
    batches = _slices(n, batch_size)
    sizes = [batch.stop - batch.start for batch in batches]
    for epoch in range(start + 1, epochs + 1):
        order = like(stream(seed, "shuffle", epoch).permutation(n), data.train_labels)
        t = (epoch - 1) * len(batches)
        step.start_epoch()
        losses = [step(order[batch], t + k) for k, batch in enumerate(batches, start=1)]
        params = step.params
        scores = score(network, params, data.test_images, data.test_labels)
        terms, measures = step.penalty.terms(params), measure_weights(params)
        if step.reach:
            terms |= reach_on(step.reach, params, data.test_images, data.test_labels)
        numbers = iter(_fetch([*losses, *scores, *terms.values(), *(x for pair in measures.values() for x in pair)]))
        batch_losses, test_loss, correct = [next(numbers) for _ in losses], next(numbers), next(numbers)
        _check(batch_losses, test_loss, epoch, seed)
        yield Record(
            epoch=epoch,
            loss=float(np.average(batch_losses, weights=sizes)),
            test_loss=test_loss,
            accuracy=correct / data.test_labels.shape[0],
            penalties={name: next(numbers) for name in terms},
            layers=[
                {"name": name, "effective_rank": next(numbers), "effective_sparsity": next(numbers)}
                for name in measures
            ],
            params=params,
            state=step.state,
        )


def score(
    network: Network,
    params: Params,
    images: UInt8[Array, "test height width"],
    labels: Int[Array, "test"],
    chunk: int = 1000,
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Mean loss and number of correct predictions, left on the device."""
    xp, dtype, n = namespace(images), params["b1"].dtype, labels.shape[0]
    losses, correct = [], []
    for part in _slices(n, chunk):
        y = labels[part]
        z = logits(network, params, scale(images[part, ...], dtype))
        losses.append(cross_entropy(z, y)[0] * (y.shape[0] / n))
        correct.append(n_correct(z, y))
    return xp.sum(xp.stack(losses)), xp.asarray(xp.sum(xp.stack(correct)), dtype=dtype)


def reach_on(
    reach: ReachTerm,
    params: Params,
    images: UInt8[Array, "test height width"],
    labels: Int[Array, "test"],
    chunk: int = 1000,
) -> dict[str, Float[Array, ""]]:
    """The terms of `reach` on all examples, left on the device."""
    total: dict[str, Array] = {}
    for part in _slices(labels.shape[0], chunk):
        x, y = scale(images[part, ...], params["W1"].dtype), labels[part]
        for name, value in reach.terms(params, x, y).items():
            total[name] = total.get(name, 0.0) + value * (y.shape[0] / labels.shape[0])
    return total


def _slices(n: int, size: int) -> list[slice]:
    """0 to n in pieces of `size`; the last may be shorter."""
    return [slice(i, min(i + size, n)) for i in range(0, n, size)]


def _fetch(scalars: list[Array]) -> list[float]:
    """All the numbers of an epoch in one copy to the host."""
    return [float(value) for value in to_host(namespace(scalars[0]).stack(scalars))]


def _check(losses: list[float], test_loss: float, epoch: int, seed: int) -> None:
    """The test loss sees what the last step did, which no later batch of the epoch does."""
    for batch, loss in enumerate([*losses, test_loss], start=1):
        if not math.isfinite(loss) or loss > DIVERGED:
            where = f"batch {batch}" if batch <= len(losses) else f"after batch {len(losses)}"
            raise NumericalError(
                f"training failed at epoch {epoch}, {where}, seed {seed}: the loss is {loss:g};"
                " a smaller --learning-rate may help"
            )
