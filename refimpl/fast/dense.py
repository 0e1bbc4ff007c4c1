r"""The fully connected net on NumPy with every array allocated once: the passes of `fcnn` and `loss`, faster.

The mathematics is theirs, and parity tests hold it to them. Two things differ. Activations are stored one example a
*column*, $t^i$ of shape (m, batch), so that softmax reduces over the contiguous axis. And every product, sum and tanh
writes into an array that is there already. The activation is tanh, or where these
are the dense layers of a `CNN`, another.
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float, Int

from ..backend import Params
from .activations import activate, slope


class Workspace:
    """The arrays of one batch size, and the passes through them. `params` may be views of a vector that changes."""

    def __init__(self, batch: int, params: Params, activation: str = "tanh") -> None:
        self.activation = activation
        self.W, biases = list(params.values())[::2], list(params.values())[1::2]
        self.b, dtype = [b[:, None] for b in biases], self.W[0].dtype
        self.h = [np.empty((len(W), batch), dtype) for W in self.W]  # t^i, and the logits
        self.dz = [np.empty_like(h) for h in self.h]
        self.slope = [np.empty_like(h) for h in self.h]
        self.W_T, self.h_T = [W.T for W in self.W], [h.T for h in self.h]
        self.ones = np.ones(batch, dtype)

    def forward(self, x: Float[np.ndarray, "batch n"]) -> None:
        """Fill `h`."""
        inputs = x.T
        for W, b, h in zip(self.W, self.b, self.h, strict=True):
            np.dot(W, inputs, out=h)
            np.add(h, b, out=h)
            if h is not self.h[-1]:
                activate(self.activation, h)
            inputs = h

    @property
    def logits(self) -> Float[np.ndarray, "batch classes"]:
        """After `forward`, and until `cross_entropy` overwrites them."""
        return self.h_T[-1]

    def receive(self, dz: Float[np.ndarray, "batch classes"]) -> None:
        """Any other gradient by the logits, for `input_gradient`."""
        self.dz[-1][...] = dz.T

    def cross_entropy(self, t: Float[np.ndarray, "batch classes"], weight: float) -> np.floating:
        """The mean cross-entropy; its gradient, each example counted `weight` times, goes to the last `dz`.

        `loss.cross_entropy` line by line, one example a column. Overwrites the logits.
        """
        z, dz, e, t = self.h[-1], self.dz[-1], self.slope[-1], t.T
        np.subtract(z, np.maximum.reduce(z, axis=0), out=z)
        np.exp(z, out=e)
        total = np.add.reduce(e, axis=0)
        np.multiply(z, t, out=z)
        loss = np.dot(np.log(total) - np.add.reduce(z, axis=0), self.ones) / len(self.ones)
        np.multiply(e, t, out=z)
        np.subtract(e, z, out=z)  # e (1 − t), exactly
        np.multiply(t, np.add.reduce(z, axis=0), out=dz)
        np.subtract(z, dz, out=dz)
        np.divide(dz, total / weight, out=dz)
        return loss

    def gradients(self, x: Float[np.ndarray, "batch n"], grads: Params) -> None:
        """Fill `grads` with the gradients by all parameters."""
        dW, db = list(grads.values())[::2], list(grads.values())[1::2]
        for i in reversed(range(len(self.W))):
            np.dot(self.dz[i], self.h_T[i - 1] if i else x, out=dW[i])
            np.dot(self.dz[i], self.ones, out=db[i])
            if i:
                self._through(i)

    def input_gradient(self, out: Float[np.ndarray, "batch n"]) -> None:
        """The gradient by x, into `out`."""
        for i in reversed(range(1, len(self.W))):
            self._through(i)
        np.dot(self.dz[0].T, self.W[0], out=out)

    def descend(
        self, x: Float[np.ndarray, "batch n"], t: Float[np.ndarray, "batch classes"], grads: Params
    ) -> np.floating:
        """The mean cross-entropy; `grads` is filled with its gradients by all parameters."""
        self.forward(x)
        loss = self.cross_entropy(t, 1 / len(x))
        self.gradients(x, grads)
        return loss

    def each(self, x: Float[np.ndarray, "batch n"], work: Callable[[int, slice, "Workspace"], object]) -> None:
        """Forward, followed by `work`; where a batch goes in several pieces, it is called for each."""
        self.forward(x)
        work(0, slice(0, len(x)), self)

    def _through(self, i: int) -> None:
        """From the gradient by layer i's output to that by layer i-1's, through W and the activation."""
        slope(self.activation, self.h[i - 1], out=self.slope[i - 1])
        np.dot(self.W_T[i], self.dz[i], out=self.dz[i - 1])
        np.multiply(self.dz[i - 1], self.slope[i - 1], out=self.dz[i - 1])


def one_hot(y: Int[np.ndarray, "batch"], params: Params) -> Float[np.ndarray, "batch classes"]:
    """Targets in the dtype of the parameters, with as many classes as the last layer has units."""
    bias = params[next(reversed(params))]
    return np.eye(len(bias), dtype=bias.dtype)[y]
