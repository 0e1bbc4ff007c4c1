r"""Dense layers on NumPy with every array allocated once: the passes of `fcnn` and `loss`, faster.

The mathematics is theirs, and parity tests hold it to them. Two things differ. Activations are stored one example a
*column*, $t^i$ of shape (m, batch), so that softmax reduces over the contiguous axis. And every product, sum and tanh
writes into an array that is there already.
"""

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float, Int

from ..backend import Params
from ..parameters import n_classes
from ..validation import check_labels
from . import products
from .activations import activate, derivative
from .aligned import aligned
from .cross_entropy import ColumnCrossEntropy


class DenseBuffers:
    """The arrays of one batch size, and the passes through them, at the parameters last bound."""

    def __init__(self, batch: int, params: Params, layers: Sequence[int], activation: str = "tanh") -> None:
        self.names, self.activation = [(f"W{i}", f"b{i}") for i in layers], activation
        dtype = next(iter(params.values())).dtype
        self.bind(params)
        self.h = [aligned((len(W), batch), dtype) for W in self.W]  # t^i, and the logits
        self.dz = [aligned(h.shape, dtype) for h in self.h]
        self.derivative = [aligned(h.shape, dtype) for h in self.h]
        self.loss = ColumnCrossEntropy(self.h[-1], self.dz[-1], self.derivative[-1])
        self.h_T = [h.T for h in self.h]
        self.ones = np.ones(batch, dtype)

    def bind(self, params: Params) -> None:
        """Take these parameters from now on; they may be views of a vector that changes."""
        self.params = params
        self.W, self.b = [params[W] for W, _ in self.names], [params[b][:, None] for _, b in self.names]
        self.W_T = [W.T for W in self.W]

    def forward(self, x: Float[np.ndarray, "batch n"]) -> None:
        """Fill `h`."""
        for i, (W, b, h) in enumerate(zip(self.W, self.b, self.h, strict=True)):
            if i:
                np.dot(W, self.h[i - 1], out=h)
            else:
                products.outputs(W, x, out=h)
            np.add(h, b, out=h)
            if h is not self.h[-1]:
                activate(self.activation, h)

    @property
    def logits(self) -> Float[np.ndarray, "batch classes"]:
        """After `forward`, and until `cross_entropy` overwrites them."""
        return self.h_T[-1]

    def receive(self, dz: Float[np.ndarray, "batch classes"]) -> None:
        """Any other gradient with respect to the logits, for `input_gradient`."""
        self.dz[-1][...] = dz.T

    def cross_entropy(self, t: Float[np.ndarray, "batch classes"], weight: float) -> np.floating:
        """The mean cross-entropy; its gradient, each example counted `weight` times, goes to the last `dz`.

        Overwrites the logits.
        """
        return self.loss.value_and_gradient(t.T, weight)

    def cross_entropy_gradient(self, t: Float[np.ndarray, "batch classes"]) -> None:
        """The gradient alone, each example counted once, to the last `dz`. Overwrites the logits."""
        self.loss.gradient(t.T)

    def gradients(self, x: Float[np.ndarray, "batch n"], grads: Params) -> None:
        """Fill `grads` with the gradient with respect to all parameters."""
        for i in reversed(range(len(self.W))):
            W, b = self.names[i]
            np.dot(self.dz[i], self.h_T[i - 1] if i else x, out=grads[W])
            np.dot(self.dz[i], self.ones, out=grads[b])
            if i:
                self._through(i)

    def input_gradient(self, out: Float[np.ndarray, "batch n"]) -> None:
        """Gradient with respect to x, into `out`."""
        for i in reversed(range(1, len(self.W))):
            self._through(i)
        products.inputs(self.dz[0], self.W[0], out=out)

    def value_and_grad(
        self, x: Float[np.ndarray, "batch n"], t: Float[np.ndarray, "batch classes"], grads: Params
    ) -> np.floating:
        """The mean cross-entropy; `grads` is filled with its gradient with respect to all parameters."""
        self.forward(x)
        loss = self.cross_entropy(t, 1 / len(x))
        self.gradients(x, grads)
        return loss

    def each(self, x: Float[np.ndarray, "batch n"], work: Callable[[int, slice, "DenseBuffers"], object]) -> None:
        """Forward, followed by `work`; where a batch goes in several pieces, it is called for each."""
        self.forward(x)
        work(0, slice(0, len(x)), self)

    def _through(self, i: int) -> None:
        """From the gradient with respect to layer i's output to that of layer i-1, through W and the activation."""
        derivative(self.activation, self.h[i - 1], out=self.derivative[i - 1])
        np.dot(self.W_T[i], self.dz[i], out=self.dz[i - 1])
        np.multiply(self.dz[i - 1], self.derivative[i - 1], out=self.dz[i - 1])


def one_hot(y: Int[np.ndarray, "batch"], params: Params) -> Float[np.ndarray, "batch classes"]:
    """Targets in the dtype of the parameters, with as many classes as the last layer has units.

    Raises `UsageError` for what are no labels.
    """
    check_labels(y, y.shape[:1], n_classes(params))
    return np.eye(n_classes(params), dtype=params["b1"].dtype)[y]
