"""The fooling ratio: attack every correctly classified test input, trust nothing, count."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Integer, UInt8

from ..attacks.base import Attack, InputAttack, Perturb, WeightAttack
from ..attacks.verify import check, compared
from ..backend import Array, Backend, Params, fetch, namespace, to_host
from ..errors import NumericalError, UsageError
from ..layers.images import scale
from ..networks.base import Network
from ..networks.gradients import Gradients
from ..rng import drawn
from ..tables import html_table, percent, percent_interval
from ..validation import check_labels
from .accuracy import interval

Row = tuple[np.ndarray, ...]
"""Of a batch: index, label, adversarial label, distance, zero gradient, adversarial image."""


@dataclass(frozen=True)
class LabelledImages:
    """Grey levels and labels on the host, and where and how they are worked on: `chunk` examples at a time.

    None takes as many as suit the backend and the net. Where they are some of more, `some` has set `positions`, their
    places among all, and `examples_seed`, that of the draw.

    Raises `UsageError` for no images, for images that are not bytes, for other labels than one an image, 0, 1, ..., and
    for another dtype than float32 and float64, and a chunk below 1.
    """

    images: UInt8[np.ndarray, "examples *shape"]
    labels: Integer[np.ndarray, "examples"]
    backend: Backend
    dtype: str = "float32"
    chunk: int | None = None
    positions: Integer[np.ndarray, "examples"] | None = None
    examples_seed: int | None = None

    def __post_init__(self) -> None:
        images, labels = self.images, self.labels
        for name, array in (("images", images), ("labels", labels)):
            if not isinstance(array, np.ndarray):
                raise UsageError(f"{name} must be a NumPy array, got {type(array).__name__}")
        if images.dtype != np.uint8:
            raise UsageError(f"images must be grey levels 0 to 255, uint8; got {images.dtype}")
        if labels.shape != images.shape[:1] or not np.issubdtype(labels.dtype, np.integer):
            raise UsageError(f"expected {len(images)} whole numbers as labels, got {labels.dtype}{labels.shape}")
        if not images.size:
            raise UsageError(f"there must be at least one image, of at least one pixel; got the shape {images.shape}")
        if labels.min() < 0:
            raise UsageError(f"labels must be 0, 1, ..., got {labels.min()}")
        if not isinstance(self.backend, Backend):
            raise UsageError(f"expected a backend, such as backend('numpy'), got {self.backend!r}")
        if self.dtype not in ("float32", "float64"):
            raise UsageError(f"pixels must be float32 or float64, got {self.dtype!r}")
        if self.chunk is not None and (not isinstance(self.chunk, int) or self.chunk < 1):
            raise UsageError(f"a chunk must hold at least one example, got {self.chunk!r}")

    def at_a_time(self, params: Params) -> int:
        """How many examples the net of these parameters is given at a time."""
        return self.chunk or self.backend.chunks.attacked(params)

    def some(self, n: int | None, seed: int = 0) -> "LabelledImages":
        """n of them, drawn at random (`rng.drawn`), in their order; all for None, and where there are no more."""
        if n is None or n >= len(self.labels):
            return self
        at = drawn(len(self.labels), n, seed)
        return replace(self, images=self.images[at], labels=self.labels[at], positions=at, examples_seed=seed)


@dataclass(frozen=True, eq=False)
class AttackResult:
    """What an attack did to each of the n correctly classified inputs, on the host, and the summary.

    `weights` are those that an attack on weights left, the same for all inputs. `summary` has the attack's settings
    and the counts, which are attributes, too; `file` is where it was written, if it was.
    """

    summary: dict[str, Any]
    index: Integer[np.ndarray, "n"] = field(repr=False)
    label: Integer[np.ndarray, "n"] = field(repr=False)
    adversarial_label: Integer[np.ndarray, "n"] = field(repr=False)
    distance: Float[np.ndarray, "n"] = field(repr=False)
    zero_gradient: np.ndarray = field(repr=False)
    x_adv: Float[np.ndarray, "n pixels"] = field(repr=False)
    weights: Params = field(default_factory=dict, repr=False)
    file: Path | None = None

    @property
    def fooled(self) -> np.ndarray:
        return self.adversarial_label != self.label

    @property
    def attack(self) -> str:
        """The attack's name."""
        return str(self.summary["attack"])

    @property
    def eps(self) -> float:
        return float(self.summary["eps"])

    @property
    def n(self) -> int:
        """Inputs, whether classified correctly or not."""
        return int(self.summary["n"])

    @property
    def n_correct(self) -> int:
        return len(self.label)

    @property
    def n_fooled(self) -> int:
        return int(self.fooled.sum())

    @property
    def accuracy(self) -> float:
        """Without the attack."""
        return self.n_correct / self.n

    @property
    def robust_accuracy(self) -> float:
        """The fraction of all inputs that are classified correctly before and under attack."""
        return (self.n_correct - self.n_fooled) / self.n

    @property
    def fooling_ratio(self) -> float:
        """The fraction of the correctly classified inputs that are fooled; nan where there are none."""
        return self.n_fooled / self.n_correct if self.n_correct else math.nan

    @property
    def fooling_ratio_interval_95(self) -> tuple[float, float]:
        return interval(self.n_fooled, self.n_correct)

    def _repr_html_(self) -> str:
        return attack_table([self])


@dataclass(frozen=True)
class Correct:
    """Correctly classified inputs, where the computation is: which they are, and whose loss gradient is zero.

    `labels` are y on the host. `done` counts the inputs looked at so far, correctly classified or not.
    """

    indices: np.ndarray
    labels: np.ndarray
    x: Array
    y: Array
    zero_gradient: np.ndarray
    done: int


def fooling(
    network: Network,
    params: Params,
    inputs: LabelledImages,
    attacks: Sequence[InputAttack],
    *,
    surrogate: Gradients | None = None,
    progress: Callable[[int], None] = lambda done: None,
) -> list[AttackResult]:
    """Each attack's result on the test inputs the network gets right; the clean pass is shared.

    The *fooling ratio* is the fraction of correctly classified inputs whose label changes; nan where none is
    classified correctly. Works in chunks, so memory on the device does not grow with the data; the result does not
    depend on the size of the chunk but for rounding. An input whose loss gradient vanishes cannot be attacked by a
    gradient: such inputs are counted as `zero_gradients`. `surrogate` has the gradient that a warm start follows, where
    it is not that of the attacked net.

    Raises `NumericalError` where a gradient or a result is not finite, or a result is outside its budget, `UsageError`
    for arguments of another kind and for labels that are no classes of the network.
    """
    check_request(network, params, inputs, attacks, InputAttack, "PGD(eps=0.1)")
    gradients = network.gradients(params)
    found: list[list[Row]] = [[] for _ in attacks]
    starts = [attack.starts() for attack in attacks]
    batches: Iterable[Correct] = correctly_classified(gradients, inputs)
    if any(attack.prepares for attack in attacks):
        batches = list(batches)
    ready = [_prepared(attack, gradients, batches) for attack in attacks]
    for batch in batches:
        for attack, perturb, start, rows in zip(attacks, ready, starts, found, strict=True):
            x_adv = perturb(gradients, batch.x, batch.y, start, surrogate)
            rows.append(verified(batch, x_adv, gradients.logits(x_adv), attack))
        progress(batch.done)
    progress(len(inputs.labels))
    results = [result_of(attack.describe(), rows, inputs) for attack, rows in zip(attacks, found, strict=True)]
    for attack, result in zip(attacks, results, strict=True):
        result.summary.update(_more(attack, result))
    return results


def verified(batch: Correct, x_adv: Array, logits: Array, attack: Attack) -> Row:
    """The row of a batch, once its adversarial examples are seen to be what the attack may make.

    All that is looked at is computed where the examples are, and fetched at once; the images follow. Raises
    `NumericalError` as `attacks.verify`.
    """
    xp = namespace(x_adv)
    label = xp.astype(xp.argmax(logits, axis=-1), xp.float64)
    found = fetch({"label": label, **compared(batch.x, x_adv, attack.ball)})
    check(found, x_adv, eps=attack.eps, norm=attack.ball, clip=attack.clip)
    adversarial_label = found["label"].astype(np.int64)
    zero = batch.zero_gradient
    return batch.indices, batch.labels, adversarial_label, found["distance"], zero, to_host(x_adv)


def _more(attack: InputAttack, result: AttackResult) -> dict[str, Any]:
    """`median_distance` of a search for the smallest perturbation, inputs that were not fooled being infinitely far.

    `n_reached` of a targeted attack: the inputs that are given the class aimed at.
    """
    found: dict[str, Any] = {}
    if attack.smallest:
        away = np.where(result.fooled, result.distance, math.inf)
        found["median_distance"] = float(np.median(away)) if away.size else math.nan
    aim = getattr(attack, "target_class", None)
    if aim is not None:
        found["n_reached"] = int((result.fooled & (result.adversarial_label == aim)).sum())
    return found


def _prepared(attack: InputAttack, gradients: Gradients, batches: Iterable[Correct]) -> Perturb:
    """How the attack perturbs, once it has seen all inputs, if it must: then they are on the device at once."""
    pairs = [(batch.x, batch.y) for batch in batches] if attack.prepares else []
    return attack.prepared(gradients, pairs) if pairs else attack.perturb


def check_request(
    network: Any, params: Any, inputs: Any, attacks: Any, kind: type[InputAttack] | type[WeightAttack], example: str
) -> None:
    """Raise `UsageError` for what cannot be attacked, and for attacks that are not a list of this kind."""
    if not isinstance(network, Network):
        raise UsageError(f"expected a network, such as FCNN(), got {network!r}")
    if not isinstance(params, Mapping):
        raise UsageError(f"expected parameters by name, as a network's init gives them, got {type(params).__name__}")
    if not isinstance(inputs, LabelledImages):
        raise UsageError(f"expected LabelledImages(images, labels, backend), got {type(inputs).__name__}")
    if not isinstance(attacks, list | tuple):
        raise UsageError(f"expected a list of attacks, got {attacks!r}")
    for attack in attacks:
        if not isinstance(attack, kind):
            raise UsageError(f"expected attacks such as {example}, got {attack!r}")


def correctly_classified(gradients: Gradients, inputs: LabelledImages) -> Iterator[Correct]:
    """The correctly classified inputs, in batches, each with the inputs whose gradient is zero.

    Raises `UsageError` for labels that are no classes of the network.
    """
    backend, chunk = inputs.backend, inputs.at_a_time(gradients.params)
    for start in range(0, len(inputs.labels), chunk):
        part = slice(start, start + chunk)
        x = scale(backend.asarray(inputs.images[part]), backend.dtype(inputs.dtype))
        y = backend.asarray(inputs.labels[part], "int64")
        logits = gradients.logits(x)
        check_labels(inputs.labels, inputs.labels.shape, logits.shape[-1])
        prediction = to_host(backend.xp.argmax(logits, axis=-1))
        index = np.flatnonzero(prediction == inputs.labels[part])
        if not index.size:
            continue
        rows = backend.asarray(index)
        x, y = backend.xp.take(x, rows, axis=0), backend.xp.take(y, rows, axis=0)
        steepest = to_host(backend.xp.max(backend.xp.abs(gradients.loss(y)(x)), axis=-1))
        if not np.isfinite(steepest).all():
            raise NumericalError(f"the loss gradient is not finite at {(~np.isfinite(steepest)).sum()} test inputs")
        at = index + start if inputs.positions is None else inputs.positions[index + start]
        labels = inputs.labels[part][index].astype(np.int64)
        yield Correct(at, labels, x, y, steepest == 0, min(start + chunk, len(inputs.labels)))


def result_of(settings: dict[str, Any], rows: list[Row], inputs: LabelledImages) -> AttackResult:
    """The rows of all batches, and the counts; `settings` are those of the attack."""
    pixels = int(np.prod(inputs.images.shape[1:]))
    empty = (*(np.zeros(0, int) for _ in range(5)), np.zeros((0, pixels)))
    index, label, adversarial_label, moved, zero_gradient, x_adv = (
        np.concatenate(column) for column in zip(*(rows or [empty]), strict=True)
    )
    n, n_correct, n_fooled = len(inputs.labels), len(index), int((adversarial_label != label).sum())
    low, high = interval(n_fooled, n_correct)
    summary = {
        **settings,
        "n": n,
        "n_correct": n_correct,
        "n_fooled": n_fooled,
        "accuracy": n_correct / n,
        "robust_accuracy": (n_correct - n_fooled) / n,
        "fooling_ratio": n_fooled / n_correct if n_correct else math.nan,
        "fooling_ratio_interval_95": [low, high],
        "mean_distance": float(moved.mean()) if n_correct else math.nan,
        "zero_gradients": int(zero_gradient.sum()),
    } | ({} if inputs.examples_seed is None else {"examples_seed": inputs.examples_seed})
    return AttackResult(
        summary, index, label, adversarial_label, moved.astype(float), zero_gradient.astype(bool), x_adv
    )


def attack_table(results: Sequence[AttackResult]) -> str:
    """Results in HTML, a row for each."""
    rows = [
        (
            f"{one.attack}, l_{one.summary['norm']}",
            f"{one.eps:g}",
            percent(one.fooling_ratio),
            percent_interval(one.fooling_ratio_interval_95),
            f"{one.n_fooled} of {one.n_correct}",
            percent(one.robust_accuracy),
        )
        for one in results
    ]
    header = ("attack", "eps", "fooling ratio", "95 % interval", "fooled, of correct", "robust accuracy")
    return html_table("fooling ratios", header, rows)
