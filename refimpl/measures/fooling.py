"""The fooling ratio: attack every correctly classified test input, trust nothing, count."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float, Integer, UInt8

from ..attacks import distance, verify
from ..attacks.base import Attack, Guide
from ..backend import Array, Backend, Params, to_host
from ..errors import NumericalError
from ..layers.images import scale
from ..networks.gradients import Network, logits, loss_gradient
from .accuracy import interval


@dataclass(frozen=True)
class Outcome:
    """What an attack did to each of the n correctly classified inputs, on the host, and the summary.

    `weights` are those an attack on weights left, the same for all inputs.
    """

    summary: dict[str, Any]
    index: Integer[np.ndarray, "n"]
    label: Integer[np.ndarray, "n"]
    adversarial_label: Integer[np.ndarray, "n"]
    distance: Float[np.ndarray, "n"]
    zero_gradient: np.ndarray
    x_adv: Float[np.ndarray, "n pixels"]
    weights: Params = field(default_factory=dict)

    @property
    def fooled(self) -> np.ndarray:
        return self.adversarial_label != self.label


@dataclass(frozen=True)
class Batch:
    index: np.ndarray
    x: Array
    y: Array
    zero_gradient: np.ndarray


def fooling(
    network: Network,
    params: Params,
    images: UInt8[np.ndarray, "examples height width"],
    labels: UInt8[np.ndarray, "examples"],
    attacks: Sequence[Attack],
    *,
    backend: Backend,
    dtype: str = "float32",
    chunk: int = 256,
    guide: Guide | None = None,
    progress: Callable[[int], None] = lambda done: None,
) -> list[Outcome]:
    """Each attack's outcome on the test inputs the network gets right; the clean pass is shared.

    The *fooling ratio* is the share of correctly classified inputs whose label changes; nan where none is
    classified correctly. Works in chunks of `chunk` examples, so memory on the device does not grow with the data;
    the result does not depend on the size of the chunk but for rounding. An input whose loss gradient vanishes
    cannot be attacked by a gradient: such inputs are counted as `zero_gradients`. `guide` is the net whose gradient a
    warm start follows, where it is not the one attacked.

    Raises `NumericalError` where a gradient or a result is not finite, or a result is outside its budget.
    """
    found: list[list[tuple[np.ndarray, ...]]] = [[] for _ in attacks]
    starts = [attack.starts() for attack in attacks]
    for batch in correctly_classified(network, params, images, labels, backend, dtype, chunk):
        x = to_host(batch.x)
        for attack, start, rows in zip(attacks, starts, found, strict=True):
            x_adv = attack.perturb(network, params, batch.x, batch.y, start, guide)
            label = to_host(backend.xp.argmax(logits(network, params, x_adv), axis=-1))
            x_adv = to_host(x_adv)
            verify(x, x_adv, eps=attack.eps, norm=attack.norm, clip=attack.clip)
            moved = distance(x, x_adv, attack.norm)
            rows.append((batch.index, to_host(batch.y), label, moved, batch.zero_gradient, x_adv))
        progress(int(batch.index[-1]) + 1)
    progress(len(labels))
    return [outcome_of(attack.name, asdict(attack), rows, images) for attack, rows in zip(attacks, found, strict=True)]


def correctly_classified(
    network: Network,
    params: Params,
    images: np.ndarray,
    labels: np.ndarray,
    backend: Backend,
    dtype: str,
    chunk: int,
) -> Iterator[Batch]:
    """The correctly classified inputs, in batches, each with the inputs whose gradient is zero."""
    for start in range(0, len(labels), chunk):
        x = scale(backend.asarray(images[start : start + chunk]), backend.dtype(dtype))
        y = backend.asarray(labels[start : start + chunk], "int64")
        prediction = to_host(backend.xp.argmax(logits(network, params, x), axis=-1))
        index = np.flatnonzero(prediction == labels[start : start + chunk])
        if not index.size:
            continue
        rows = backend.asarray(index)
        x, y = backend.xp.take(x, rows, axis=0), backend.xp.take(y, rows, axis=0)
        steepest = to_host(backend.xp.max(backend.xp.abs(loss_gradient(network, params, y)(x)), axis=-1))
        if not np.isfinite(steepest).all():
            raise NumericalError(f"the loss gradient is not finite at {(~np.isfinite(steepest)).sum()} test inputs")
        yield Batch(index + start, x, y, steepest == 0)


def outcome_of(name: str, settings: dict[str, Any], rows: list[tuple[np.ndarray, ...]], images: np.ndarray) -> Outcome:
    """The rows of all batches, and the counts: index, label, adversarial label, distance, zero gradient, image."""
    pixels = int(np.prod(images.shape[1:]))
    empty = (*(np.zeros(0, int) for _ in range(5)), np.zeros((0, pixels)))
    index, label, adversarial_label, moved, zero_gradient, x_adv = (
        np.concatenate(column) for column in zip(*(rows or [empty]), strict=True)
    )
    n, n_correct, n_fooled = len(images), len(index), int((adversarial_label != label).sum())
    low, high = interval(n_fooled, n_correct)
    summary = {
        "attack": name,
        **{key: value for key, value in settings.items() if key != "name"},
        "n": n,
        "n_correct": n_correct,
        "n_fooled": n_fooled,
        "accuracy": n_correct / n,
        "adversarial_accuracy": (n_correct - n_fooled) / n,
        "fooling_ratio": n_fooled / n_correct if n_correct else math.nan,
        "fooling_ratio_interval_95": [low, high],
        "mean_distance": float(moved.mean()) if n_correct else math.nan,
        "zero_gradients": int(zero_gradient.sum()),
    }
    return Outcome(summary, index, label, adversarial_label, moved.astype(float), zero_gradient.astype(bool), x_adv)
