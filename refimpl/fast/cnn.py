"""The convolutional net on NumPy: the passes of `networks.cnn` and `loss` in microbatches, shared among threads.

A batch is cut into microbatches of `MICROBATCH` images, and each goes forward and backward through arrays that a thread
keeps, and that the cache keeps. Gradients are summed in the order of the microbatches, so the number of threads changes
no bit.
"""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from threading import local

import numpy as np
from jaxtyping import Float

from ..backend import Params
from ..errors import UsageError
from ..networks.cnn import CNN
from .conv_block import ConvBlock
from .convolutions import Filters, kind
from .dense import DenseBuffers

MICROBATCH = 32
"""Few enough images for the cache, and many enough that threads seldom wait for each other between calls."""


class Microbatch:
    """The arrays of a few images: two blocks, and `DenseBuffers` for the dense layers, whose methods it has too."""

    def __init__(self, batch: int, params: Params, network: CNN) -> None:
        self.blocks: list[ConvBlock] = []
        self.shape = batch, network.channels, network.side, network.side
        side = network.side
        for W in (params["W1"], params["W2"]):
            border = 0 if network.padding == "valid" else W.shape[-1] // 2
            self.blocks.append(ConvBlock(batch, side, W, border, network.activation))
            side = self.blocks[-1].side
        last = self.blocks[-1].h
        self.channels_first = last.transpose(2, 3, 0, 1)  # the order of `cnn`
        self.features = np.empty((batch, last.size // batch), last.dtype)
        self.d_features = np.empty_like(last)
        self.head = DenseBuffers(batch, params, (3, 4), network.dense_activation)
        self.filters: list[Filters] = []

    def forward(self, x: Float[np.ndarray, "batch n"], filters: list[Filters]) -> None:
        self.filters = filters
        maps = x.reshape(self.shape).transpose(2, 3, 0, 1)
        for block, its in zip(self.blocks, filters, strict=True):
            block.inside[...] = maps
            block.forward(its)
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

    def cross_entropy_gradient(self, t: Float[np.ndarray, "batch classes"]) -> None:
        self.head.cross_entropy_gradient(t)

    def gradients(self, grads: Params) -> None:
        self.head.gradients(self.features, grads)
        dh = self._to_blocks()
        for i in (1, 0):
            block = self.blocks[i]
            block.backward(dh)
            grads[f"W{i + 1}"][...] = block.weight_gradient(grads[f"b{i + 1}"])
            if i:
                dh = block.input_gradient(self.filters[i])

    def input_gradient(self, out: Float[np.ndarray, "batch n"]) -> None:
        dh = self._to_blocks()
        for block, its in zip(reversed(self.blocks), reversed(self.filters), strict=True):
            block.backward(dh)
            dh = block.input_gradient(its)
        out.reshape(self.shape)[...] = dh.transpose(2, 3, 0, 1)

    def _to_blocks(self) -> Float[np.ndarray, "h w batch C"]:
        """Gradient with respect to the features, with the batch and the channels last."""
        self.head.input_gradient(self.features)
        self.d_features[...] = self.features.reshape(self.channels_first.shape).transpose(2, 3, 0, 1)
        return self.d_features


class CNNBuffers:
    """What `DenseBuffers` is to `fcnn`, for a `CNN`: the same passes, at the parameters last bound.

    Raises `UsageError` for images that are not finite.
    """

    def __init__(self, batch: int, params: Params, network: CNN, threads: int) -> None:
        self.network, self.threads = network, threads
        self.parts = [slice(i, min(i + MICROBATCH, batch)) for i in range(0, batch, MICROBATCH)]
        self.mine = _Mine()
        self.part_grads: list[Params] = []
        self.bind(params)

    def bind(self, params: Params) -> None:
        """Take these parameters from now on; they may be views of a vector that changes."""
        self.params = params

    def value_and_grad(
        self, x: Float[np.ndarray, "batch n"], t: Float[np.ndarray, "batch classes"], grads: Params
    ) -> np.floating:
        """The mean cross-entropy; `grads` is filled with its gradient with respect to all parameters."""
        if not self.part_grads:
            self.part_grads = [{name: np.empty_like(p) for name, p in self.params.items()} for _ in self.parts]

        def work(i: int, part: slice, microbatch: Microbatch) -> np.floating:
            loss = microbatch.cross_entropy(t[part], 1 / len(x))
            microbatch.gradients(self.part_grads[i])
            return loss * ((part.stop - part.start) / len(x))

        losses = self.each(x, work)
        for name, total in grads.items():
            total[...] = self.part_grads[0][name]
            for found in self.part_grads[1:]:
                total += found[name]
        return np.add.reduce(losses)

    def each(self, x: Float[np.ndarray, "batch n"], work: Callable[[int, slice, Microbatch], object]) -> list:
        """Forward microbatch by microbatch, each followed by `work`; what it returns, in order."""
        if not np.isfinite(x).all():
            raise UsageError(f"expected finite images, got {(~np.isfinite(x)).sum()} pixels of {x.shape} that are not")
        filters = [kind(W := self.params[f"W{i}"]).filters(W, self.params[f"b{i}"]) for i in (1, 2)]

        def one(i: int, part: slice) -> object:
            microbatch = self._microbatch(part.stop - part.start)
            microbatch.forward(x[part], filters)
            return work(i, part, microbatch)

        if self.threads == 1 or len(self.parts) == 1:
            return [one(i, part) for i, part in enumerate(self.parts)]
        return list(_pool(self.threads).map(one, range(len(self.parts)), self.parts))

    def _microbatch(self, size: int) -> Microbatch:
        """This thread's, at the parameters bound."""
        kept = self.mine.kept
        if size not in kept:
            kept[size] = Microbatch(size, self.params, self.network)
        if kept[size].head.params is not self.params:
            kept[size].head.bind(self.params)
        return kept[size]


class _Mine(local):
    """What a thread keeps: a microbatch of each size it met."""

    def __init__(self) -> None:
        self.kept: dict[int, Microbatch] = {}


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="refimpl")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.cache_clear)  # a forked child has the pool, but not its threads
