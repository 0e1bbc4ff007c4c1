"""The convolutional net on NumPy: the passes of `cnn` and `loss` in pieces, shared among threads.

A batch is cut into pieces of `PIECE` images. Their gradients are summed in the order of the pieces, so the number of
threads changes no bit.
"""

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import numpy as np
from jaxtyping import Float

from .backend import Params
from .block import Block
from .cnn import check_features, check_images
from .errors import UsageError
from .networks import CNN
from .workspace import Workspace

PIECE = 32
"""Images of a piece: its patches and feature maps take 8 MB."""
DENSE = ("W3", "b3", "W4", "b4")

Weights = list[tuple[np.ndarray, np.ndarray]]
"""Filters as matrices (O, k k C), channels last, and their biases."""


class Piece:
    """The two blocks of a few images, and the gradients by their weights."""

    def __init__(self, batch: int, side: int, params: Params, network: CNN) -> None:
        filters = [params["W1"], params["W2"]]
        self.blocks: list[Block] = []
        for W in filters:
            border = 0 if network.padding == "valid" else W.shape[-1] // 2
            self.blocks.append(Block(batch, side, W, border, network.activation))
            side = self.blocks[-1].side
        self.dW = [np.empty((len(W), W[0].size), W.dtype) for W in filters]
        self.db = [np.empty(len(W), W.dtype) for W in filters]
        self.features = self.blocks[-1].h.transpose(0, 3, 1, 2)  # in the order of `cnn`: (batch, C, side, side)
        self.d_features = np.empty_like(self.blocks[-1].h)

    def receive(self, d_features: np.ndarray) -> None:
        """The gradient by the features, rows in the order of `cnn`."""
        self.d_features[...] = d_features.reshape(self.features.shape).transpose(0, 2, 3, 1)

    def forward(self, x: np.ndarray, weights: Weights) -> None:
        for block, (W, b) in zip(self.blocks, weights, strict=True):
            block.inside[...] = x
            block.forward(W, b)
            x = block.h

    def gradients(self, weights: Weights) -> None:
        dh = self.d_features
        for i in (1, 0):
            self.blocks[i].backward(dh)
            self.blocks[i].weight_gradients(self.dW[i], self.db[i])
            if i:
                dh = self.blocks[i].input_gradient(weights[i][0])

    def input_gradient(self, weights: Weights) -> np.ndarray:
        dh = self.d_features
        for i in (1, 0):
            self.blocks[i].backward(dh)
            dh = self.blocks[i].input_gradient(weights[i][0])
        return dh


class CNNWorkspace:
    """What `workspace.Workspace` is to `fcnn`, for a `CNN`: the same methods, to be called in the same order.

    `params` may be views of a vector that changes; inputs are (batch, n). Raises `UsageError` where n is not the size
    of images the dense weights are for.
    """

    def __init__(self, batch: int, n: int, params: Params, network: CNN) -> None:
        self.params = params
        self.filters = [(params[f"W{i}"], params[f"b{i}"]) for i in (1, 2)]
        self.side, self.threads = math.isqrt(n), network.threads
        parts = [slice(i, min(i + PIECE, batch)) for i in range(0, batch, PIECE)]
        sizes = [part.stop - part.start for part in parts]
        self.pieces = [(part, Piece(size, self.side, params, network)) for part, size in zip(parts, sizes, strict=True)]
        dense = {name: params[name] for name in DENSE}
        features = self.pieces[0][1].features[0].size
        check_features(params, features, network.padding)
        self.head = Workspace(batch, dense)
        self.features = np.empty((batch, params["W3"].shape[1]), params["W3"].dtype)
        self.weights: Weights = []

    def forward(self, x: Float[np.ndarray, "batch n"]) -> None:
        """Fill the head's logits. Raises `UsageError` for images that do not fit the net or are not finite."""
        check_images(self.params, x)
        if not np.isfinite(x).all():
            raise UsageError(f"expected finite images, got {(~np.isfinite(x)).sum()} pixels of {x.shape} that are not")
        self.weights = [(np.ascontiguousarray(W.transpose(0, 2, 3, 1)).reshape(len(W), -1), b) for W, b in self.filters]
        images = x.reshape(-1, self.side, self.side, 1)

        def forward(part: slice, piece: Piece) -> None:
            piece.forward(images[part], self.weights)
            self.features[part].reshape(piece.features.shape)[...] = piece.features

        self._each(forward)
        self.head.forward(self.features)

    @property
    def logits(self) -> Float[np.ndarray, "batch classes"]:
        return self.head.logits

    def cross_entropy(self, t: Float[np.ndarray, "batch classes"], weight: float) -> np.floating:
        """The mean cross-entropy, and its gradient, each example counted `weight` times."""
        return self.head.cross_entropy(t, weight)

    def gradients(self, x: Float[np.ndarray, "batch n"], grads: Params) -> None:
        """Fill `grads` with the gradients by all parameters."""
        self.head.gradients(self.features, {name: grads[name] for name in DENSE})
        d_features = self.head.input_gradient()

        def backward(part: slice, piece: Piece) -> None:
            piece.receive(d_features[part])
            piece.gradients(self.weights)

        self._each(backward)
        for i, (W, _) in enumerate(self.filters):
            (filters, C, k, _), (_, first) = W.shape, self.pieces[0]
            dW, db = first.dW[i], first.db[i]
            for _, piece in self.pieces[1:]:
                dW += piece.dW[i]
                db += piece.db[i]
            grads[f"W{i + 1}"][...] = dW.reshape(filters, k, k, C).transpose(0, 3, 1, 2)
            grads[f"b{i + 1}"][...] = db

    def receive(self, dz: Float[np.ndarray, "batch classes"]) -> None:
        """Any other gradient by the logits, for `input_gradient`."""
        self.head.receive(dz)

    def input_gradient(self) -> Float[np.ndarray, "batch n"]:
        """The gradient by x, in an array of its own."""
        d_features = self.head.input_gradient()
        dx = np.empty((len(d_features), self.side, self.side, 1), d_features.dtype)

        def backward(part: slice, piece: Piece) -> None:
            piece.receive(d_features[part])
            dx[part] = piece.input_gradient(self.weights)

        self._each(backward)
        return dx.reshape(len(dx), -1)

    def _each(self, work: Callable[[slice, Piece], None]) -> None:
        if self.threads == 1:
            for part, piece in self.pieces:
                work(part, piece)
        else:
            for done in [_pool(self.threads).submit(work, part, piece) for part, piece in self.pieces]:
                done.result()


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="refimpl")
