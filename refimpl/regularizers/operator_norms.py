"""The largest row and column sums of the layers."""

import array_api_compat
from jaxtyping import Float

from ..backend import Array, namespace


def row_column(W: Float[Array, "m n"]) -> tuple[Float[Array, ""], Float[Array, "m n"]]:
    r"""$\max_i \sum_j |W_{ij}| + \max_j \sum_i |W_{ij}|$, the most by which a layer enlarges a perturbation.

    In $\ell_\infty$ and in $\ell_1$. The subgradient is sign(W) on the largest row and on the largest column, the
    first of equals.
    """
    xp, device = namespace(W), array_api_compat.device(W)
    rows, columns = (xp.sum(xp.abs(W), axis=axis) for axis in (1, 0))
    row = xp.arange(W.shape[0], device=device) == xp.argmax(rows)
    column = xp.arange(W.shape[1], device=device) == xp.argmax(columns)
    chosen = xp.astype(row, W.dtype)[:, None] + xp.astype(column, W.dtype)
    return xp.max(rows) + xp.max(columns), chosen * xp.sign(W)
