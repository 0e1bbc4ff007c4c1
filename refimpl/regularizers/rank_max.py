r"""RankMax: the effective rank of the layers, made large; blind to their scale.

The opposite of `rank_min` (Goldblum et al. 2020). Their program instead cuts, at three epochs, the singular values of
convolutions that are above 1.5, which makes the effective rank larger and caps the spectral norm at once. Here these
are two terms: this one, and `spectral_norm`.
"""

from dataclasses import dataclass
from typing import ClassVar

from ..backend import Array, Params
from ..parameters import weights
from ..settings import setting
from .base import REGULARIZERS, Batch, Regularizer, over_layers
from .rank_min import rank


@REGULARIZERS.register("rank-max")
@dataclass(frozen=True)
class RankMax(Regularizer):
    r"""$-\lambda \sum_l r(W^l)$ over all layers."""

    name: ClassVar[str] = "rank-max"

    lam: float = setting(
        0.0, "lambda of the effective ranks of all layers, Eq. (3), made large.", usual="no term", at_least=0
    )

    def value_and_grad(self, params: Params, batch: Batch) -> tuple[Array, Params]:
        return over_layers(weights(params), rank, -self.lam)
