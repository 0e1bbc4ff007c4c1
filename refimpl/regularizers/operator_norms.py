"""The largest row and column sums of the layers: their operator norms in l_inf and in l_1."""

from dataclasses import dataclass
from typing import ClassVar

import array_api_compat
from jaxtyping import Float

from ..backend import Array, Params, namespace
from ..parameters import weights
from ..settings import setting
from .base import REGULARIZERS, Batch, Regularizer, over_layers


def row_and_column_sums(W: Float[Array, "m n"]) -> tuple[Float[Array, ""], Float[Array, "m n"]]:
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


@REGULARIZERS.register("operator-norms")
@dataclass(frozen=True)
class OperatorNorms(Regularizer):
    r"""$\mu \sum_l (\|W^l\|_{row} + \|W^l\|_{column})$ over all layers."""

    name: ClassVar[str] = "operator-norms"

    mu: float = setting(0.0, "Factor of the largest row and column sum of every layer.", usual="no term", at_least=0)

    def value_and_grad(self, params: Params, batch: Batch) -> tuple[Array, Params]:
        return over_layers(weights(params), row_and_column_sums, self.mu)
