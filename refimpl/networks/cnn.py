r"""The paper's convolutional net: two blocks of 3 x 3 convolution and 2 x 2 max-pooling, 128 tanh units, 10 logits.

The paper names neither the padding nor the activation of the two blocks; both are options, and the defaults assumptions
(see refimpl/experiments/README.md). Pooling comes before the activation: the two commute, since an activation does not
decrease, and a quarter of the entries is left to activate.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from jaxtyping import Float

from ..backend import Array, Backend, Params
from ..errors import UsageError
from ..layers.activations import ACTIVATIONS
from ..layers.convolution import conv2d, pad
from ..layers.dense import affine
from ..layers.images import Shape, as_images, as_rows
from ..layers.pooling import max_pool
from ..rng import stream
from ..settings import setting
from ..tape import Pullback, Tape, record
from ..validation import check_inputs
from .base import NETWORKS, Network, Usual

PADDINGS = ("valid", "same")
FASTER = {"learning_rate": 0.01}

Primitive = Callable[[Array, Array, Array], tuple[Array, Pullback]]
Apply = Callable[[Tape, Primitive, int, Array], Array]
"""How layer i acts on its input: `apply(tape, affine, i, x)` is its output."""


@NETWORKS.register("cnn")
@dataclass(frozen=True)
class CNN(Network):
    """The convolutional net, with its sizes and what the paper leaves open."""

    name: ClassVar[str] = "cnn"
    usual: ClassVar[Usual] = Usual("fashion-mnist", 58_156, 64, {"sgd": FASTER, "adam": FASTER})
    """62 epochs of Fashion-MNIST, where natural training first meets Table 2's .9041."""

    own_threads: ClassVar[bool] = True

    padding: str = setting("valid", "Padding of the convolutions.", choices=PADDINGS)
    activation: str = setting("tanh", "Activation of the convolutions.", choices=tuple(ACTIVATIONS))
    dense_activation: str = setting("tanh", "Activation of the dense layer.", choices=tuple(ACTIVATIONS))
    filters: tuple[int, int] = setting((32, 32), "Filters of the first and of the second block.", at_least=1)
    kernel: int = setting(3, "Side of the filters.", unit="pixels", at_least=1)
    hidden_units: int = setting(128, "Units of the dense layer.", at_least=1)
    channels: int = setting(1, "Channels of the images.", at_least=1, of_data=True)
    side: int = setting(28, "Height and width of the images.", unit="pixels", at_least=1, of_data=True)
    classes: int = setting(10, "Number of classes.", at_least=2, of_data=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if min(self.filters) < 1:
            raise UsageError(f"filters must be positive numbers, got {list(self.filters)}")
        if self.features < 1:
            raise UsageError(
                f"images of {self.side} x {self.side} pixels are too small for two blocks of convolution and pooling"
                f" with padding {self.padding}, kernel {self.kernel}"
            )

    @property
    def features(self) -> int:
        """How many numbers leave the second block."""
        left = self.side
        for _ in range(2):
            left = max(left - (self.kernel - 1 if self.padding == "valid" else 0), 0) // 2
        return self.filters[1] * left * left

    @property
    def shapes(self) -> list[tuple[int, ...]]:
        """The shapes of the weights `W1` to `W4`."""
        (first, second), k = self.filters, self.kernel
        return [
            (first, self.channels, k, k),
            (second, first, k, k),
            (self.hidden_units, self.features),
            (self.classes, self.hidden_units),
        ]

    def init(self, backend: Backend, seed: int = 0, dtype: str = "float32") -> Params:
        r"""Parameters `W1 b1 ... W4 b4`: filters (O, C, k, k) twice, then (fan_out, fan_in) twice.

        Glorot uniform, $W \sim U(-a, a)$ with $a = \sqrt{6 / (\mathrm{fan\_in} + \mathrm{fan\_out})}$, where a
        filter's fans are k^2 C and k^2 O (Glorot and Bengio 2010); biases zero.
        """
        rng = stream(seed, "init")
        params: Params = {}
        for i, shape in enumerate(self.shapes, start=1):
            a = math.sqrt(6 / ((shape[0] + shape[1]) * math.prod(shape[2:])))
            params[f"W{i}"] = backend.asarray(rng.uniform(-a, a, shape), dtype)
            params[f"b{i}"] = backend.asarray(np.zeros(shape[0]), dtype)
        return params

    def forward(self, params: Params, x: Float[Array, "batch n"]) -> tuple[Float[Array, "batch classes"], Tape]:
        """The logits of a batch of images, rows of n pixels, and the tape that differentiates them.

        Raises `UsageError` for an empty batch, for images of another size, for another dtype than the weights', and for
        the weights of another network.
        """
        self.check(params, x)
        tape: Tape = []
        return self.layers(tape, applying(params), x)[-1], tape

    def hidden(self, params: Params, x: Float[Array, "batch n"]) -> list[Float[Array, "batch _"]]:
        """The hidden representations as rows: the two blocks' and the dense layer's."""
        self.check(params, x)
        return [as_rows(t)[0] for t in self.layers([], applying(params), x)[:-1]]

    def layers(self, tape: Tape, apply: Apply, x: Float[Array, "batch n"]) -> list[Array]:
        """What each layer puts out, the logits last, with `apply` for its affine part."""
        outputs = []
        x = record(tape, as_images(x, self.image_shape(x.shape[-1])))
        for i in (1, 2):
            x = record(tape, pad(x, 0 if self.padding == "valid" else self.kernel // 2))
            x = apply(tape, conv2d, i, x)
            x = record(tape, max_pool(x))
            x = record(tape, ACTIVATIONS[self.activation](x))
            outputs.append(x)
        x = record(tape, as_rows(x))
        x = apply(tape, affine, 3, x)
        outputs.append(record(tape, ACTIVATIONS[self.dense_activation](x)))
        outputs.append(apply(tape, affine, 4, outputs[-1]))
        return outputs

    def check(self, params: Params, x: Float[Array, "..."]) -> None:
        """Raise `UsageError` unless `forward` can take these parameters and inputs."""
        check_inputs(params, x, self.channels * self.side**2)
        for i, shape in enumerate(self.shapes, start=1):
            if params[f"W{i}"].shape != shape:
                raise UsageError(f"{self.name} with these settings has W{i} {shape}, got {params[f'W{i}'].shape}")

    def for_data(self, shape: Shape, classes: int) -> "CNN":
        """Channels, side and classes of the data; raises `UsageError` for images that are not square."""
        channels, height, width = shape
        if height != width:
            raise UsageError(f"{self.name} takes square images, and these are {height} x {width}: take fcnn")
        return replace(self, channels=channels, side=height, classes=classes)

    def image_shape(self, n: int) -> Shape:
        return self.channels, self.side, self.side


def applying(params: Params) -> Apply:
    """Layer i with its weight `W{i}` and its bias `b{i}`."""

    def apply(tape: Tape, primitive: Primitive, i: int, x: Array) -> Array:
        W, b = f"W{i}", f"b{i}"
        return record(tape, primitive(x, params[W], params[b]), W, b)

    return apply
