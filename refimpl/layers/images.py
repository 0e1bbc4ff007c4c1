"""Grey levels as pixels."""

from typing import Any

from jaxtyping import Float, Integer

from ..backend import Array, namespace


def scale(images: Integer[Array, "batch height width"], dtype: Any) -> Float[Array, "batch n"]:
    """Grey levels 0..255 as rows of pixels in [0, 1], the unit in which eps is given."""
    xp = namespace(images)
    return xp.reshape(xp.astype(images, dtype), (images.shape[0], -1)) / 255
