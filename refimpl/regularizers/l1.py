"""The l1 norm, Eq. (5), and its proximal step."""

from jaxtyping import Float

from ..backend import Array, namespace
from .base import Scalar, _check_threshold


def l1(W: Float[Array, "m n"]) -> tuple[Scalar, Float[Array, "m n"]]:
    r"""$\|W\|_1 = \sum |W_{ij}|$, Eq. (5), and $\mathrm{sign}(W)$, with sign(0) = 0."""
    xp = namespace(W)
    return xp.sum(xp.abs(W)), xp.sign(W)


def soft_threshold(W: Float[Array, "..."], t: float) -> Float[Array, "..."]:
    r"""The proximal step of $t \|W\|_1$: every entry t nearer to zero, and zero where it is less than t away.

    $\arg\min_Z \frac12 \|Z - W\|_F^2 + t \|Z\|_1$, entry by entry (Donoho 1995).
    """
    xp = namespace(W)
    _check_threshold(t)
    return xp.sign(W) * xp.maximum(xp.abs(W) - t, xp.zeros_like(W))
