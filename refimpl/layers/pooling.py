"""Max-pooling: value and `Pullback`."""

from itertools import product

from jaxtyping import Bool, Float

from ..backend import Array, namespace
from ..tape import Pullback


def max_pool(x: Float[Array, "*batch H W"]) -> tuple[Float[Array, "*batch h w"], Pullback]:
    r"""The largest of each 2 x 2 window, h = H // 2, w = W // 2; an odd last row or column is left out.

    $dx$ is $dy$ at the largest entry and 0 elsewhere. Of equal entries the first, row by row, is the largest, on
    every backend.

    >>> import numpy as np
    >>> from refimpl.layers import max_pool
    >>> y, pullback = max_pool(np.array([[1.0, 2.0], [3.0, 4.0]]))
    >>> y
    array([[4.]])
    >>> pullback.x(np.array([[1.0]]))
    array([[0., 0.],
           [0., 1.]])
    """
    xp = namespace(x)
    H, W = x.shape[-2:]
    h, w = H // 2, W // 2
    corners: list[Array] = [x[..., i : 2 * h : 2, j : 2 * w : 2] for i, j in product(range(2), repeat=2)]
    y = corners[0]
    for corner in corners[1:]:
        y = xp.maximum(y, corner)

    def dx(dy: Float[Array, "*stack h w"]) -> Float[Array, "*stack H W"]:
        dx = xp.zeros_like(xp.broadcast_to(dy[..., :1, :1], (*dy.shape[:-2], H, W)))
        for (i, j), largest in zip(product(range(2), repeat=2), _first_largest(corners, y), strict=True):
            dx[..., i : 2 * h : 2, j : 2 * w : 2] = xp.where(largest, dy, xp.zeros_like(dy))
        return dx

    return y, Pullback(x=dx)


def _first_largest(
    corners: list[Float[Array, "*batch h w"]], y: Float[Array, "*batch h w"]
) -> list[Bool[Array, "*batch h w"]]:
    """Which corner of each window is its largest entry, the first of equals."""
    found, masks = y != y, []
    for corner in corners:
        largest = (corner == y) & ~found
        found = found | largest
        masks.append(largest)
    return masks
