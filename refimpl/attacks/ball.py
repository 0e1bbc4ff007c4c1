r"""The ball an attack must stay in: its corners, the nearest point in it, directions of length one."""

import math

import numpy as np
from jaxtyping import Float, Shaped

from ..backend import Array, namespace
from ..settings import Box

Corners = tuple[Float[Array, "..."], Float[Array, "..."]]
"""The least and the largest value of each pixel."""


def bounds(x: Float[Array, "..."], eps: float, clip: Box | None = None) -> Corners:
    r"""The lower and upper corner of $\{x' : \|x' - x\|_\infty \le \epsilon\}$, cut with the pixel box `clip`."""
    xp = namespace(x)
    lower, upper = x - eps, x + eps
    if clip is None:
        return lower, upper
    return xp.clip(lower, *clip), xp.clip(upper, *clip)


def project(
    x: Float[Array, "..."], lower: Float[Array, "..."], upper: Float[Array, "..."], *, overwrite: bool = False
) -> Float[Array, "..."]:
    """The point between `lower` and `upper` nearest to `x`, in every norm, since a box treats each pixel alone.

    With `overwrite` it may take the place of x.
    """
    xp = namespace(x)
    if isinstance(x, np.ndarray):
        above = np.maximum(x, lower, out=x if overwrite else None)  # three times as fast as clip with array bounds
        return np.minimum(above, upper, out=above)
    return xp.minimum(xp.maximum(x, lower), upper)


def steps_inside(start: Float[Array, "..."], corners: Corners, length: float) -> int:
    """How many steps of this length from `start`, each pixel in either direction, cannot leave the corners.

    Rounding is allowed for: every step adds an error of less than epsilon times the largest magnitude. 0 for arrays
    of a device, for whose numbers the host would have to wait, and where there is a nan.
    """
    if not isinstance(start, np.ndarray) or not start.size:
        return 0
    lower, upper = corners
    slack = min((start - lower).min(), (upper - start).min())
    if not slack >= length:
        return 0
    rounding = 2 * np.finfo(start.dtype).eps * max(-lower.min(), upper.max())
    return int((slack - rounding) / (length + rounding)) if slack > rounding else 0


def rows(g: Float[Array, "batch ..."]) -> Float[Array, "batch n"]:
    """One row an example, whatever the shape of an example."""
    return namespace(g).reshape(g, (g.shape[0], math.prod(g.shape[1:])))


def unit(g: Float[Array, "batch ..."]) -> Float[Array, "batch ..."]:
    r"""Each example divided by its $\ell_2$ norm over all axes but the first; zero stays zero."""
    xp = namespace(g)
    flat = rows(g)
    flat = flat / _positive(xp.max(xp.abs(flat), axis=-1, keepdims=True))  # so that no square underflows
    return xp.reshape(flat / _positive(length(flat)), g.shape)


def length(g: Float[Array, "batch ..."]) -> Float[Array, "batch ..."]:
    r"""The $\ell_2$ norm of each example over all axes but the first, of length 1 in all of these."""
    xp = namespace(g)
    return xp.reshape(xp.sqrt(xp.sum(rows(g * g), axis=-1)), (g.shape[0], *(1 for _ in g.shape[1:])))


def each(values: Shaped[Array, "batch"], x: Shaped[Array, "batch ..."]) -> Shaped[Array, "batch ..."]:
    """One value an example, of as many axes as `x`."""
    return namespace(values).reshape(values, (-1, *(1 for _ in x.shape[1:])))


def _positive(x: Float[Array, "..."]) -> Float[Array, "..."]:
    xp = namespace(x)
    return xp.where(x > 0, x, xp.ones_like(x))
