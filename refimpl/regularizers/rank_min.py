r"""RankMin: the effective rank of the layers, made small; blind to their scale.

After Goldblum, Geiping, Schwarzschild, Moeller and Goldstein (ICLR 2020, arXiv 1910.00359), who find that rank does
little for robustness; their effective rank is that of Eq. (3). Their program instead sets to zero, at three epochs, the
singular values of a ResNet's convolutions that are below 0.5, a number that means nothing to other nets.
"""

from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float

from ..backend import Array, Params, namespace
from ..parameters import weights
from ..settings import setting
from .base import REGULARIZERS, Batch, Regularizer, over_layers
from .nuclear import nuclear


def rank(W: Float[Array, "m n"]) -> tuple[Float[Array, ""], Float[Array, "m n"]]:
    r"""$r(W) = \|W\|_* / \|W\|_F$, Eq. (3), and its gradient.

    By the quotient rule $dr = (G - r\,W / \|W\|_F) / \|W\|_F$ with the subgradient G of the nuclear norm. It is
    orthogonal to W, for r does not see the scale. Both are 0 for the zero matrix.

    >>> import numpy as np
    >>> from refimpl.regularizers.rank_min import rank
    >>> value, gradient = rank(np.array([[3.0, 0.0], [0.0, 4.0]]))
    >>> print(f"{value:.3f}")
    1.400
    >>> np.allclose(gradient, [[0.032, 0.0], [0.0, -0.024]])  # towards equal singular values
    True
    """
    xp = namespace(W)
    norm, gradient = nuclear(W)
    length = xp.sqrt(xp.sum(W * W))
    safe = xp.where(length == 0, xp.ones_like(length), length)
    value = norm / safe
    return value, (gradient - (value / safe) * W) / safe


@REGULARIZERS.register("rank-min")
@dataclass(frozen=True)
class RankMin(Regularizer):
    r"""$\lambda \sum_l r(W^l)$ over all layers."""

    name: ClassVar[str] = "rank-min"

    lam: float = setting(0.0, "lambda of the effective ranks of all layers, Eq. (3).", usual="no term", at_least=0)

    def value_and_grad(self, params: Params, batch: Batch) -> tuple[Array, Params]:
        return over_layers(weights(params), rank, self.lam)
