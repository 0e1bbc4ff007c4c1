r"""The fully connected net on NumPy with every array allocated once: the training step of `step` at twice the speed.

The mathematics is that of `ops`, `loss` and `step`, and parity tests hold it to them. Three things differ. Activations
are stored one example a *column*, $t^i$ of shape (m, batch), so that softmax reduces over the contiguous axis. All
parameters lie in one vector, and so do all gradients, so that an update is two calls and not twenty-four. And every
product, sum and tanh writes into an array that is there already.
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float, Int, UInt8

from .backend import Params
from .errors import UsageError
from .optim import Optimizer, State
from .penalty import NO_PENALTY, Penalty


class Workspace:
    """The arrays of one batch size, and the passes through them. `params` may be views of a vector that changes."""

    def __init__(self, batch: int, params: Params) -> None:
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
                np.tanh(h, out=h)
            inputs = h

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

    def input_gradient(self) -> Float[np.ndarray, "batch n"]:
        """The gradient by x, in an array of its own."""
        for i in reversed(range(1, len(self.W))):
            self._through(i)
        return np.dot(self.dz[0].T, self.W[0])

    def _through(self, i: int) -> None:
        """From the gradient by layer i's output to that by layer i-1's, through W and tanh' = 1 − tanh²."""
        h, slope, dz = self.h[i - 1], self.slope[i - 1], self.dz[i - 1]
        np.multiply(h, h, out=slope)
        np.subtract(1, slope, out=slope)
        np.dot(self.W_T[i], self.dz[i], out=dz)
        np.multiply(dz, slope, out=dz)


def loss_gradient(
    params: Params, y: Int[np.ndarray, "batch"]
) -> Callable[[Float[np.ndarray, "batch n"]], Float[np.ndarray, "batch n"]]:
    """`objectives.loss_gradient` for `fcnn`: x -> the gradient by x of the summed cross-entropy."""
    workspace = Workspace(len(y), params)
    shape, dtype = (len(y), workspace.W[0].shape[1]), workspace.W[0].dtype
    t = _one_hot(y, params)

    def gradient(x: Float[np.ndarray, "batch n"]) -> Float[np.ndarray, "batch n"]:
        if x.shape != shape or x.dtype != dtype:
            raise UsageError(f"expected inputs {dtype}{shape}, got {x.dtype}{x.shape}")
        workspace.forward(x)
        workspace.cross_entropy(t, 1.0)
        return workspace.input_gradient()

    return gradient


class FusedStep:
    """A drop-in for `step.Step` where the network is `fcnn` and the arrays are NumPy's."""

    def __init__(
        self,
        params: Params,
        state: State,
        optimizer: Optimizer,
        images: UInt8[np.ndarray, "examples height width"],
        labels: Int[np.ndarray, "examples"],
        penalty: Penalty = NO_PENALTY,
    ) -> None:
        self.optimizer, self.shapes = optimizer, {name: p.shape for name, p in params.items()}
        self.theta, self.penalty = flatten(params), penalty
        self.views = unflatten(self.theta, self.shapes)
        self.moments = _flatten_state(state)
        self.grad = np.empty_like(self.theta)
        self.grads = unflatten(self.grad, self.shapes)
        self.images = images.reshape(len(images), -1)
        self.targets = _one_hot(labels, params)
        self.batches: dict[int, _Batch] = {}

    def __call__(self, index: Int[np.ndarray, "batch"], t: int) -> np.floating:
        size = len(index)
        if size not in self.batches:  # the full batch, and the last one of an epoch
            self.batches[size] = _Batch(size, self.views)
        batch = self.batches[size]
        batch.gather(self.images, self.targets, index)
        batch.workspace.forward(batch.x)
        loss = batch.workspace.cross_entropy(batch.t, 1 / size)
        batch.workspace.gradients(batch.x, self.grads)
        for name, share in self.penalty.gradients(self.views):
            self.grads[name] += share
        updated, self.moments = self.optimizer.update({"": self.theta}, {"": self.grad}, self.moments, t)
        self.theta[:] = updated[""]
        return loss

    @property
    def params(self) -> Params:
        """A copy, since the next step writes into the original."""
        return unflatten(self.theta.copy(), self.shapes)

    @property
    def state(self) -> State:
        parts = {moment: unflatten(flat, self.shapes) for moment, flat in self.moments.items()}
        return {moment + name: p for moment, named in parts.items() for name, p in named.items()}


class _Batch:
    """A batch of examples, gathered as bytes and scaled: a quarter of the traffic of gathering floats."""

    def __init__(self, size: int, params: Params) -> None:
        self.workspace = Workspace(size, params)
        (W, *_), dtype = self.workspace.W, self.workspace.W[0].dtype
        self.grey = np.empty((size, W.shape[1]), np.uint8)
        self.x = np.empty((size, W.shape[1]), dtype)
        self.t = np.empty((size, len(self.workspace.W[-1])), dtype)

    def gather(self, images: np.ndarray, targets: np.ndarray, index: np.ndarray) -> None:
        images.take(index, axis=0, out=self.grey, mode="clip")  # mode "raise" would gather into a copy first
        targets.take(index, axis=0, out=self.t, mode="clip")
        np.divide(self.grey, self.x.dtype.type(255), out=self.x)


def _one_hot(y: Int[np.ndarray, "batch"], params: Params) -> Float[np.ndarray, "batch classes"]:
    bias = params[next(reversed(params))]
    return np.eye(len(bias), dtype=bias.dtype)[y]


def flatten(params: Params) -> Float[np.ndarray, "size"]:
    """All parameters, one after another, in one vector of their own."""
    return np.concatenate([p.reshape(-1) for p in params.values()])


def unflatten(flat: Float[np.ndarray, "size"], shapes: dict[str, tuple[int, ...]]) -> Params:
    """Named views of a vector made by `flatten`."""
    sizes = [int(np.prod(shape)) for shape in shapes.values()]
    parts = np.split(flat, np.cumsum(sizes)[:-1])
    return {name: part.reshape(shape) for (name, shape), part in zip(shapes.items(), parts, strict=True)}


def _flatten_state(state: State) -> State:
    """An optimizer's moments `v.W1 v.b1 ...` as one vector `v.` for each moment."""
    moments = dict.fromkeys(name.partition(".")[0] + "." for name in state)
    return {m: flatten({name: x for name, x in state.items() if name.startswith(m)}) for m in moments}
