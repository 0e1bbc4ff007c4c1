r"""A block of the convolutional net on NumPy, every array allocated once: convolution, max-pooling, activation.

The mathematics is that of `layers.convolution` and `layers.pooling`, to the rounding; three things make it several
times faster.

* Images are channels last, so that a patch is copied in k runs of k C numbers.
* Patches are ordered by the corner of the pooling window they belong to: pooling is the maximum of four contiguous
  arrays, and patches that pooling leaves out are never made.
* The bias is added after pooling, a quarter of the work, for $\max_i (y_i) + b = \max_i (y_i + b)$.
"""

from itertools import product

import numpy as np
from jaxtyping import Float
from numpy.lib.stride_tricks import as_strided

from ..layers.pooling import TIE
from .activations import activate, derivative


class ConvBlock:
    """Convolution, 2 x 2 max-pooling and activation of `batch` square images; `x` is filled from outside."""

    def __init__(self, batch: int, side: int, W: np.ndarray, border: int, activation: str) -> None:
        filters, C, k, _ = W.shape
        full, self.activation, self.k, self.C = side + 2 * border, activation, k, C
        self.side = h = (full - k + 1) // 2
        self.x = np.zeros((batch, full, full, C), W.dtype)
        self.inside = self.x[:, border : border + side, border : border + side, :]
        self.dx = np.empty_like(self.x)
        self.dx_inside = self.dx[:, border : border + side, border : border + side, :]
        n, row, column, channel = self.x.strides
        windows, steps = (2, 2, batch, h, h), (row, column, n, 2 * row, 2 * column)
        patches = 4 * batch * h * h
        if C == 1:  # runs of k numbers are too short: one pixel of all patches after the other
            self.windows = as_strided(self.x, (k, k, *windows), (row, column, *steps), writeable=False)
            self.columns = np.empty(self.windows.shape, W.dtype)
            self.matrix = self.columns.reshape(k * k, patches).T
            self.landing = np.empty((k + 1, k + 1, batch, h, h), W.dtype)
        else:
            self.windows = as_strided(self.x, (*windows, k, k * C), (*steps, row, channel), writeable=False)
            self.columns = np.empty(self.windows.shape, W.dtype)
            self.matrix = self.columns.reshape(patches, k * k * C)
            self.runs = [self._run(*where) for where in product(range(2), range(2), range(k), range(k - 1))]
        self.y = np.empty((4, patches // 4, filters), W.dtype)
        self.h, self.g = np.empty((batch, h, h, filters), W.dtype), np.empty((patches // 4, filters), W.dtype)
        self.b = np.empty((h * h, filters), W.dtype)  # of an image's entries: rows of `filters` are short to add
        self.tie = TIE * float(np.finfo(W.dtype).eps)
        self.largest = np.empty((3, patches // 4, filters), bool)
        self.dW = np.empty((filters, k * k * C), W.dtype)
        self.ones = np.ones(patches // 4, W.dtype)

    def _run(self, p: int, q: int, i: int, first: int) -> tuple[np.ndarray, np.ndarray]:
        """Row i of every (k-1)th patch, and where in dx it came from: no two of them overlap."""
        n, row, column, channel = self.dx.strides
        run = self.columns[p, q, :, :, first :: self.k - 1, i, :]
        steps = (n, 2 * row, 2 * (self.k - 1) * column, channel)
        return as_strided(self.dx[:, p + i :, q + 2 * first :, :], run.shape, steps), run

    def forward(self, W: Float[np.ndarray, "O kkC"], b: Float[np.ndarray, "O"]) -> None:
        """Fill `h` from `x`, and remember where each window's largest entry may be."""
        np.copyto(self.columns, self.windows)
        np.dot(self.matrix, W.T, out=self.y.reshape(-1, len(W)))
        upper_left, upper_right, lower_left, lower_right = self.y
        h, largest = self.h.reshape(self.g.shape), self.g
        np.maximum(upper_left, upper_right, out=largest)
        np.maximum(lower_left, lower_right, out=h)
        np.maximum(largest, h, out=largest)
        images, least = (a.reshape(len(self.x), -1) for a in (h, largest))
        np.copyto(self.b, b)
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
        """dW, and `db` filled; after `backward`, and before `input_gradient`, which overwrites the patches."""
        np.dot(self.ones, self.g, out=db)
        return np.dot(self.y.reshape(-1, len(db)).T, self.matrix, out=self.dW)

    def input_gradient(self, W: Float[np.ndarray, "O kkC"]) -> Float[np.ndarray, "batch side side C"]:
        """Gradient with respect to x without its border, after `backward`."""
        dy, k, C, h = self.y.reshape(-1, len(W)), self.k, self.C, self.side
        self.dx[...] = 0
        if C == 1:
            np.dot(W.T, dy.T, out=self.columns.reshape(k * k, -1))
            self.landing[...] = 0
            for p, q, i, j in product(range(2), range(2), range(k), range(k)):
                self.landing[p + i, q + j] += self.columns[i, j, p, q]
            for r, c in product(range(k + 1), repeat=2):
                self.dx[:, r : r + 2 * h : 2, c : c + 2 * h : 2, 0] += self.landing[r, c]
        else:
            np.dot(dy, W, out=self.matrix)
            for target, run in self.runs:
                np.add(target, run, out=target)
        return self.dx_inside
