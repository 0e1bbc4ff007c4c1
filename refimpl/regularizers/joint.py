"""The l1 norm of the product of the layers, Eq. (7)."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

from jaxtyping import Float

from ..backend import Array, Params, backend, namespace
from ..errors import UsageError
from ..networks.base import Network
from ..parameters import has_convolutions, weights
from ..settings import setting
from .base import REGULARIZERS, Batch, Regularizer


def joint(Ws: Sequence[Float[Array, "..."]]) -> tuple[Float[Array, "*models"], list[Float[Array, "..."]]]:
    r"""$\|P\|_1$ of the product $P = W^m \cdots W^1$ of a stack of dense layers, Eq. (7).

    The paper writes $W^1 \cdots W^m$, which does not chain with its own shapes. By the product rule
    $dW^i = (W^m \cdots W^{i+1})^\top\,\mathrm{sign}(P)\,(W^{i-1} \cdots W^1)^\top$. Raises `UsageError` for layers
    that do not chain, such as reshaped convolutions.

    >>> import numpy as np
    >>> import refimpl as ri
    >>> value, gradients = ri.regularizers.joint([np.array([[1.0, -2.0]]), np.array([[3.0]])])  # P = (3, -6)
    >>> print(value)
    9.0
    >>> gradients
    [array([[ 3., -3.]]), array([[3.]])]
    """
    for i, (first, second) in enumerate(pairwise(Ws), start=1):
        if second.shape[-1] != first.shape[-2]:
            raise UsageError(
                f"the joint term needs layers that chain: W{i + 1} {tuple(second.shape)} cannot follow W{i}"
                f" {tuple(first.shape)}; it is defined for dense layers only"
            )
    xp = namespace(Ws[0])
    before = [Ws[0]]  # W^i ... W^1
    for W in Ws[1:]:
        before.append(W @ before[-1])
    after = xp.sign(before[-1])  # (W^m ... W^{i+1})ᵀ sign(P)
    gradients = []
    for W, product in zip(reversed(Ws[1:]), reversed(before[:-1]), strict=True):
        gradients.append(after @ xp.matrix_transpose(product))
        after = xp.matrix_transpose(W) @ after
    return xp.sum(xp.abs(before[-1]), axis=(-2, -1)), [after, *reversed(gradients)]


@REGULARIZERS.register("joint")
@dataclass(frozen=True)
class Joint(Regularizer):
    """The l1 norm of the product of all layers, Eq. (7)."""

    name: ClassVar[str] = "joint"

    lam: float = setting(
        0.0, "lambda of the l1 norm of the product of all layers, Eq. (7); dense networks.", usual="no term", at_least=0
    )

    def check(self, network: Network) -> None:
        params = network.init(backend("numpy"))
        if has_convolutions(params):
            raise UsageError(f"the joint term supports dense networks only, not {network.name}: take fcnn")
        joint(list(weights(params).values()))

    def value_and_grad(self, params: Params, batch: Batch) -> tuple[Array, Params]:
        W = weights(params)
        value, grads = joint(list(W.values()))
        return self.lam * value, {name: self.lam * gradient for name, gradient in zip(W, grads, strict=True)}
