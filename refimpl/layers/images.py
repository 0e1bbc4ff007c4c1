"""Pixels: grey levels as numbers in [0, 1], rows of pixels as images and back."""

import math
from typing import Any

from jaxtyping import Float, Integer

from ..backend import Array, namespace
from ..errors import UsageError
from ..tape import Pullback

Shape = tuple[int, int, int]
"""Channels, height, width of an image."""


def scale(images: Integer[Array, "batch *shape"], dtype: Any) -> Float[Array, "batch n"]:
    """Grey levels 0..255 as rows of pixels in [0, 1], the unit in which eps is given."""
    xp = namespace(images)
    return xp.reshape(xp.astype(images, dtype), (images.shape[0], -1)) / 255


def square(n: int, channels: int = 1) -> Shape:
    """The shape of square images of n numbers. Raises `UsageError` where there are none."""
    side = math.isqrt(n // channels)
    if not n or channels * side**2 != n:
        raise UsageError(f"{n} inputs are no square images of {channels} channel(s)")
    return channels, side, side


def as_images(x: Float[Array, "*batch n"], shape: Shape) -> tuple[Float[Array, "*batch C H W"], Pullback]:
    """Rows of pixels as images of `shape`, and back."""
    xp, n = namespace(x), x.shape[-1]
    images = xp.reshape(x, (*x.shape[:-1], *shape))
    return images, Pullback(x=lambda dy: xp.reshape(dy, (*dy.shape[:-3], n)))


def as_rows(x: Float[Array, "batch *shape"]) -> tuple[Float[Array, "batch n"], Pullback]:
    """One row an example, and back."""
    xp, shape = namespace(x), x.shape
    return xp.reshape(x, (shape[0], -1)), Pullback(x=lambda dy: xp.reshape(dy, (*dy.shape[:-1], *shape[1:])))
