r"""The paper's convolutional net: two blocks of 3 x 3 convolution and 2 x 2 max-pooling, 128 tanh units, 10 logits.

With other sizes, and leaky ReLU, it is LeNet-5 (`networks.lenet5`).

The paper names neither the padding nor the activation of the two blocks; both are options, and the defaults readings
(see CONTRIBUTING.md). Pooling comes before the activation: the two commute, since an activation does not
decrease, and a quarter of the entries is left to activate.
"""

import math

import numpy as np
from jaxtyping import Float

from ..backend import Array, Backend, Params, namespace
from ..errors import UsageError
from ..layers.activations import identity, leaky_relu, relu, tanh
from ..layers.convolution import conv2d, pad
from ..layers.dense import affine
from ..layers.pooling import max_pool
from ..low_rank.network import Primitive, inputs, layer
from ..parameters import as_matrix
from ..rng import stream
from ..tape import Pullback, Tape

ACTIVATIONS = {"relu": relu, "tanh": tanh, "identity": identity, "leaky-relu": leaky_relu}
PADDINGS = ("valid", "same")


def init(
    backend: Backend,
    seed: int = 0,
    dtype: str = "float32",
    *,
    padding: str = "valid",
    filters: int | tuple[int, int] = 32,
    kernel: int = 3,
    side: int = 28,
    hidden_units: int = 128,
    classes: int = 10,
) -> Params:
    r"""Parameters `W1 b1 ... W4 b4`: filters (O, C, k, k) twice, then (fan_out, fan_in) twice.

    Glorot uniform, $W \sim U(-a, a)$ with $a = \sqrt{6 / (\mathrm{fan\_in} + \mathrm{fan\_out})}$, where a filter's
    fans are k^2 C and k^2 O (Glorot and Bengio 2010); biases zero. `filters` is their number in both blocks, or
    in each, `kernel` their k, and `side` the images', both in pixels.
    """
    check_padding(padding)
    left = side
    for _ in range(2):
        left = (left - (kernel - 1 if padding == "valid" else 0)) // 2
    if left < 1:
        raise UsageError(f"images of {side} x {side} pixels are too small for two blocks of convolution and pooling")
    first, second = (filters, filters) if isinstance(filters, int) else filters
    shapes = [
        (first, 1, kernel, kernel),
        (second, first, kernel, kernel),
        (hidden_units, second * left * left),
        (classes, hidden_units),
    ]
    rng = stream(seed, "init")
    params: Params = {}
    for i, shape in enumerate(shapes, start=1):
        a = math.sqrt(6 / ((shape[0] + shape[1]) * math.prod(shape[2:])))
        params[f"W{i}"] = backend.asarray(rng.uniform(-a, a, shape), dtype)
        params[f"b{i}"] = backend.asarray(np.zeros(shape[0]), dtype)
    return params


def forward(
    params: Params,
    x: Float[Array, "batch n"],
    *,
    padding: str = "valid",
    activation: str = "tanh",
    dense_activation: str = "tanh",
) -> tuple[Float[Array, "batch classes"], Tape]:
    """The logits of a batch of images, rows of n pixels, and the tape that differentiates them.

    Raises `UsageError` for an empty batch, for rows that are no square images, and where the weights are of another
    dtype or for images of another size.
    """
    (*_, logits), tape = _layers(params, x, padding, activation, dense_activation)
    return logits, tape


def hidden(
    params: Params,
    x: Float[Array, "batch n"],
    *,
    padding: str = "valid",
    activation: str = "tanh",
    dense_activation: str = "tanh",
) -> list[Float[Array, "batch units"]]:
    """The hidden representations as rows: the two blocks' and the dense layer's."""
    (*representations, _), _ = _layers(params, x, padding, activation, dense_activation)
    return [as_matrix(t) for t in representations]


def _layers(params: Params, x: Array, padding: str, activation: str, dense_activation: str) -> tuple[list[Array], Tape]:
    check_padding(padding)
    for name in (activation, dense_activation):
        if name not in ACTIVATIONS:
            raise UsageError(f"activation must be one of {', '.join(ACTIVATIONS)}, got {name!r}")
    check_images(params, x)
    tape: Tape = []

    def play(primitive: tuple[Array, Pullback]) -> Array:
        value, pull = primitive
        tape.append(((), pull))
        return value

    def play_layer(linear: Primitive, i: int, x: Array) -> Array:
        value, part = layer(linear, params, i, x)
        tape.extend(part)
        return value

    layers = []
    x = play(as_images(x, inputs(params, 1)[0]))
    for i in (1, 2):
        x = play(pad(x, 0 if padding == "valid" else inputs(params, i)[-1] // 2))
        x = play_layer(conv2d, i, x)
        x = play(max_pool(x))
        x = play(ACTIVATIONS[activation](x))
        layers.append(x)
    x = play(as_rows(x))
    check_features(params, x.shape[-1], padding)
    x = play_layer(affine, 3, x)
    layers.append(play(ACTIVATIONS[dense_activation](x)))
    layers.append(play_layer(affine, 4, layers[-1]))
    return layers, tape


def as_images(x: Float[Array, "*batch n"], channels: int) -> tuple[Float[Array, "*batch C side side"], Pullback]:
    """Rows of pixels as square images of C channels, and back."""
    xp, n = namespace(x), x.shape[-1]
    side = math.isqrt(n // channels)
    images = xp.reshape(x, (*x.shape[:-1], channels, side, side))
    return images, Pullback(x=lambda dy: xp.reshape(dy, (*dy.shape[:-3], n)))


def as_rows(x: Float[Array, "batch *shape"]) -> tuple[Float[Array, "batch n"], Pullback]:
    """One row an example, and back."""
    xp, shape = namespace(x), x.shape
    return as_matrix(x), Pullback(x=lambda dy: xp.reshape(dy, (*dy.shape[:-1], *shape[1:])))


def check_padding(padding: str) -> None:
    if padding not in PADDINGS:
        raise UsageError(f"padding must be one of {', '.join(PADDINGS)}, got {padding!r}")


def check_images(params: Params, x: Float[Array, "batch n"]) -> None:
    """Raise `UsageError` unless x holds rows of square images in the dtype of the weights."""
    dtype, (batch, n) = params["b1"].dtype, x.shape
    channels = inputs(params, 1)[0]
    if not batch or not n or n != channels * math.isqrt(n // channels) ** 2 or x.dtype != dtype:
        raise UsageError(f"expected images {dtype}(1 or more, {channels} x side x side), got {x.dtype}{tuple(x.shape)}")


def check_features(params: Params, features: int, padding: str) -> None:
    (expected,) = inputs(params, 3)
    if features != expected:
        raise UsageError(
            f"W3 expects {expected} features, but images of this size with {padding} padding give {features}"
        )
