r"""A block of the convolutional net on NumPy, every array allocated once: convolution, max-pooling, activation.

The mathematics is that of `layers.convolution` and `layers.pooling`, to the rounding; four things make it several
times faster.

* Images are channels last, so that a patch is copied in k runs of k C numbers.
* Patches are ordered by the corner of the pooling window they belong to: pooling is the maximum of four contiguous
  arrays, and patches that pooling leaves out are never made.
* The bias is added after pooling, a quarter of the work, for $\max_i (y_i) + b = \max_i (y_i + b)$.
* The gradient with respect to the input is a convolution, too, of dy between zeros with the filters turned by 180
  degrees: copying its patches takes a third of the time of adding those of $W^\top dy$ up.
"""

from itertools import product
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpy.lib.stride_tricks import as_strided

from ..layers.pooling import TIE
from .activations import activate, derivative
from .products import rows_at_a_time

FEW = 4
"""Up to so many channels k runs of k C numbers are too short: one number of all patches is copied after the other."""


class Filters(NamedTuple):
    """A convolution's weights as both passes multiply by them, and its bias."""

    forward: Float[np.ndarray, "kkC O"]
    backward: Float[np.ndarray, "kkO C"] | Float[np.ndarray, "O kkC"]
    b: Float[np.ndarray, "O"]

    @classmethod
    def of(cls, W: Float[np.ndarray, "O C k k"], b: Float[np.ndarray, "O"]) -> "Filters":
        """In the order of patches, channels last; backward those of few channels as they are, others turned."""
        F, C, k, _ = W.shape
        forward = np.ascontiguousarray(W.transpose(2, 3, 1, 0)).reshape(k * k * C, F)
        if C <= FEW:
            return cls(forward, np.ascontiguousarray(forward.T), b)
        turned = W[..., ::-1, ::-1].transpose(2, 3, 0, 1)
        return cls(forward, np.ascontiguousarray(turned).reshape(k * k * F, C), b)


class ConvBlock:
    """Convolution, 2 x 2 max-pooling and activation of `batch` square images; `x` is filled from outside."""

    def __init__(self, batch: int, side: int, W: np.ndarray, border: int, activation: str) -> None:
        F, C, k, _ = W.shape
        full, self.activation, self.k, self.C = side + 2 * border, activation, k, C
        self.side = h = (full - k + 1) // 2
        self.x = np.zeros((batch, full, full, C), W.dtype)
        self.inside = self.x[:, border : border + side, border : border + side, :]
        n, row, column, channel = self.x.strides
        windows, steps = (2, 2, batch, h, h), (row, column, n, 2 * row, 2 * column)
        patches = 4 * batch * h * h
        blocks = patches // (rows := rows_at_a_time(patches, W.size))
        self.y = np.empty((4, patches // 4, F), W.dtype)
        self.y_blocks = self.y.reshape(blocks, rows, F)
        if C <= FEW:
            strides = (row, column, channel, *steps)
            self.windows = as_strided(self.x, (k, k, C, *windows), strides, writeable=False)
            self.columns = np.empty(self.windows.shape, W.dtype)
            self.matrix = self.columns.reshape(k * k * C, blocks, rows).transpose(1, 2, 0)
            self.landing = np.empty((k + 1, k + 1, C, batch, h, h), W.dtype)
            self.dx = np.empty_like(self.x)
            self.dx_inside = self.dx[:, border : border + side, border : border + side, :]
            self.dW_blocks = np.empty((blocks, F, k * k * C), W.dtype)
        else:
            self.windows = as_strided(self.x, (*windows, k, k * C), (*steps, row, channel), writeable=False)
            self.columns = np.empty(self.windows.shape, W.dtype)
            self.matrix = self.columns.reshape(blocks, rows, k * k * C)
            self._allocate_backward(batch, side, W, border)
        self.h, self.g = np.empty((batch, h, h, F), W.dtype), np.empty((patches // 4, F), W.dtype)
        self.b = np.empty((h * h, F), W.dtype)  # of an image's entries: rows of F are short to add
        self.tie = TIE * float(np.finfo(W.dtype).eps)
        self.largest = np.empty((3, patches // 4, F), bool)
        self.dW = np.empty((F, k * k * C), W.dtype)
        self.ones = np.ones(patches // 4, W.dtype)

    def _allocate_backward(self, batch: int, side: int, W: np.ndarray, border: int) -> None:
        """For `input_gradient` of many channels: dy between zeros, its patches, and where they go."""
        (F, C, k, _), h = W.shape, self.side
        first = k - 1 - border
        dy = np.zeros((batch, side + k - 1, side + k - 1, F), W.dtype)
        inside = dy[:, first : first + 2 * h, first : first + 2 * h, :]
        self.dy = [inside[:, p::2, q::2, :] for p, q in product(range(2), repeat=2)]
        n, row, column, channel = dy.strides
        shape, strides = (batch, side, side, k, k * F), (n, row, column, row, channel)
        self.dy_windows = as_strided(dy, shape, strides, writeable=False)
        self.together = next(n for n in (4, 3, 2, 1) if batch % n == 0)
        self.dy_columns = np.empty((self.together, *shape[1:]), W.dtype)
        self.dx_inside = np.empty((batch, side, side, C), W.dtype)
        rows = rows_at_a_time(self.together * side * side, W.size)
        self.dy_matrix = self.dy_columns.reshape(-1, rows, k * k * F)
        self.dx_blocks = self.dx_inside.reshape(batch // self.together, -1, rows, C)

    def forward(self, filters: Filters) -> None:
        """Fill `h` from `x`, and remember where each window's largest entry may be."""
        np.copyto(self.columns, self.windows)
        np.matmul(self.matrix, filters.forward, out=self.y_blocks)
        upper_left, upper_right, lower_left, lower_right = self.y
        h, largest = self.h.reshape(self.g.shape), self.g
        np.maximum(upper_left, upper_right, out=largest)
        np.maximum(lower_left, lower_right, out=h)
        np.maximum(largest, h, out=largest)
        images, least = (a.reshape(len(self.x), -1) for a in (h, largest))
        np.copyto(self.b, filters.b)
        np.add(least, self.b.reshape(-1), out=images)
        scale = np.maximum(np.maximum.reduce(images, axis=1), -np.minimum.reduce(images, axis=1))
        np.subtract(least, self.tie * scale[:, None], out=least)
        np.greater_equal(self.y[:3], largest, out=self.largest)
        activate(self.activation, h)

    def backward(self, dh: Float[np.ndarray, "batch h w O"]) -> None:
        """Fill `y` with the gradient with respect to the convolution, `g` with that to what pooling left of it."""
        h, dh = self.h.reshape(self.g.shape), dh.reshape(self.g.shape)
        derivative(self.activation, h, out=self.g)
        np.multiply(dh, self.g, out=self.g)
        upper_left, upper_right, lower_left, lower_right = self.y
        np.multiply(self.g, self.largest[0], out=upper_left)
        np.subtract(self.g, upper_left, out=lower_right)  # what is left for the other corners
        np.multiply(lower_right, self.largest[1], out=upper_right)
        np.subtract(lower_right, upper_right, out=lower_right)
        np.multiply(lower_right, self.largest[2], out=lower_left)
        np.subtract(lower_right, lower_left, out=lower_right)

    def weight_gradient(self, db: Float[np.ndarray, "O"]) -> Float[np.ndarray, "O kkC"]:
        """dW, and `db` filled; after `backward`, and before `input_gradient`, which may overwrite the patches."""
        np.dot(self.ones, self.g, out=db)
        if self.C <= FEW:
            np.matmul(self.y_blocks.transpose(0, 2, 1), self.matrix, out=self.dW_blocks)
            return np.add.reduce(self.dW_blocks, axis=0, out=self.dW)
        return np.dot(self.y.reshape(-1, len(db)).T, self.matrix.reshape(-1, self.dW.shape[1]), out=self.dW)

    def input_gradient(self, filters: Filters) -> Float[np.ndarray, "batch side side C"]:
        """Gradient with respect to x without its border, after `backward`."""
        if self.C > FEW:
            for part, corner in zip(self.dy, self.y, strict=True):
                part[...] = corner.reshape(part.shape)
            for i, dx in enumerate(self.dx_blocks):
                np.copyto(self.dy_columns, self.dy_windows[i * self.together : (i + 1) * self.together])
                np.matmul(self.dy_matrix, filters.backward, out=dx)
            return self.dx_inside
        k, h = self.k, self.side
        columns = self.matrix.transpose(0, 2, 1)
        np.matmul(filters.backward.T, self.y_blocks.transpose(0, 2, 1), out=columns)
        self.landing[...] = 0
        for p, q, i, j in product(range(2), range(2), range(k), range(k)):
            self.landing[p + i, q + j] += self.columns[i, j, :, p, q]
        self.dx[...] = 0
        for r, c in product(range(k + 1), repeat=2):
            self.dx[:, r : r + 2 * h : 2, c : c + 2 * h : 2] += self.landing[r, c].transpose(1, 2, 3, 0)
        return self.dx_inside
