r"""The passes of models in a stack on NumPy, every array allocated once: `dense` with the models along a first axis.

What differs is the first layer. Models that share their batch have it once, as a view whose first stride is 0: then
$W^1$ of all models is one matrix, (models m, n), and their first products, two thirds of the work, are one.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from ..backend import Array, Params
from ..networks.gradients import Gradients
from ..parameters import depth, n_classes
from ..regularizers import Batch
from ..regularizers.stacked import StackedNorm
from ..validation import check_inputs, check_labels
from . import products
from .aligned import aligned
from .cross_entropy import ColumnCrossEntropy
from .flat import Flat
from .newton_schulz import NewtonSchulzPolar


class StackedBuffers:
    """The arrays of one batch size, as `DenseBuffers`: activations are (models, m, batch), one example a column."""

    def __init__(self, x: Float[np.ndarray, "models batch n"], params: Params) -> None:
        self.names = [(f"W{i}", f"b{i}") for i in range(1, depth(params) + 1)]
        self.bind(params)
        self.shape = models, batch, _ = x.shape
        self.h = [aligned((models, W.shape[1], batch), x.dtype) for W in self.W]
        two = aligned((2, max(h.size for h in self.h)), x.dtype)  # of a layer, and of the one before it
        self.dz = [two[i % 2, : h.size].reshape(h.shape) for i, h in enumerate(self.h)]
        self.loss = ColumnCrossEntropy(self.h[-1], self.dz[-1], aligned(self.h[-1].shape, x.dtype))
        self.ones = np.ones(batch, x.dtype)

    def bind(self, params: Params) -> None:
        """Take these parameters from now on; they may be views of a vector that changes."""
        self.params = params
        self.W, self.b = [params[W] for W, _ in self.names], [params[b][..., None] for _, b in self.names]

    def forward(self, x: Float[np.ndarray, "models batch n"]) -> None:
        """Fill `h`; the logits are the last."""
        for i, (W, b, h) in enumerate(zip(self.W, self.b, self.h, strict=True)):
            if i:
                np.matmul(W, self.h[i - 1], out=h)
            elif _shared(x):
                products.shared_outputs(_tall(W), x[0], out=_tall(h))
            else:
                for model in zip(W, x, h, strict=True):
                    products.outputs(*model)
            np.add(h, b, out=h)
            if i < len(self.W) - 1:
                np.tanh(h, out=h)

    def gradients(self, x: Float[np.ndarray, "models batch n"], grads: Params) -> None:
        """Fill `grads` with the gradient with respect to all parameters."""
        for i in reversed(range(len(self.W))):
            W, b = self.names[i]
            if i == 0 and _shared(x):
                np.dot(_tall(self.dz[0]), x[0], out=_tall(grads[W]))
            else:
                np.matmul(self.dz[i], self.h[i - 1].transpose(0, 2, 1) if i else x, out=grads[W])
            np.matmul(self.dz[i], self.ones, out=grads[b])
            if i:
                self._through(i)

    def input_gradient(self, out: Float[np.ndarray, "models batch n"]) -> None:
        """Gradient with respect to x, into `out`."""
        for i in reversed(range(1, len(self.W))):
            self._through(i)
        for model in zip(self.dz[0], self.W[0], out, strict=True):
            products.inputs(*model)

    def _through(self, i: int) -> None:
        h, dz = self.h[i - 1], self.dz[i - 1]
        np.matmul(self.W[i].transpose(0, 2, 1), self.dz[i], out=dz)
        np.multiply(h, h, out=h)
        np.subtract(1, h, out=h)
        np.multiply(dz, h, out=dz)


def _shared(x: Float[np.ndarray, "models batch n"]) -> bool:
    return len(x) > 1 and x.strides[0] == 0


def _tall(x: Float[np.ndarray, "models m n"]) -> Float[np.ndarray, "rows n"]:
    """The matrices of all models above each other: a view, for they lie in one piece."""
    return x.reshape(-1, x.shape[-1])


def _unit(params: Params) -> Float[np.ndarray, "classes classes"]:
    return np.eye(n_classes(params), dtype=params["b1"].dtype)


def _targets(
    y: Int[np.ndarray, "models batch"], unit: Float[np.ndarray, "classes classes"]
) -> Float[np.ndarray, "models classes batch"]:
    """One-hot labels, one example a column; once where the models share them."""
    if y.strides[0] == 0:
        t = unit.take(y[0], axis=1)
        return np.broadcast_to(t, (len(y), *t.shape))
    return np.ascontiguousarray(unit[y].transpose(0, 2, 1))


class FastStackedCrossEntropy:
    """`training.StackedCrossEntropy`; the next call overwrites the gradient."""

    def __init__(self) -> None:
        self.buffers: dict[int, StackedBuffers] = {}  # of the full batch, and of the last one of an epoch
        self.grads: Params | None = None

    def value_and_grad(self, params: Params, batch: Batch) -> tuple[Float[np.ndarray, "models"], Params]:
        size = batch.x.shape[1]
        if size not in self.buffers:
            check_labels(batch.y, batch.y.shape, n_classes(params))
            self.buffers[size] = _buffers(batch.x, params)
        if self.grads is None:
            self.grads, self.unit = Flat(params), _unit(params)
        passes = self.buffers[size]
        if passes.params is not params:
            passes.bind(params)
        passes.forward(batch.x)
        loss = passes.loss.value_and_gradient(_targets(batch.y, self.unit), 1 / size)
        passes.gradients(batch.x, self.grads)
        return loss, self.grads


@dataclass(frozen=True)
class StackedGradients(Gradients):
    """The gradients that adversarial training takes, and the forward pass, for the models of a stack."""

    def logits(self, x: Float[np.ndarray, "models batch n"]) -> Float[np.ndarray, "models batch classes"]:
        passes = _buffers(x, self.params)
        passes.forward(x)
        return passes.h[-1].transpose(0, 2, 1)

    def loss(self, y: Int[np.ndarray, "models batch"]) -> Callable[[Array], Array]:
        check_labels(y, y.shape, n_classes(self.params))
        t = _targets(y, _unit(self.params))
        kept: list[StackedBuffers] = []

        def gradient(x: Float[np.ndarray, "models batch n"]) -> Float[np.ndarray, "models batch n"]:
            if not kept:
                kept.append(_buffers(x, self.params))
            dx = np.empty(x.shape, x.dtype)
            kept[0].forward(x)
            kept[0].loss.gradient(t)
            kept[0].input_gradient(dx)
            return dx

        return gradient


def _buffers(x: Float[np.ndarray, "models batch n"], params: Params) -> StackedBuffers:
    """Raises `UsageError` as `forward` does."""
    check_inputs(params, x, params["W1"].shape[-1])
    return StackedBuffers(x, params)


class FastStackedNuclear:
    """The nuclear norm of each model of a stack in single precision, its gradient carried on from step to step."""

    def __init__(self, term: StackedNorm) -> None:
        self.lams = {layer: [float(one) for one in lam] for layer, lam in term.layers.items()}
        self.params: Params = {}
        self.polars: dict[str, list[NewtonSchulzPolar]] = {}
        self.grads: Params = {}

    def value_and_grad(self, params: Params, batch: Batch) -> tuple[float, Params]:
        """Starts afresh with each epoch, as `FastNuclear`. The value, which training does not use, is 0."""
        if params is not self.params or batch.new_epoch:
            self.params = params
            self.polars = {layer: [NewtonSchulzPolar(W) for W in params[layer]] for layer in self.lams}
            self.grads = {layer: np.zeros_like(params[layer]) for layer in self.lams}
        for layer, lams in self.lams.items():
            for m, lam in enumerate(lams):
                if lam:
                    self.grads[layer][m] = self.polars[layer][m](lam)
        return 0.0, self.grads
