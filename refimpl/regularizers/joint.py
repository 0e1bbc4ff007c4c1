"""The l1 norm of the product of the layers, Eq. (7)."""

from collections.abc import Sequence
from itertools import pairwise

from jaxtyping import Float

from ..backend import Array, namespace
from ..errors import UsageError
from .base import Scalar


def joint(Ws: Sequence[Float[Array, "..."]]) -> tuple[Scalar, list[Float[Array, "..."]]]:
    r"""$\|P\|_1$ of the product $P = W^m \cdots W^1$ of a stack of dense layers, Eq. (7).

    The paper writes $W^1 \cdots W^m$, which does not chain with its own shapes. By the product rule
    $dW^i = (W^m \cdots W^{i+1})^\top\,\mathrm{sign}(P)\,(W^{i-1} \cdots W^1)^\top$. Raises `UsageError` for layers
    that do not chain, such as reshaped convolutions.
    """
    for i, (first, second) in enumerate(pairwise(Ws), start=1):
        if second.shape[1] != first.shape[0]:
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
    return xp.sum(xp.abs(before[-1])), [after, *reversed(gradients)]
