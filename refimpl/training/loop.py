"""The training loop: a generator that yields one log an epoch and waits for the device once an epoch."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int, UInt8

from ..backend import Array, Params, chunks, fetch, like, namespace
from ..errors import NumericalError
from ..layers.images import scale
from ..layers.loss import cross_entropy
from ..measures.accuracy import n_correct
from ..measures.per_layer import measure_weights
from ..networks.base import Network
from ..optimizers.base import State
from ..parameters import for_models, n_classes
from ..regularizers.base import Batch, Regularizer
from ..rng import stream
from ..validation import check_labels
from .step import Step

DIVERGED = 1000.0
"""Nats. A mean loss above it gives the true class a probability below e^-1000: the run is lost."""


@dataclass(frozen=True)
class Examples:
    """A data set where the computation is, as grey levels: a quarter of the memory, and a cheaper gather."""

    train_images: UInt8[Array, "train *shape"]
    train_labels: Int[Array, "train"]
    test_images: UInt8[Array, "test *shape"]
    test_labels: Int[Array, "test"]

    def batch(self, index: Int[Array, "batch"], dtype: Any) -> Batch:
        """The training examples `index`, pixels in [0, 1]."""
        xp = namespace(self.train_images)
        x = scale(xp.take(self.train_images, index, axis=0), dtype)
        return Batch(x, xp.take(self.train_labels, index, axis=0))


class Schedule(NamedTuple):
    """Epochs `start + 1` to `epochs` in batches of `batch_size`; the order of the examples depends on the seed."""

    epochs: int
    batch_size: int
    seed: int
    start: int = 0


@dataclass(frozen=True, eq=False)
class EpochLog:
    """One epoch: cross-entropies in nats, mean over its steps and, after it, over the test set; the rest after it.

    `terms` are the regularizers' parts of the loss, on the test set where they depend on data; `layers` has the
    effective rank and sparsity of each weight matrix; `attacks` what was monitored, None in other epochs.
    """

    epoch: int
    loss: float
    test_loss: float
    accuracy: float
    terms: dict[str, float]
    layers: list[dict[str, Any]] = field(repr=False)
    params: Params = field(repr=False)
    state: State = field(repr=False)
    attacks: list[dict[str, Any]] | None = None

    def line(self) -> dict[str, Any]:
        """As a line of history.jsonl."""
        numbers = {"epoch": self.epoch, "loss": self.loss, "test_loss": self.test_loss, "accuracy": self.accuracy}
        monitored = {} if self.attacks is None else {"attacks": self.attacks}
        return {**numbers, **self.terms, "layers": self.layers, **monitored}


def train(
    step: Step, network: Network, data: Examples, schedule: Schedule, terms: Sequence[Regularizer] = ()
) -> Iterator[EpochLog]:
    """Each epoch goes over all examples in an order of its own, the short last batch included.

    The order depends on the seed and the epoch alone, so a run continued from epoch `start` has the same bits as one
    that never stopped. The values of `terms` are logged. Raises `UsageError` for labels that the network does not have,
    and `NumericalError` with epoch, batch and seed where a loss is NaN or above `DIVERGED`.
    """
    n, dtype = data.train_labels.shape[0], step.params["b1"].dtype
    for labels, images in ((data.train_labels, data.train_images), (data.test_labels, data.test_images)):
        check_labels(labels, images.shape[:1], n_classes(step.params))
    batches = slices(n, schedule.batch_size)
    for epoch in range(schedule.start + 1, schedule.epochs + 1):
        order = like(stream(schedule.seed, "shuffle", epoch).permutation(n), data.train_labels)
        t = (epoch - 1) * len(batches)
        losses = [
            step(data.batch(order[batch], dtype)._replace(step=t + k, new_epoch=k == 1))
            for k, batch in enumerate(batches, start=1)
        ]
        params, state = step.snapshot()
        test_loss, correct = score(network, params, data.test_images, data.test_labels)
        found = fetch(
            {
                "losses": losses,
                "test_loss": test_loss,
                "correct": correct,
                "terms": {term.name: value_on(term, params, data.test_images, data.test_labels) for term in terms},
                "layers": measure_weights(network, params),
            }
        )
        yield epoch_log(epoch, found, batches, data.test_labels.shape[0], schedule.seed, (params, state))


def epoch_log(
    epoch: int, found: dict[str, Any], batches: list[slice], n_test: int, seed: int, at: tuple[Params, State]
) -> EpochLog:
    """The log of what an epoch found. Raises `NumericalError` where a loss is NaN or above `DIVERGED`."""
    _check(found["losses"], found["test_loss"], epoch, seed)
    params, state = at
    return EpochLog(
        epoch=epoch,
        loss=float(np.average(found["losses"], weights=[part.stop - part.start for part in batches])),
        test_loss=found["test_loss"],
        accuracy=found["correct"] / n_test,
        terms=found["terms"],
        layers=found["layers"],
        params=params,
        state=state,
    )


def score(
    network: Network, params: Params, images: UInt8[Array, "test *shape"], labels: Int[Array, "test"]
) -> tuple[Float[Array, "*models"], Float[Array, "*models"]]:
    """Mean loss and number of correct predictions, left on the device; of each model of a stack."""
    xp, dtype, n = namespace(images), params["b1"].dtype, labels.shape[0]
    gradients, losses, correct = network.gradients(params), [], []
    for part in slices(n, chunks(images).scored):
        y = for_models(labels[part], params)
        z = gradients.logits(for_models(scale(images[part, ...], dtype), params))
        losses.append(cross_entropy(z, y)[0] * (y.shape[-1] / n))
        correct.append(n_correct(z, y))
    return xp.sum(xp.stack(losses), axis=0), xp.asarray(xp.sum(xp.stack(correct), axis=0), dtype=dtype)


def value_on(
    term: Regularizer, params: Params, images: UInt8[Array, "test *shape"], labels: Int[Array, "test"]
) -> Float[Array, ""]:
    """A regularizer's value, its mean over the examples where it depends on them, left on the device."""
    dtype, n, total = params["b1"].dtype, labels.shape[0], 0.0
    for part in [slice(1)] if term.of_weights else slices(n, chunks(images).scored):
        batch = Batch(scale(images[part, ...], dtype), labels[part])
        fraction = 1.0 if term.of_weights else batch.y.shape[0] / n
        total = total + term.value_and_grad(params, batch)[0] * fraction
    return total


def slices(n: int, size: int) -> list[slice]:
    """0 to n in pieces of `size`; the last may be shorter."""
    return [slice(i, min(i + size, n)) for i in range(0, n, size)]


def _check(losses: list[float], test_loss: float, epoch: int, seed: int) -> None:
    """The test loss sees what the last step did, which no later batch of the epoch does."""
    for batch, loss in enumerate([*losses, test_loss], start=1):
        if not math.isfinite(loss) or loss > DIVERGED:
            where = f"batch {batch}" if batch <= len(losses) else f"after batch {len(losses)}"
            raise NumericalError(
                f"training failed at epoch {epoch}, {where}, seed {seed}: the loss is {loss:g};"
                " a smaller --learning-rate may help"
            )
