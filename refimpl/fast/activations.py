"""The activations of `layers.activations` into arrays that are there; derivatives from the output, all that is kept."""

import numpy as np
from jaxtyping import Float

from ..layers.activations import LEAK


def activate(name: str, h: Float[np.ndarray, "*shape"]) -> None:
    """h becomes the activation of h."""
    if name == "tanh":
        np.tanh(h, out=h)
    elif name == "relu":
        np.maximum(h, 0, out=h)
    elif name == "leaky-relu":
        np.maximum(h, LEAK * h, out=h)


def derivative(name: str, h: Float[np.ndarray, "*shape"], out: Float[np.ndarray, "*shape"]) -> None:
    """The derivative into `out`, of the activation whose output is h."""
    if name == "tanh":
        np.multiply(h, h, out=out)
        np.subtract(1, out, out=out)
    elif name in ("relu", "leaky-relu"):
        np.greater(h, 0, out=out)
        if name == "leaky-relu":
            np.multiply(out, 1 - LEAK, out=out)  # a maximum with a scalar takes four times as long
            np.add(out, LEAK, out=out)
    else:
        out[...] = 1
