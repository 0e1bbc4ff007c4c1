"""The activations: value and `Pullback`, each with its derivation."""

from jaxtyping import Float

from ..backend import Array, namespace
from ..tape import Pullback

LEAK = 0.01
"""The slope of `leaky_relu` below 0, PyTorch's default."""


def relu(x: Float[Array, "..."]) -> tuple[Float[Array, "..."], Pullback]:
    r"""$y = \max(x, 0)$ and $dx = dy$ where $x > 0$, else 0; at 0 itself the derivative is taken to be 0."""
    xp = namespace(x)
    return xp.maximum(x, xp.zeros_like(x)), Pullback(x=lambda dy: xp.where(x > 0, dy, xp.zeros_like(dy)))


def leaky_relu(x: Float[Array, "..."]) -> tuple[Float[Array, "..."], Pullback]:
    r"""$y = \max(x, \lambda x)$ with $\lambda$ = `LEAK`, and $dx = dy$ where $x > 0$, else $\lambda\,dy$."""
    xp = namespace(x)
    return xp.maximum(x, LEAK * x), Pullback(x=lambda dy: xp.where(x > 0, dy, LEAK * dy))


def identity(x: Float[Array, "..."]) -> tuple[Float[Array, "..."], Pullback]:
    """No activation at all."""
    return x, Pullback(x=lambda dy: dy)


def tanh(x: Float[Array, "..."]) -> tuple[Float[Array, "..."], Pullback]:
    r"""$y = \tanh x$. Since $\tanh' = 1 - \tanh^2$, the output is all that has to be kept: $dx = (1 - y^2)\,dy$.

    >>> import numpy as np
    >>> from refimpl.layers import tanh
    >>> y, pullback = tanh(np.array([0.0]))
    >>> y, pullback.x(np.array([1.0]))
    (array([0.]), array([1.]))
    """
    y = namespace(x).tanh(x)
    return y, Pullback(x=lambda dy: dy * (1 - y * y))


ACTIVATIONS = {"tanh": tanh, "relu": relu, "leaky-relu": leaky_relu, "identity": identity}
"""By name. Each is 1-Lipschitz and does not decrease."""
