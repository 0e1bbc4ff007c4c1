"""HIPS autograd, differentiating the production forward; and finite differences, which know nothing of either."""

from collections.abc import Callable
from typing import Any

import autograd
import autograd.numpy as anp
import numpy as np
from autograd.numpy.numpy_boxes import ArrayBox

from ..backend import _NAMESPACES


class _Namespace:
    """autograd's NumPy under the names of the Array API standard."""

    def __getattr__(self, name: str) -> Any:
        return getattr(anp, name)

    @staticmethod
    def matrix_transpose(x: Any) -> Any:
        return anp.swapaxes(x, -1, -2)

    @staticmethod
    def permute_dims(x: Any, axes: tuple[int, ...]) -> Any:
        return anp.transpose(x, axes)

    @staticmethod
    def concat(arrays: Any, axis: int = 0) -> Any:
        return anp.concatenate(arrays, axis=axis)


_NAMESPACES[ArrayBox] = _Namespace()


def vjp(forward: Callable[..., Any], arguments: tuple[np.ndarray, ...], dy: np.ndarray) -> tuple[np.ndarray, ...]:
    """The gradients by all `arguments` of <dy, forward(*arguments)>, by autograd."""
    return autograd.grad(lambda boxed: anp.sum(dy * forward(*boxed)))(arguments)


def directional_derivative(
    f: Callable[[np.ndarray], float], x: np.ndarray, direction: np.ndarray, step: float = 1e-6
) -> float:
    """The derivative of f at x along `direction`, by a central difference."""
    return (float(f(x + step * direction)) - float(f(x - step * direction))) / (2 * step)
