r"""The paper's fully connected net: 784-20-20-20-20-20-10 with tanh, Eq. (1).

$t^0 = x$, $\;t^i = \tanh(W^i t^{i-1} + b^i)$, and the last layer's $z = W^m t^{m-1} + b^m$ are the logits; softmax
belongs to the loss. The paper writes no biases; its framework has them, and so have we, starting at zero (a
reading, see CONTRIBUTING.md).
"""

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from jaxtyping import Float

from ..backend import Array, Backend, Params
from ..errors import UsageError
from ..layers.activations import tanh
from ..layers.dense import affine
from ..low_rank.network import layer
from ..rng import stream
from ..tape import Tape

WIDTHS = (784, 20, 20, 20, 20, 20, 10)


def init(backend: Backend, seed: int = 0, widths: Sequence[int] = WIDTHS, dtype: str = "float32") -> Params:
    r"""Parameters `W1 b1 W2 b2 ...`, $W^i$ of shape (fan_out, fan_in).

    Glorot uniform, $W \sim U(-a, a)$ with $a = \sqrt{6 / (n + m)}$ (Glorot and Bengio 2010), biases zero: the reading
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


def hidden(params: Params, x: Float[Array, "*models batch n"]) -> list[Float[Array, "*models batch units"]]:
    """The hidden representations $t^1, ..., t^{m-1}$ of Eq. (1)."""
    representations = []
    for i in range(1, depth(params)):
        x, _ = layer(affine, params, i, x)
        x, _ = tanh(x)
        representations.append(x)
    return representations


def forward(params: Params, x: Float[Array, "*models batch n"]) -> tuple[Float[Array, "*models batch classes"], Tape]:
    """The logits of a batch, and the tape that differentiates them."""
    tape: Tape = []
    for i in range(1, depth(params) + 1):
        x, part = layer(affine, params, i, x)
        tape += part
        if i < depth(params):
            x, pull = tanh(x)
            tape.append(((), pull))
    return x, tape


def depth(params: Params) -> int:
    """The number of layers, each with a bias and a weight or its factors."""
    return sum(name.startswith("b") for name in params)
