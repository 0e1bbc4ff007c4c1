r"""The paper's fully connected net: 784-20-20-20-20-20-10 with tanh, Eq. (1).

$t^0 = x$, $\;t^i = \tanh(W^i t^{i-1} + b^i)$, and the last layer's $z = W^m t^{m-1} + b^m$ are the logits; softmax
belongs to the loss. The paper writes no biases; its framework has them, and so have we, starting at zero (an
assumption, see CONTRIBUTING.md).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import ClassVar

import numpy as np
from jaxtyping import Float

from ..backend import Array, Backend, Params
from ..errors import UsageError
from ..layers.activations import tanh
from ..layers.dense import affine
from ..layers.images import Shape, square
from ..parameters import depth
from ..rng import stream
from ..settings import setting
from ..tape import Tape, record
from ..validation import check_inputs
from .base import NETWORKS, Network, Usual

WIDTHS = (784, 20, 20, 20, 20, 20, 10)


def init(backend: Backend, seed: int = 0, widths: Sequence[int] = WIDTHS, dtype: str = "float32") -> Params:
    r"""Parameters `W1 b1 W2 b2 ...`, $W^i$ of shape (fan_out, fan_in).

    Glorot uniform, $W \sim U(-a, a)$ with $a = \sqrt{6 / (n + m)}$ (Glorot and Bengio 2010), biases zero: an assumption
    of CONTRIBUTING.md. Drawn in float64, so that two dtypes start from the same weights up to rounding.
    """
    if len(widths) < 2 or min(widths) < 1:
        raise UsageError(f"widths must be two or more positive numbers, got {tuple(widths)}")
    rng = stream(seed, "init")
    params: Params = {}
    for i, (n, m) in enumerate(pairwise(widths), start=1):
        a = math.sqrt(6 / (n + m))
        params[f"W{i}"] = backend.asarray(rng.uniform(-a, a, (m, n)), dtype)
        params[f"b{i}"] = backend.asarray(np.zeros(m), dtype)
    return params


def forward(params: Params, x: Float[Array, "*models batch n"]) -> tuple[Float[Array, "*models batch classes"], Tape]:
    """The logits of a batch, and the tape that differentiates them.

    Raises `UsageError` for an empty batch, for inputs of another size, and for another dtype than the weights'.
    """
    check_inputs(params, x, params["W1"].shape[-1])
    tape: Tape = []
    for i in range(1, depth(params) + 1):
        W, b = f"W{i}", f"b{i}"
        x = record(tape, affine(x, params[W], params[b]), W, b)
        if i < depth(params):
            x = record(tape, tanh(x))
    return x, tape


def hidden(params: Params, x: Float[Array, "*models batch n"]) -> list[Float[Array, "*models batch units"]]:
    """The hidden representations $t^1, ..., t^{m-1}$ of Eq. (1)."""
    check_inputs(params, x, params["W1"].shape[-1])
    representations = []
    for i in range(1, depth(params)):
        x, _ = affine(x, params[f"W{i}"], params[f"b{i}"])
        x, _ = tanh(x)
        representations.append(x)
    return representations


@NETWORKS.register("fcnn")
@dataclass(frozen=True)
class FCNN(Network):
    """The fully connected net of given widths, from the pixels to the classes."""

    name: ClassVar[str] = "fcnn"
    usual: ClassVar[Usual] = Usual("mnist", steps=112_560)
    """240 epochs of MNIST, where plain SGD first meets Table 1's .9508."""

    widths: tuple[int, ...] = setting(WIDTHS, "Units of the layers, from pixels to classes.")
    image: Shape | None = setting(None, "Channels, height and width of the images; None for a square.", of_data=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.widths) < 2 or min(self.widths) < 1:
            raise UsageError(f"widths must be two or more positive numbers, got {list(self.widths)}")

    def for_data(self, shape: Shape, classes: int) -> "FCNN":
        """The paper's widths with other ends; widths that were chosen must have these ends already."""
        ends = (math.prod(shape), classes)
        if self.widths == WIDTHS:
            return replace(self, widths=(ends[0], *WIDTHS[1:-1], ends[1]), image=shape)
        if (self.widths[0], self.widths[-1]) != ends:
            raise UsageError(f"widths must go from {ends[0]} pixels to {ends[1]} classes, got {list(self.widths)}")
        return replace(self, image=shape)

    def image_shape(self, n: int) -> Shape:
        return square(n) if self.image is None else self.image

    @property
    def certifiable(self) -> bool:
        return True

    def init(self, backend: Backend, seed: int = 0, dtype: str = "float32") -> Params:
        return init(backend, seed, self.widths, dtype)

    def forward(self, params: Params, x: Array) -> tuple[Array, Tape]:
        return forward(params, x)

    def hidden(self, params: Params, x: Array) -> list[Array]:
        return hidden(params, x)
