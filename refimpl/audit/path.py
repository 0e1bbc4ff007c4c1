"""What happens between the steps of an attack, recording through the gradients it asks for."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from ..attacks import InputAttack
from ..attacks.base import Target
from ..attacks.losses import cross_entropy
from ..backend import Array, to_host
from ..layers.images import Shape
from ..layers.loss import Loss, LossAt


class Path(NamedTuple):
    """The loss, and whether an example is fooled, where each gradient was taken, and at the end."""

    loss: Float[np.ndarray, "points examples"]
    fooled: Bool[np.ndarray, "points examples"]

    @classmethod
    def joined(cls, parts: Sequence["Path"]) -> "Path":
        """Of several batches."""
        return cls(*(np.concatenate(column, axis=1) for column in zip(*parts, strict=True)))

    @property
    def silent(self) -> Bool[np.ndarray, "examples"]:
        """Whether an example was fooled on the way, and is not at the end."""
        return self.fooled.any(axis=0) & ~self.fooled[-1]


@dataclass(frozen=True)
class Recording:
    """A net that keeps what it was asked about: the loss and the labels at each point."""

    net: Target
    y: Int[Array, "batch"]
    loss_at: list[np.ndarray] = field(default_factory=list)
    fooled_at: list[np.ndarray] = field(default_factory=list)

    def look(self, at: LossAt) -> Array:
        self.loss_at.append(to_host(at.value))
        self.fooled_at.append(to_host(at.logits).argmax(axis=-1) != to_host(self.y))
        return at.gradient

    def loss(self, y: Array) -> Callable[[Array], Array]:
        at = self.net.value_and_grad(cross_entropy, y)
        return lambda x: self.look(at(x))

    def value_and_grad(self, loss: Loss, *labels: Array) -> Callable[[Array], LossAt]:
        return self.net.value_and_grad(loss, *labels)

    def logits(self, x: Array) -> Array:
        return self.net.logits(x)

    def margins(self, k: Array) -> Callable[[Array], tuple[Array, Array]]:
        return self.net.margins(k)

    def least_margin(self, k: Array) -> Callable[[Array], Array]:
        return self.net.least_margin(k)

    def image_shape(self, n: int) -> Shape:
        return self.net.image_shape(n)


def recorded_path(net: Target, attack: InputAttack, x: Float[Array, "batch n"], y: Int[Array, "batch"]) -> Path:
    """The path of an attack that follows the gradient of the cross-entropy, from one start."""
    recording = Recording(net, y)
    x_adv = attack.perturb(recording, x, y, attack.starts())
    recording.look(net.value_and_grad(cross_entropy, y)(x_adv))
    return Path(np.stack(recording.loss_at), np.stack(recording.fooled_at))
