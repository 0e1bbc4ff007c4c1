"""Max-pooling: value and `Pullback`."""

from itertools import product

from jaxtyping import Bool, Float

from ..backend import Array, namespace
from ..tape import Pullback

TIE = 32.0
"""Entries of a window count as equal up to so many times the machine epsilon of the image's largest magnitude."""


def max_pool(x: Float[Array, "*batch C H W"]) -> tuple[Float[Array, "*batch C h w"], Pullback]:
    r"""The largest of each 2 x 2 window, h = H // 2, w = W // 2; an odd last row or column is left out.

    $dx$ is $dy$ at the largest entry and 0 elsewhere. Of equal entries the first, row by row, is the largest, on
    every backend.

    Equal means equal up to rounding: at least $\max - 32\,\epsilon\,s$, with the machine epsilon and the largest
    magnitude s of y in the image, all channels. Equal patches do not have equal convolutions, for a matrix product
    rounds a patch by its place in the batch, and chance would choose in flat regions. A sum of n products with signs
    at random is a random walk. Its partial sums are about $\sqrt{j/n}$ of it, rounding errs by $\epsilon / \sqrt{12}$
    of each, together by $\epsilon \sqrt{n/24}$, and two such sums differ by $\sqrt 2$ times that: $4.9\,\epsilon$ for
    the 288 products of the paper's second block, of which 32 is more than six times as much. (Higham and Mary 2019
    prove such bounds, and that the worst case grows as n.) s is of the image because rounding is relative to the
    products, not to their sum: a filter whose weights nearly cancel leaves of a flat region little but rounding.

    >>> import numpy as np
    >>> from refimpl.layers import max_pool
    >>> y, pullback = max_pool(np.array([[[1.0, 2.0], [3.0, 4.0]]]))
    >>> y
    array([[[4.]]])
    >>> pullback.x(np.array([[[1.0]]]))
    array([[[0., 0.],
            [0., 1.]]])
    """
    xp = namespace(x)
    H, W = x.shape[-2:]
    h, w = H // 2, W // 2
    corners: list[Array] = [x[..., i : 2 * h : 2, j : 2 * w : 2] for i, j in product(range(2), repeat=2)]
    y = corners[0]
    for corner in corners[1:]:
        y = xp.maximum(y, corner)

    def dx(dy: Float[Array, "*stack C h w"]) -> Float[Array, "*stack C H W"]:
        dx = xp.zeros_like(xp.broadcast_to(dy[..., :1, :1], (*dy.shape[:-2], H, W)))
        for (i, j), largest in zip(product(range(2), repeat=2), _first_largest(corners, y), strict=True):
            dx[..., i : 2 * h : 2, j : 2 * w : 2] = xp.where(largest, dy, xp.zeros_like(dy))
        return dx

    return y, Pullback(x=dx)


def _first_largest(
    corners: list[Float[Array, "*batch C h w"]], y: Float[Array, "*batch C h w"]
) -> list[Bool[Array, "*batch C h w"]]:
    """Which corner of each window is its largest entry, the first of those that are equal up to `TIE`."""
    xp = namespace(y)
    scale = xp.max(xp.abs(y), axis=(-3, -2, -1), keepdims=True)
    least = y - TIE * float(xp.finfo(y.dtype).eps) * scale
    found, masks = y != y, []
    for corner in corners:
        largest = (corner >= least) & ~found
        found = found | largest
        masks.append(largest)
    return masks
