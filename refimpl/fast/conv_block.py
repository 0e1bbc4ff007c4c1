r"""A block of the convolutional net on NumPy, every array allocated once: convolution, max-pooling, activation.

The mathematics is that of `layers.convolution` and `layers.pooling`, to the rounding. The convolution puts the four
entries of all pooling windows into four arrays, so that pooling is their maximum. The bias is added after pooling, a
quarter of the work, for $\max_i (y_i) + b = \max_i (y_i + b)$.
"""

import numpy as np
from jaxtyping import Float

from ..layers.pooling import TIE
from .activations import activate, derivative
from .convolutions import Filters, kind


class ConvBlock:
    """Convolution, 2 x 2 max-pooling and activation of `batch` square images; `inside` is filled from outside."""

    def __init__(self, batch: int, side: int, W: Float[np.ndarray, "O C k k"], border: int, activation: str) -> None:
        self.convolution, self.activation = kind(W)(batch, side, W, border), activation
        self.inside, self.side = self.convolution.inside, self.convolution.h
        F, windows = len(W), self.side**2 * batch
        self.y = np.empty((4, windows, F), W.dtype)
        self.h, self.g = np.empty((self.side, self.side, batch, F), W.dtype), np.empty((windows, F), W.dtype)
        self.b, self.least = np.empty((2, batch, F), W.dtype)
        self.tie = TIE * float(np.finfo(W.dtype).eps)
        self.largest = np.empty((3, windows, F), bool)
        self.ones = np.ones(windows, W.dtype)

    def forward(self, filters: Filters) -> None:
        """Fill `h` from `inside`, and remember where each window's largest entry may be."""
        self.convolution.forward(filters, self.y)
        h, largest = self.h.reshape(self.g.shape), self.g
        np.maximum.reduce(self.y, axis=0, out=largest)
        images, least = (a.reshape(self.side**2, -1) for a in (h, largest))  # a row is one place of all images
        np.copyto(self.b, filters.b)
        np.add(least, self.b.reshape(-1), out=images)
        greatest = np.maximum(np.maximum.reduce(images, axis=0), -np.minimum.reduce(images, axis=0))
        np.copyto(self.least, self.tie * np.maximum.reduce(greatest.reshape(self.b.shape), axis=1, keepdims=True))
        np.subtract(least, self.least.reshape(-1), out=least)
        np.greater_equal(self.y[:3], largest, out=self.largest)
        activate(self.activation, h)

    def backward(self, dh: Float[np.ndarray, "h w batch O"]) -> None:
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
        self.convolution.backward(self.y)

    def weight_gradient(self, db: Float[np.ndarray, "O"]) -> Float[np.ndarray, "O C k k"]:
        """dW, and `db` filled; after `backward`, and before `input_gradient`."""
        np.dot(self.ones, self.g, out=db)
        return self.convolution.weight_gradient(self.y)

    def input_gradient(self, filters: Filters) -> Float[np.ndarray, "side side batch C"]:
        """Gradient with respect to x, after `backward`."""
        return self.convolution.input_gradient(filters, self.y)
