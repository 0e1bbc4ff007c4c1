r"""Nearest points of the sets an attack must stay in."""

from jaxtyping import Float

from .backend import Array, namespace

Box = tuple[float, float]


def bounds(
    x: Float[Array, "..."], eps: float, clip: Box | None = None
) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
    r"""The lower and upper corner of $\{x' : \|x' - x\|_\infty \le \epsilon\}$, cut with the pixel box `clip`."""
    xp = namespace(x)
    lower, upper = x - eps, x + eps
    if clip is None:
        return lower, upper
    return xp.clip(lower, *clip), xp.clip(upper, *clip)


def project(x: Float[Array, "..."], lower: Float[Array, "..."], upper: Float[Array, "..."]) -> Float[Array, "..."]:
    """The point between `lower` and `upper` nearest to `x`, in every norm, since a box treats each pixel alone."""
    xp = namespace(x)
    return xp.minimum(xp.maximum(x, lower), upper)  # on NumPy three times as fast as clip with array bounds
