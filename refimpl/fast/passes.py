"""Which passes are fast: on NumPy those of `workspace` and `cnn_workspace`, each held to its definition by a test."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float, Int

from ..backend import Array, Params
from ..errors import UsageError
from ..layers.loss import margin_directions, margins
from ..networks import fcnn
from ..networks.architectures import CNN
from ..networks.base import Network
from ..networks.cnn import check_images
from .cnn import CNNWorkspace, Piece
from .dense import Workspace, one_hot


def has_workspace(network: Network, x: Array) -> bool:
    return isinstance(x, np.ndarray) and (network is fcnn or isinstance(network, CNN))


def workspace(network: Network, params: Params, x: Float[np.ndarray, "batch n"]) -> Workspace | CNNWorkspace:
    """The arrays for inputs like x. Raises `UsageError` for an empty batch, another dtype, another size."""
    if isinstance(network, CNN):
        check_images(params, x)
        return CNNWorkspace(len(x), x.shape[1], params, network)
    W = params["W1"]
    if x.dtype != W.dtype or x.shape[1] != W.shape[1]:
        raise UsageError(f"expected inputs {W.dtype}(batch, {W.shape[1]}), got {x.dtype}{x.shape}")
    return Workspace(len(x), params)


def loss_gradient(
    network: Network, params: Params, y: Int[np.ndarray, "batch"]
) -> Callable[[Float[np.ndarray, "batch n"]], Float[np.ndarray, "batch n"]]:
    """`objectives.loss_gradient`: x -> the gradient by x of the summed cross-entropy."""
    passes = _Passes(network, params, len(y))
    t = one_hot(y, params)

    def gradient(x: Float[np.ndarray, "batch n"]) -> Float[np.ndarray, "batch n"]:
        dx = np.empty_like(x)

        def work(i: int, part: slice, piece: Workspace | Piece) -> None:
            piece.cross_entropy(t[part], 1.0)
            piece.input_gradient(dx[part])

        passes(x).each(x, work)
        return dx

    return gradient


def margin_gradients(
    network: Network, params: Params, k: Int[np.ndarray, "batch"]
) -> Callable[[Float[np.ndarray, "batch n"]], tuple[Array, Array]]:
    """`objectives.margin_gradients`, one backward pass a margin through the same forward pass."""
    passes = _Passes(network, params, len(k))
    D = margin_directions(k, len(params[next(reversed(params))]), params["W1"].dtype)

    def margins_of(
        x: Float[np.ndarray, "batch n"],
    ) -> tuple[Float[np.ndarray, "batch others"], Float[np.ndarray, "batch others n"]]:
        others = D.shape[1]
        M, dM = np.empty((len(x), others), x.dtype), np.empty((others, *x.shape), x.dtype)

        def work(i: int, part: slice, piece: Workspace | Piece) -> None:
            M[part] = margins(piece.logits, k[part])[0]
            for other in range(others):
                piece.receive(D[part, other])
                piece.input_gradient(dM[other, part])

        passes(x).each(x, work)
        return M, dM.transpose(1, 0, 2)

    return margins_of


def logits(network: Network, params: Params, x: Float[np.ndarray, "batch n"]) -> Float[np.ndarray, "batch classes"]:
    """The forward pass alone."""
    z = np.empty((len(x), len(params[next(reversed(params))])), x.dtype)

    def work(i: int, part: slice, piece: Workspace | Piece) -> None:
        z[part] = piece.logits

    workspace(network, params, x).each(x, work)
    return z


def weight_gradients(
    network: Network, params: Params, x: Float[np.ndarray, "batch n"], y: Int[np.ndarray, "batch"]
) -> Params:
    """`objectives.weight_gradients`."""
    grads = {name: np.empty_like(p) for name, p in params.items()}
    workspace(network, params, x).descend(x, one_hot(y, params), grads)
    return grads


class _Passes:
    """A workspace made when the first input shows its size, and only for inputs of that size."""

    def __init__(self, network: Network, params: Params, batch: int) -> None:
        self.network, self.params, self.batch = network, params, batch
        self.workspace: Workspace | CNNWorkspace | None = None
        self.shape: tuple[int, ...] = ()

    def __call__(self, x: Float[np.ndarray, "batch n"]) -> Workspace | CNNWorkspace:
        if self.workspace is None:
            self.workspace, self.shape = workspace(self.network, self.params, x), (self.batch, x.shape[1])
        dtype = self.params["W1"].dtype
        if x.shape != self.shape or x.dtype != dtype:
            raise UsageError(f"expected inputs {dtype}{self.shape}, got {x.dtype}{x.shape}")
        return self.workspace
