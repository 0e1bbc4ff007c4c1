from typing import Any

import numpy as np
from jaxtyping import Float

from ..backend import Array, namespace
from ..projections import project


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
