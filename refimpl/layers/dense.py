"""The affine layer: value and `Pullback`, with its derivation."""

from jaxtyping import Float

from ..backend import Array, namespace
from ..errors import UsageError
from ..tape import Pullback


def affine(
    x: Float[Array, "*models batch n"], W: Float[Array, "*models m n"], b: Float[Array, "*models m"]
) -> tuple[Float[Array, "*models batch m"], Pullback]:
    r"""$y = x W^\top + b$, one row an example: $W^i t^{i-1}$ of Eq. (1), and the bias the paper leaves out.

    $y_{ij} = \sum_k W_{jk} x_{ik} + b_j$, hence
    $dx_{ik} = \sum_j dy_{ij} W_{jk}$, $\;dW_{jk} = \sum_i dy_{ij} x_{ik}$, $\;db_j = \sum_i dy_{ij}$.

    Raises `UsageError` where x has another number of columns than W.

    >>> import numpy as np
    >>> from refimpl.layers import affine
    >>> y, pullback = affine(np.array([[1.0, 2.0]]), np.array([[3.0, 4.0], [5.0, 6.0]]), np.array([0.0, 1.0]))
    >>> y
    array([[11., 18.]])
    >>> pullback.x(np.array([[1.0, 1.0]]))
    array([[ 8., 10.]])
    """
    xp = namespace(x)
    if x.shape[-1] != W.shape[-1]:
        raise UsageError(f"weights {tuple(W.shape)} need {W.shape[-1]} inputs, got {tuple(x.shape)}")
    y = x @ xp.matrix_transpose(W) + b[..., None, :]
    return y, Pullback(
        x=lambda dy: dy @ W,  # dx = dy W
        params=lambda dy: (
            xp.matrix_transpose(dy) @ x,  # dW = dyᵀ x
            xp.sum(dy, axis=-2),  # db = Σ_batch dy
        ),
    )
