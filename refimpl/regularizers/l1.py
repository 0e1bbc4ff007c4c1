"""The l1 norm, Eq. (5), and its proximal step."""

from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float

from ..backend import Array, namespace
from ..settings import by_layer
from .base import REGULARIZERS, LayerNorm, check_threshold


def l1(W: Float[Array, "*models m n"]) -> tuple[Float[Array, "*models"], Float[Array, "*models m n"]]:
    r"""$\|W\|_1 = \sum |W_{ij}|$, Eq. (5), and $\mathrm{sign}(W)$, with sign(0) = 0.

    >>> import numpy as np
    >>> import refimpl as ri
    >>> value, gradient = ri.regularizers.l1(np.array([[1.0, -2.0], [0.0, 3.0]]))
    >>> print(value)
    6.0
    >>> gradient
    array([[ 1., -1.],
           [ 0.,  1.]])
    """
    xp = namespace(W)
    return xp.sum(xp.abs(W), axis=(-2, -1)), xp.sign(W)


def soft_threshold(W: Float[Array, "..."], t: float) -> Float[Array, "..."]:
    r"""The proximal step of $t \|W\|_1$: every entry t nearer to zero, and zero where it is less than t away.

    $\arg\min_Z \frac12 \|Z - W\|_F^2 + t \|Z\|_1$, entry by entry (Donoho 1995).

    >>> import numpy as np
    >>> import refimpl as ri
    >>> ri.regularizers.soft_threshold(np.array([3.0, 1.0, 0.5, -2.0]), 1.0)
    array([ 2.,  0.,  0., -1.])
    """
    xp = namespace(W)
    check_threshold(t)
    return xp.sign(W) * xp.maximum(xp.abs(W) - t, xp.zeros_like(W))


@REGULARIZERS.register("l1")
@dataclass(frozen=True)
class L1(LayerNorm):
    """The l1 norm of layers, Eq. (5)."""

    name: ClassVar[str] = "l1"
    layers: dict[str, float] = by_layer("l1 norm of layers, Eq. (5): 1=0.01 adds 0.01 |W1|_1 to the loss.")

    def norm(self, W: Array) -> tuple[Array, Array]:
        return l1(W)

    def shrink(self, W: Array, t: float) -> Array:
        return soft_threshold(W, t)
