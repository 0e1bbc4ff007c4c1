r"""The primitives of the convolutional net, each with its derivation: value and `Pullback`.

Images are (..., C, H, W). A convolution is a matrix product: its filters, one a row, $\tilde W$ of shape
(O, C k k), times the patches of the image, one a column. $\tilde W$ is what the paper's metrics and regularizers see
(Appendix B).
"""

from itertools import product

from jaxtyping import Float

from ..backend import Array, namespace
from ..errors import UsageError
from ..parameters import as_matrix
from ..tape import Pullback


def im2col(x: Float[Array, "*batch C H W"], k: int) -> Float[Array, "*batch Ckk P"]:
    """The k x k patches of an image, one a column, P = (H-k+1)(W-k+1) of them; rows ordered as (C, k, k)."""
    xp = namespace(x)
    *batch, C, H, W = x.shape
    h, w = H - k + 1, W - k + 1
    patches = xp.stack([x[..., i : i + h, j : j + w] for i, j in product(range(k), repeat=2)], axis=-3)
    return xp.reshape(patches, (*batch, C * k * k, h * w))


def col2im(columns: Float[Array, "*batch Ckk P"], k: int, shape: tuple[int, int, int]) -> Float[Array, "*batch C H W"]:
    r"""The adjoint of `im2col` for images of `shape` (C, H, W): each entry is added back to the pixel it came from.

    $\langle \mathrm{im2col}(x), c \rangle = \langle x, \mathrm{col2im}(c) \rangle$, which is all that the chain rule
    asks of it.
    """
    xp = namespace(columns)
    C, H, W = shape
    batch, h, w = columns.shape[:-2], H - k + 1, W - k + 1
    patches = xp.reshape(columns, (*batch, C, k * k, h, w))
    x = xp.zeros_like(xp.broadcast_to(columns[..., :1, :1, None], (*batch, C, H, W)))
    for n, (i, j) in enumerate(product(range(k), repeat=2)):
        x[..., i : i + h, j : j + w] += patches[..., n, :, :]
    return x


def conv2d(
    x: Float[Array, "batch channels H W"], W: Float[Array, "O C k k"], b: Float[Array, "O"]
) -> tuple[Float[Array, "batch O h w"], Pullback]:
    r"""$y = \tilde W\,\mathrm{im2col}(x) + b$: a cross-correlation of stride 1, no padding, h = H-k+1, w = W-k+1.

    It is affine, so that its derivatives are those of `dense.affine` with patches for examples:
    $dx = \mathrm{col2im}(\tilde W^\top dy)$, $\;d\tilde W = \sum_{batch} dy\,\mathrm{im2col}(x)^\top$,
    $\;db = \sum dy$. Raises `UsageError` where the channels differ or the image is smaller than a filter.

    >>> import numpy as np
    >>> from refimpl.layers import conv2d
    >>> conv2d(np.ones((1, 1, 3, 3)), np.ones((1, 1, 2, 2)), np.array([1.0]))[0]
    array([[[[5., 5.],
             [5., 5.]]]])
    """
    xp = namespace(x)
    (filters, C, k, _), (batch, channels, H, width) = W.shape, x.shape
    if channels != C or min(H, width) < k:
        raise UsageError(f"filters {tuple(W.shape)} need {C} channels of at least {k} x {k}, got images {x.shape[1:]}")
    h, w = H - k + 1, width - k + 1
    columns, matrix = im2col(x, k), as_matrix(W)
    y = xp.reshape(matrix @ columns + b[:, None], (batch, filters, h, w))

    def dx(dy: Float[Array, "*stack batch O h w"]) -> Float[Array, "*stack batch C H W"]:
        dy = xp.reshape(dy, (*dy.shape[:-2], h * w))
        return col2im(xp.matrix_transpose(matrix) @ dy, k, (C, H, width))

    def params(dy: Float[Array, "batch O h w"]) -> tuple[Float[Array, "O C k k"], Float[Array, "O"]]:
        dy = xp.reshape(dy, (batch, filters, h * w))
        dW = xp.sum(dy @ xp.matrix_transpose(columns), axis=0)
        return xp.reshape(dW, W.shape), xp.sum(dy, axis=(0, 2))

    return y, Pullback(x=dx, params=params)


def pad(x: Float[Array, "*batch H W"], width: int) -> tuple[Float[Array, "*batch h w"], Pullback]:
    """A border of `width` zeros; its pullback cuts the border off."""
    xp = namespace(x)
    if not width:
        return x, Pullback(x=lambda dy: dy)
    *batch, H, W = x.shape
    zeros = xp.zeros_like(x[..., :1, :1])
    side = xp.broadcast_to(zeros, (*batch, H, width))
    x = xp.concat([side, x, side], axis=-1)
    edge = xp.broadcast_to(zeros, (*batch, width, W + 2 * width))
    inside = slice(width, width + H), slice(width, width + W)
    return xp.concat([edge, x, edge], axis=-2), Pullback(x=lambda dy: dy[..., *inside])
