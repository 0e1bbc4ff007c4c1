"""`networks.gradients` on NumPy, through arrays that are there already; parity tests hold the two equal."""

from collections.abc import Callable
from dataclasses import dataclass
from threading import local

import numpy as np
from jaxtyping import Float, Int

from ..backend import Array, Backend, Params
from ..errors import UsageError
from ..layers.images import Shape
from ..layers.loss import Loss, LossAt, margin_directions, margins
from ..low_rank.network import LowRankNetwork
from ..networks.base import Network
from ..networks.cnn import CNN
from ..networks.gradients import Gradients
from ..parameters import depth, n_classes, n_models
from ..tape import Tape
from ..validation import check_inputs, check_labels
from .aligned import aligned_copy
from .cnn import CNNBuffers, Microbatch
from .dense import DenseBuffers, one_hot
from .stacked import StackedGradients

Buffers = DenseBuffers | CNNBuffers


def buffers(network: Network, params: Params, x: Float[np.ndarray, "batch n"], threads: int) -> Buffers:
    """The arrays for inputs like x. Raises `UsageError` as `forward` does."""
    if isinstance(network, CNN):
        network.check(params, x)
        return CNNBuffers(len(x), params, network, threads)
    check_inputs(params, x, params["W1"].shape[1])
    return DenseBuffers(len(x), params, range(1, depth(params) + 1))


@dataclass(frozen=True)
class FastNetwork(Network):
    """A network whose `gradients` are the fast ones where the arrays are NumPy's."""

    network: Network
    threads: int

    @property
    def certifiable(self) -> bool:
        return self.network.certifiable

    def init(self, backend: Backend, seed: int = 0, dtype: str = "float32") -> Params:
        return self.network.init(backend, seed, dtype)

    def forward(self, params: Params, x: Array) -> tuple[Array, Tape]:
        return self.network.forward(params, x)

    def hidden(self, params: Params, x: Array) -> list[Array]:
        return self.network.hidden(params, x)

    def image_shape(self, n: int) -> Shape:
        return self.network.image_shape(n)

    def full(self, params: Params) -> Params:
        return self.network.full(params)

    def core(self, params: Params, name: str) -> Array:
        return self.network.core(params, name)

    def gradients(self, params: Params) -> Gradients:
        """A network in factors goes forward and backward as the full one; of a stack, each model."""
        if not all(isinstance(p, np.ndarray) for p in params.values()):
            return self.network.gradients(params)
        if n_models(params):
            return StackedGradients(self.network, params)
        if isinstance(self.network, LowRankNetwork):
            return FactoredGradients(
                self.network.network, self.full(params), self.threads, self.network.gradients(params)
            )
        return FastGradients(self.network, params, self.threads)


@dataclass(frozen=True)
class FastGradients(Gradients):
    """The gradients of a `FCNN` or a `CNN`. What `loss` and `margins` return may be called from several threads."""

    network: Network
    params: Params
    threads: int

    def logits(self, x: Float[np.ndarray, "batch n"]) -> Float[np.ndarray, "batch classes"]:
        z = np.empty((len(x), n_classes(self.params)), x.dtype)

        def work(i: int, part: slice, piece: DenseBuffers | Microbatch) -> None:
            z[part] = piece.logits

        buffers(self.network, self.params, x, self.threads).each(x, work)
        return z

    def loss(self, y: Int[np.ndarray, "batch"]) -> Callable[[Array], Array]:
        mine, t = _Mine(self), one_hot(y, self.params)

        def gradient(x: Float[np.ndarray, "batch n"]) -> Float[np.ndarray, "batch n"]:
            dx = np.empty_like(x)

            def work(i: int, part: slice, piece: DenseBuffers | Microbatch) -> None:
                piece.cross_entropy_gradient(t[part])
                piece.input_gradient(dx[part])

            mine.buffers(x, len(y)).each(x, work)
            return dx

        return gradient

    def value_and_grad(self, loss: Loss, *labels: Int[np.ndarray, "batch"]) -> Callable[[Array], LossAt]:
        mine = _Mine(self)

        def at(x: Float[np.ndarray, "batch n"]) -> LossAt:
            passes = mine.buffers(x, len(labels[0]))
            found = LossAt(np.empty(len(x), x.dtype), np.empty_like(x), np.empty((len(x), mine.classes), x.dtype))

            def work(i: int, part: slice, piece: DenseBuffers | Microbatch) -> None:
                found.logits[part] = piece.logits
                found.value[part], dz = loss(found.logits[part], *(one[part] for one in labels))
                piece.receive(dz)
                piece.input_gradient(found.gradient[part])

            passes.each(x, work)
            return found

        return at

    def margins(self, k: Int[np.ndarray, "batch"]) -> Callable[[Array], tuple[Array, Array]]:
        """One backward pass a margin through the same forward pass."""
        check_labels(k, k.shape[:1], n_classes(self.params))
        mine, D = _Mine(self), margin_directions(k, n_classes(self.params), self.params["b1"].dtype)

        def margins_at(
            x: Float[np.ndarray, "batch n"],
        ) -> tuple[Float[np.ndarray, "batch others"], Float[np.ndarray, "batch others n"]]:
            others = D.shape[1]
            M, dM = np.empty((len(x), others), x.dtype), np.empty((others, *x.shape), x.dtype)

            def work(i: int, part: slice, piece: DenseBuffers | Microbatch) -> None:
                M[part] = margins(piece.logits, k[part])[0]
                for other in range(others):
                    piece.receive(D[part, other])
                    piece.input_gradient(dM[other, part])

            mine.buffers(x, len(k)).each(x, work)
            return M, dM.transpose(1, 0, 2)

        return margins_at

    def weights(self, x: Float[np.ndarray, "batch n"], y: Int[np.ndarray, "batch"]) -> tuple[Array, Params]:
        grads = {name: np.empty_like(p) for name, p in self.params.items()}
        passes = buffers(self.network, self.params, x, self.threads)
        check_labels(y, x.shape[:1], n_classes(self.params))
        return passes.value_and_grad(x, one_hot(y, self.params), grads), grads


@dataclass(frozen=True)
class FactoredGradients(FastGradients):
    """Of a net in factors: with respect to the inputs by the full net, to the factors by their own passes."""

    factored: Gradients

    def weights(self, x: Float[np.ndarray, "batch n"], y: Int[np.ndarray, "batch"]) -> tuple[Array, Params]:
        return self.factored.weights(x, y)


class _Mine(local):
    """A thread's buffers, made when the first input shows its size, and for inputs of that size only."""

    def __init__(self, gradients: FastGradients) -> None:
        self.gradients, self.classes = gradients, n_classes(gradients.params)
        self.made: Buffers | None = None
        self.shape: tuple[int, ...] = ()

    def buffers(self, x: Float[np.ndarray, "batch n"], batch: int) -> Buffers:
        at, dtype = self.gradients, self.gradients.params["b1"].dtype
        if self.made is None:
            params = {name: aligned_copy(p) for name, p in at.params.items()}
            self.made, self.shape = buffers(at.network, params, x, at.threads), (batch, x.shape[1])
        if x.shape != self.shape or x.dtype != dtype:
            raise UsageError(f"expected inputs {dtype}{self.shape}, got {x.dtype}{x.shape}")
        return self.made
