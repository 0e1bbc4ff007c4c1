r"""How unequal the singular values of a layer are: the regularizer of RobustDLRT, for layers in factors and full ones.

Schotthöfer, Yang and Schnake (2025, arXiv 2505.08022): $\beta \sum_l R(S^l)$ keeps the condition number of low-rank
layers $W = U S V^\top$ near 1, which is that of S. Theirs is a low-rank training of its own, whose ranks adapt; here
the term goes with ours (`refimpl.low_rank`), in place of its constraint where tau is infinite.
"""

from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float

from ..backend import Array, Params, namespace
from ..parameters import cores
from ..settings import setting
from .base import REGULARIZERS, Batch, Regularizer, over_layers


def conditioning(S: Float[Array, "m n"]) -> tuple[Float[Array, ""], Float[Array, "m n"]]:
    r"""$R(S) = \|S S^\top - \frac{\|S\|_F^2}{r} I\|_F$, r the smaller dimension, and its gradient.

    The root of $\sum_i (s_i^2 - \overline{s^2})^2$, by the eigenvalues $s_i^2$ of $S S^\top$; 0 where all are
    equal. With $M = S S^\top - \frac{\|S\|_F^2}{r} I$, which has no trace,
    $dR = \langle M, dS\,S^\top + S\,dS^\top\rangle / R$, so the gradient is $2 M S / R$; 0 where R is. nan where S is
    not finite.

    >>> import numpy as np
    >>> import refimpl as ri
    >>> value, gradient = ri.regularizers.conditioning(np.diag([1.0, 2.0]))  # squares 1 and 4, mean 2.5
    >>> print(f"{value:.4f}")
    2.1213
    >>> np.allclose(gradient, np.diag([-1.5, 1.5]) @ np.diag([1.0, 2.0]) * 2 / 4.5**0.5)
    True
    """
    xp = namespace(S)
    if S.shape[0] > S.shape[1]:
        value, gradient = conditioning(xp.matrix_transpose(S))
        return value, xp.matrix_transpose(gradient)
    finite = xp.all(xp.isfinite(S))
    S = xp.where(finite, S, xp.zeros_like(S))
    gram = S @ xp.matrix_transpose(S)
    squares = xp.linalg.eigh(gram)[0]
    mean = xp.mean(squares)
    value = xp.sqrt(xp.sum((squares - mean) ** 2))
    gradient = 2 * (gram @ S - mean * S) / xp.where(value == 0, xp.ones_like(value), value)
    return xp.where(finite, value, xp.nan), xp.where(finite, gradient, xp.nan)


@REGULARIZERS.register("conditioning")
@dataclass(frozen=True)
class Conditioning(Regularizer):
    r"""$\beta \sum_l R(S^l)$ over the layers in factors, $\beta \sum_l R(W^l)$ over full ones."""

    name: ClassVar[str] = "conditioning"
    in_factors: ClassVar[bool] = True

    lam: float = setting(
        0.0, "beta of RobustDLRT: of how unequal the singular values of each layer are.", usual="no term", at_least=0
    )

    def value_and_grad(self, params: Params, batch: Batch) -> tuple[Array, Params]:
        return over_layers(cores(params), conditioning, self.lam)
