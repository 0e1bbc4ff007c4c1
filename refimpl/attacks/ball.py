r"""The ball an attack must stay in: its corners, the nearest point in it, directions of length one, the sign step."""

from typing import Any

import numpy as np
from jaxtyping import Float

from ..backend import Array, namespace


def ascend(
    x: Float[Array, "..."],
    gradient: Float[Array, "..."],
    length: float,
    lower: Float[Array, "..."],
    upper: Float[Array, "..."],
) -> Float[Array, "..."]:
    r"""One projected sign step, $\Pi(x + \mathrm{length} \cdot \mathrm{sign}(g))$: what FGSM does once and PGD often.

    The sign is the steepest ascent in $\ell_\infty$; sign(0) = 0, and nan stays nan.
    """
    if isinstance(gradient, np.ndarray):
        return _ascend_numpy(x, gradient, length, lower, upper)
    return project(x + length * namespace(gradient).sign(gradient), lower, upper)


def _ascend_numpy(
    x: Float[np.ndarray, "..."],
    gradient: Float[np.ndarray, "..."],
    length: float,
    lower: Float[np.ndarray, "..."],
    upper: Float[np.ndarray, "..."],
) -> Float[np.ndarray, "..."]:
    """The same bits in half the time. NumPy takes the sign of one float at a time, but of many integers at once.

    Where no entry is zero or nan, length * sign(g) has the sign bit of g and all other bits of `length`.
    """
    if np.isnan(gradient.max(initial=0)) or not (gradient != 0).all():
        return project(x + length * np.sign(gradient), lower, upper)
    integer: Any = {4: np.int32, 8: np.int64}[gradient.itemsize]
    step = gradient.view(integer) & integer(np.iinfo(integer).min)
    np.bitwise_or(step, gradient.dtype.type(length).view(integer), out=step)
    ahead = step.view(gradient.dtype)
    np.add(x, ahead, out=ahead)
    np.maximum(ahead, lower, out=ahead)
    return np.minimum(ahead, upper, out=ahead)


def unit(g: Float[Array, "batch ..."]) -> Float[Array, "batch ..."]:
    r"""Each example divided by its $\ell_2$ norm over all axes but the first; zero stays zero."""
    xp = namespace(g)
    flat = xp.reshape(g, (g.shape[0], -1))
    flat = flat / _positive(xp.max(xp.abs(flat), axis=-1, keepdims=True))  # so that no square underflows
    return xp.reshape(flat / _positive(length(flat)), g.shape)


def length(g: Float[Array, "batch n"]) -> Float[Array, "batch 1"]:
    xp = namespace(g)
    return xp.sqrt(xp.sum(g * g, axis=-1, keepdims=True))


def _positive(x: Float[Array, "..."]) -> Float[Array, "..."]:
    xp = namespace(x)
    return xp.where(x > 0, x, xp.ones_like(x))


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
