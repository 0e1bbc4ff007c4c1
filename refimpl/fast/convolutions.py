r"""Convolutions on NumPy for 2 x 2 max-pooling: the four entries of each pooling window, every array allocated once.

`TileConvolution`, for few channels: the four entries of a window depend on a tile of (k+1) x (k+1) pixels, and all
tiles are copied once, where patches of k x k for each entry would be almost four times as many numbers; they are
multiplied by filters widened with zeros. `WinogradConvolution`, for filters of 3 x 3 on many channels, multiplies 16
times for each window, channel and filter, where the definition does 36 times: forward and in both gradients.
`PatchConvolution` is for other filters on many channels. Entries that pooling leaves out are never made. Images go in
and out row by row and column by column, with the batch and the channels inside, so that copies are of long runs.
"""

from functools import cache
from itertools import product
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpy.lib.stride_tricks import as_strided

from .products import rows_at_a_time

FEW = 4
"""Up to so many channels the runs of patches, and the products of Winograd's algorithm, are too short."""


class Filters(NamedTuple):
    """A convolution's weights as both passes multiply by them, and its bias."""

    forward: Float[np.ndarray, "... O"]
    backward: Float[np.ndarray, "..."]
    b: Float[np.ndarray, "O"]


class TileConvolution:
    """Of filters on few channels; x and tiles have the batch innermost."""

    def __init__(self, batch: int, side: int, W: Float[np.ndarray, "O C k k"], border: int) -> None:
        (F, C, self.k, _), full = W.shape, side + 2 * border
        self.h = h = (full - self.k + 1) // 2
        self.shape = self.k + 1, self.k + 1, C, h, h, batch
        x, self.dx = np.zeros((2, full, full, C, batch), W.dtype)
        inside = slice(border, border + side), slice(border, border + side)
        self.inside, self.dx_inside = (a[inside].swapaxes(2, 3) for a in (x, self.dx))
        row, column, channel, n = x.strides
        self.tiles_of_x = as_strided(x, self.shape, (row, column, channel, 2 * row, 2 * column, n), writeable=False)
        self.tiles = np.empty(self.shape, W.dtype)
        K, windows = (self.k + 1) ** 2 * C, h * h * batch
        self.blocks = windows // (rows := rows_at_a_time(windows, K * F))
        self.matrix = self.tiles.reshape(K, self.blocks, rows).transpose(1, 2, 0)
        self.dW_blocks = np.empty((4, self.blocks, K, F), W.dtype)
        self.columns = np.empty((4, self.k**2 * C, windows), W.dtype)

    @staticmethod
    def filters(W: Float[np.ndarray, "O C k k"], b: Float[np.ndarray, "O"]) -> Filters:
        """Forward those of each entry of a window, zero where the tile is no part of its patch."""
        F, C, k, _ = W.shape
        wide, W = np.zeros((2, 2, k + 1, k + 1, C, F), W.dtype), W.transpose(2, 3, 1, 0)
        for p, q in product(range(2), repeat=2):
            wide[p, q, p : p + k, q : q + k] = W
        return Filters(wide.reshape(4, 1, -1, F), W.reshape(-1, F), b)

    def forward(self, filters: Filters, y: Float[np.ndarray, "4 windows O"]) -> None:
        """From x into y."""
        np.copyto(self.tiles, self.tiles_of_x)
        np.matmul(self.matrix, filters.forward, out=self._in_blocks(y))

    def backward(self, dy: Float[np.ndarray, "4 windows O"]) -> None:
        """Nothing is to be done with dy before the gradients."""

    def weight_gradient(self, dy: Float[np.ndarray, "4 windows O"]) -> Float[np.ndarray, "O C k k"]:
        """After `forward`, and before `input_gradient`, which overwrites the tiles."""
        np.matmul(self.matrix.swapaxes(1, 2), self._in_blocks(dy), out=self.dW_blocks)
        wide, k = np.add.reduce(self.dW_blocks, axis=1), self.k
        wide = wide.reshape(2, 2, *self.shape[:3], -1)
        dW = sum(wide[p, q, p : p + k, q : q + k] for p, q in product(range(2), repeat=2))
        return dW.transpose(3, 2, 0, 1)

    def input_gradient(
        self, filters: Filters, dy: Float[np.ndarray, "4 windows O"]
    ) -> Float[np.ndarray, "side side batch C"]:
        """Gradient with respect to x without its border."""
        blocks = self.columns.reshape(4, -1, self.blocks, self.matrix.shape[1]).swapaxes(1, 2)
        np.matmul(filters.backward, self._in_blocks(dy).swapaxes(2, 3), out=blocks)
        self.tiles[...] = 0
        columns = self.columns.reshape(2, 2, self.k, self.k, *self.shape[2:])
        for p, q, i, j in product(range(2), range(2), range(self.k), range(self.k)):
            self.tiles[p + i, q + j] += columns[p, q, i, j]
        add_tiles(self.tiles.transpose(0, 1, 3, 4, 2, 5), self.dx)
        return self.dx_inside

    def _in_blocks(self, y: Float[np.ndarray, "4 windows O"]) -> Float[np.ndarray, "4 blocks rows O"]:
        return y.reshape(4, self.blocks, -1, y.shape[-1])


class PatchConvolution:
    r"""Of any filters on many channels, whose patches are copied in k runs of k C numbers; x has channels last.

    The gradient with respect to x is a convolution, too, of dy between zeros with the filters turned by 180 degrees:
    copying its patches takes a third of the time of adding those of $W^\top dy$ up.
    """

    def __init__(self, batch: int, side: int, W: Float[np.ndarray, "O C k k"], border: int) -> None:
        (F, C, k, _), full = W.shape, side + 2 * border
        self.h = h = (full - k + 1) // 2
        x = np.zeros((batch, full, full, C), W.dtype)
        self.inside = x[:, border : border + side, border : border + side].transpose(1, 2, 0, 3)
        n, row, column, channel = x.strides
        shape, strides = (2, 2, h, h, batch, k, k * C), (row, column, 2 * row, 2 * column, n, row, channel)
        self.patches_of_x = as_strided(x, shape, strides, writeable=False)
        self.patches = np.empty(shape, W.dtype)
        self.rows = rows_at_a_time(4 * h * h * batch, W.size)
        dy, first = np.zeros((batch, side + k - 1, side + k - 1, F), W.dtype), k - 1 - border
        inside = dy[:, first : first + 2 * h, first : first + 2 * h].transpose(1, 2, 0, 3)
        self.dy = [inside[p::2, q::2] for p, q in product(range(2), repeat=2)]
        n, row, column, channel = dy.strides
        dy_shape, dy_strides = (batch, side, side, k, k * F), (n, row, column, row, channel)
        self.patches_of_dy = as_strided(dy, dy_shape, dy_strides, writeable=False)
        self.together = next(n for n in (4, 3, 2, 1) if batch % n == 0)
        self.dy_patches = np.empty((self.together, *dy_shape[1:]), W.dtype)
        self.dx = np.empty((batch, side, side, C), W.dtype)
        rows = rows_at_a_time(self.together * side * side, W.size)
        self.dy_matrix = self.dy_patches.reshape(-1, rows, k * k * F)
        self.dx_blocks = self.dx.reshape(batch // self.together, -1, rows, C)

    @staticmethod
    def filters(W: Float[np.ndarray, "O C k k"], b: Float[np.ndarray, "O"]) -> Filters:
        """In the order of patches, backward turned."""
        F, C, *_ = W.shape
        turned = W[..., ::-1, ::-1].transpose(2, 3, 0, 1)
        return Filters(W.transpose(2, 3, 1, 0).reshape(-1, F), turned.reshape(-1, C), b)

    def forward(self, filters: Filters, y: Float[np.ndarray, "4 windows O"]) -> None:
        """From x into y."""
        np.copyto(self.patches, self.patches_of_x)
        matrix = self.patches.reshape(-1, self.rows, len(filters.forward))
        np.matmul(matrix, filters.forward, out=y.reshape(-1, self.rows, y.shape[-1]))

    def backward(self, dy: Float[np.ndarray, "4 windows O"]) -> None:
        """Put dy between zeros."""
        for part, corner in zip(self.dy, dy, strict=True):
            part[...] = corner.reshape(part.shape)

    def weight_gradient(self, dy: Float[np.ndarray, "4 windows O"]) -> Float[np.ndarray, "O C k k"]:
        """After `forward`."""
        F, (k, kC) = dy.shape[-1], self.patches.shape[-2:]
        dW = np.dot(dy.reshape(-1, F).T, self.patches.reshape(-1, k * kC))
        return dW.reshape(F, k, k, -1).transpose(0, 3, 1, 2)

    def input_gradient(
        self, filters: Filters, dy: Float[np.ndarray, "4 windows O"]
    ) -> Float[np.ndarray, "side side batch C"]:
        """Gradient with respect to x without its border, after `backward`."""
        for i, dx in enumerate(self.dx_blocks):
            np.copyto(self.dy_patches, self.patches_of_dy[i * self.together : (i + 1) * self.together])
            np.matmul(self.dy_matrix, filters.backward, out=dx)
        return self.dx.transpose(1, 2, 0, 3)


B_T = np.array([[1, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, 1, 0, -1]])
G = np.array([[2, 0, 0], [1, 1, 1], [1, -1, 1], [0, 0, 2]]) / 2
A_T = np.array([[1, 1, 1, 0], [0, 1, -1, -1]])
r"""Of Lavin and Gray (2016), Section 4.1: $A^\top ((G g) \odot (B^\top d))$ are the two entries of the correlation of
four numbers d with three numbers g."""


class WinogradConvolution:
    r"""Of filters of 3 x 3, by Winograd's minimal algorithm F(2 x 2, 3 x 3) (Lavin and Gray 2016); x has channels last.

    Of a tile d of 4 x 4 pixels, $V = (B \otimes B)^\top d$; of a filter, $U = (G \otimes G) W$; each of their 16
    entries is multiplied for itself, $M_i = V_i U_i$, a product of matrices over channels; $y = (A \otimes A)^\top M$.
    Every step is linear in d and in W, and the gradients go back through the transposes.
    """

    def __init__(self, batch: int, side: int, W: Float[np.ndarray, "O C 3 3"], border: int) -> None:
        F, C, *_ = W.shape
        full = side + 2 * border
        self.h = h = full // 2 - 1
        x, self.dx = np.zeros((2, full, full, batch, C), W.dtype)
        inside = slice(border, border + side), slice(border, border + side)
        self.inside, self.dx_inside = x[inside], self.dx[inside]
        row, column, n, channel = x.strides
        shape, strides = (4, 4, h, h, batch, C), (row, column, 2 * row, 2 * column, n, channel)
        self.tiles_of_x = as_strided(x, shape, strides, writeable=False)
        blocks = (windows := h * h * batch) // (rows := rows_at_a_time(windows, C * F))
        # tiles and M are never needed at once, and share a place in the cache
        self.V, shared = np.empty((16, blocks, rows, C), W.dtype), np.empty(16 * windows * max(C, F), W.dtype)
        self.tiles = shared[: self.V.size].reshape(shape)
        self.M = shared[: 16 * windows * F].reshape(16, blocks, rows, F)
        self.B_T, self.G, self.A_T = transforms(W.dtype)
        self.B, self.A = np.ascontiguousarray(self.B_T.T), np.ascontiguousarray(self.A_T.T)
        self.dU_blocks, self.dU = np.empty((16, blocks, C, F), W.dtype), np.empty((16, C * F), W.dtype)

    @staticmethod
    def filters(W: Float[np.ndarray, "O C 3 3"], b: Float[np.ndarray, "O"]) -> Filters:
        F, C, *_ = W.shape
        _, G, _ = transforms(W.dtype)
        U = (G @ W.reshape(-1, 9).T).reshape(16, 1, F, C)
        return Filters(np.ascontiguousarray(U.swapaxes(2, 3)), U, b)

    def forward(self, filters: Filters, y: Float[np.ndarray, "4 windows O"]) -> None:
        """From x into y."""
        np.copyto(self.tiles, self.tiles_of_x)
        transform(self.B_T, self.tiles, self.V)
        np.matmul(self.V, filters.forward, out=self.M)
        transform(self.A_T, self.M, y)

    def backward(self, dy: Float[np.ndarray, "4 windows O"]) -> None:
        """Take dy to the products."""
        transform(self.A, dy, self.M)

    def weight_gradient(self, dy: Float[np.ndarray, "4 windows O"]) -> Float[np.ndarray, "O C 3 3"]:
        """After `backward`, and before `input_gradient`, which overwrites what both leave."""
        np.matmul(self.V.swapaxes(2, 3), self.M, out=self.dU_blocks)
        *_, C, F = self.dU_blocks.shape
        np.add.reduce(self.dU_blocks.reshape(16, -1, C * F), axis=1, out=self.dU)
        return (self.G.T @ self.dU).reshape(3, 3, C, F).transpose(3, 2, 0, 1)

    def input_gradient(
        self, filters: Filters, dy: Float[np.ndarray, "4 windows O"]
    ) -> Float[np.ndarray, "side side batch C"]:
        """Gradient with respect to x without its border."""
        np.matmul(self.M, filters.backward, out=self.V)
        transform(self.B, self.V, self.tiles)
        add_tiles(self.tiles, self.dx)
        return self.dx_inside


Convolution = TileConvolution | PatchConvolution | WinogradConvolution


def kind(W: Float[np.ndarray, "O C k k"]) -> type[Convolution]:
    """The faster one for such filters."""
    _, C, k, _ = W.shape
    if C <= FEW:
        return TileConvolution
    return WinogradConvolution if k == 3 else PatchConvolution


@cache
def transforms(dtype: np.dtype) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    r"""$(B \otimes B)^\top$, $G \otimes G$ and $(A \otimes A)^\top$."""
    of_tiles, of_filters, of_products = (np.kron(one, one).astype(dtype) for one in (B_T, G, A_T))
    return of_tiles, of_filters, of_products


def transform(A: Float[np.ndarray, "m n"], x: Float[np.ndarray, "..."], out: Float[np.ndarray, "..."]) -> None:
    """A times x, n rows of numbers, into `out`, in blocks of columns."""
    m, n = A.shape
    columns = rows_at_a_time(x.size // n, A.size)
    x, out = (a.reshape(rows, -1, columns).transpose(1, 0, 2) for a, rows in ((x, n), (out, m)))
    np.matmul(A, x, out=out)


def add_tiles(tiles: Float[np.ndarray, "t t h w *rest"], image: Float[np.ndarray, "H W *rest"]) -> None:
    """Fill an image with the sums of tiles that begin at every other row and column."""
    image[...] = 0
    h, w = tiles.shape[2:4]
    for i, j in product(range(len(tiles)), repeat=2):
        image[i : i + 2 * h : 2, j : j + 2 * w : 2] += tiles[i, j]
