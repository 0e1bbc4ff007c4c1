"""The convolutional net on NumPy: the passes of `cnn` and `loss` in pieces, shared among threads.

A batch is cut into pieces of `PIECE` images, and each goes forward and backward through arrays that a thread keeps, and
that the cache keeps. Gradients are summed in the order of the pieces, so the number of threads changes no bit.
"""

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from threading import local

import numpy as np
from jaxtyping import Float

from ..backend import Params
from ..errors import UsageError
from ..networks.architectures import CNN
from ..networks.cnn import check_features, check_images
from .conv_block import Block
from .dense import Workspace

PIECE = 16
"""Images of a piece: its patches and feature maps take 4 MB."""
DENSE = ("W3", "b3", "W4", "b4")

Weights = list[tuple[np.ndarray, np.ndarray]]
"""Filters as matrices (O, k k C), channels last, and their biases."""


class Piece:
    """The arrays of a few images: two blocks, and a `Workspace` for the dense layers, whose methods it has too."""

    def __init__(self, batch: int, side: int, params: Params, network: CNN) -> None:
        self.blocks: list[Block] = []
        for W in (params["W1"], params["W2"]):
            border = 0 if network.padding == "valid" else W.shape[-1] // 2
            self.blocks.append(Block(batch, side, W, border, network.activation))
            side = self.blocks[-1].side
        last = self.blocks[-1].h
        check_features(params, last[0].size, network.padding)
        self.channels_first = last.transpose(0, 3, 1, 2)  # the order of `cnn`
        self.features = np.empty((batch, last[0].size), last.dtype)
        self.d_features = np.empty_like(last)
        self.head = Workspace(batch, {name: params[name] for name in DENSE}, network.dense_activation)
        self.weights: Weights = []

    def forward(self, x: Float[np.ndarray, "batch n"], weights: Weights) -> None:
        self.weights = weights
        maps = x.reshape(self.blocks[0].inside.shape)
        for block, (W, b) in zip(self.blocks, weights, strict=True):
            block.inside[...] = maps
            block.forward(W, b)
            maps = block.h
        self.features.reshape(self.channels_first.shape)[...] = self.channels_first
        self.head.forward(self.features)

    @property
    def logits(self) -> Float[np.ndarray, "batch classes"]:
        return self.head.logits

    def receive(self, dz: Float[np.ndarray, "batch classes"]) -> None:
        self.head.receive(dz)

    def cross_entropy(self, t: Float[np.ndarray, "batch classes"], weight: float) -> np.floating:
        return self.head.cross_entropy(t, weight)

    def gradients(self, grads: Params) -> None:
        self.head.gradients(self.features, {name: grads[name] for name in DENSE})
        dh = self._to_blocks()
        for i in (1, 0):
            block, (W, _) = self.blocks[i], self.weights[i]
            block.backward(dh)
            dW = block.weight_gradient(grads[f"b{i + 1}"])
            filters, C, k, _ = grads[f"W{i + 1}"].shape
            grads[f"W{i + 1}"][...] = dW.reshape(filters, k, k, C).transpose(0, 3, 1, 2)
            if i:
                dh = block.input_gradient(W)

    def input_gradient(self, out: Float[np.ndarray, "batch n"]) -> None:
        dh = self._to_blocks()
        for block, (W, _) in zip(reversed(self.blocks), reversed(self.weights), strict=True):
            block.backward(dh)
            dh = block.input_gradient(W)
        out.reshape(dh.shape)[...] = dh

    def _to_blocks(self) -> Float[np.ndarray, "batch h w C"]:
        """The gradient by the features, channels last."""
        self.head.input_gradient(self.features)
        self.d_features[...] = self.features.reshape(self.channels_first.shape).transpose(0, 2, 3, 1)
        return self.d_features


class CNNWorkspace:
    """What `workspace.Workspace` is to `fcnn`, for a `CNN`: the same passes.

    `params` may be views of a vector that changes; inputs are (batch, n). Raises `UsageError` for images that do not
    fit the net or are not finite.
    """

    def __init__(self, batch: int, n: int, params: Params, network: CNN) -> None:
        self.params, self.network, self.side = params, network, math.isqrt(n)
        self.parts = [slice(i, min(i + PIECE, batch)) for i in range(0, batch, PIECE)]
        self.mine = _Mine()
        self.shares: list[Params] = []

    def descend(
        self, x: Float[np.ndarray, "batch n"], t: Float[np.ndarray, "batch classes"], grads: Params
    ) -> np.floating:
        """The mean cross-entropy; `grads` is filled with its gradients by all parameters."""
        if not self.shares:
            self.shares = [{name: np.empty_like(p) for name, p in self.params.items()} for _ in self.parts]

        def work(i: int, part: slice, piece: Piece) -> np.floating:
            loss = piece.cross_entropy(t[part], 1 / len(x))
            piece.gradients(self.shares[i])
            return loss * ((part.stop - part.start) / len(x))

        losses = self.each(x, work)
        for name, total in grads.items():
            total[...] = self.shares[0][name]
            for share in self.shares[1:]:
                total += share[name]
        return np.add.reduce(losses)

    def each(self, x: Float[np.ndarray, "batch n"], work: Callable[[int, slice, Piece], object]) -> list:
        """Forward piece by piece, each followed by `work`; what it returns, in order."""
        check_images(self.params, x)
        if not np.isfinite(x).all():
            raise UsageError(f"expected finite images, got {(~np.isfinite(x)).sum()} pixels of {x.shape} that are not")
        filters = [(self.params[f"W{i}"], self.params[f"b{i}"]) for i in (1, 2)]
        weights = [(np.ascontiguousarray(W.transpose(0, 2, 3, 1)).reshape(len(W), -1), b) for W, b in filters]

        def one(i: int, part: slice) -> object:
            piece = self._piece(part.stop - part.start)
            piece.forward(x[part], weights)
            return work(i, part, piece)

        if self.network.threads == 1 or len(self.parts) == 1:
            return [one(i, part) for i, part in enumerate(self.parts)]
        return list(_pool(self.network.threads).map(one, range(len(self.parts)), self.parts))

    def _piece(self, size: int) -> Piece:
        pieces = self.mine.pieces
        if size not in pieces:
            pieces[size] = Piece(size, self.side, self.params, self.network)
        return pieces[size]


class _Mine(local):
    """What a thread keeps: a piece of each size it met."""

    def __init__(self) -> None:
        self.pieces: dict[int, Piece] = {}


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="refimpl")
