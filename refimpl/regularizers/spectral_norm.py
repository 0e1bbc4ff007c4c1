"""A cap on the spectral norms of the layers: what RankMax of Goldblum et al. (2020) does besides enlarging the rank."""

from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float

from ..backend import Array, Params, namespace
from ..parameters import weights
from ..settings import setting
from .base import REGULARIZERS, Batch, Regularizer, over_layers


def spectral_norm(W: Float[Array, "m n"]) -> tuple[Float[Array, ""], Float[Array, "m n"]]:
    r"""$\|W\|_2 = s_1$, the largest singular value, and its gradient $u_1 v_1^\top$; of equals that of the last.

    By the smaller Gram matrix in double precision: $u_1$ is the eigenvector of $W W^\top$ with the largest eigenvalue,
    $v_1^\top = u_1^\top W / s_1$. nan where W is not finite; both are 0 for the zero matrix.

    >>> import numpy as np
    >>> import refimpl as ri
    >>> value, gradient = ri.regularizers.spectral_norm(np.array([[3.0, 0.0], [0.0, 4.0]]))
    >>> print(f"{value:.3f}")
    4.000
    >>> np.allclose(gradient, [[0.0, 0.0], [0.0, 1.0]])
    True
    """
    xp = namespace(W)
    if W.shape[0] > W.shape[1]:
        value, gradient = spectral_norm(xp.matrix_transpose(W))
        return value, xp.matrix_transpose(gradient)
    A = xp.astype(W, xp.float64)
    finite = xp.all(xp.isfinite(A))
    A = xp.where(finite, A, xp.zeros_like(A))
    _, U = xp.linalg.eigh(A @ xp.matrix_transpose(A))
    u = U[:, -1:]
    row = xp.matrix_transpose(u) @ A
    s = xp.sqrt(xp.sum(row * row))
    gradient = u @ (row / xp.where(s == 0, xp.ones_like(s), s))
    return xp.astype(xp.where(finite, s, xp.nan), W.dtype), xp.astype(xp.where(finite, gradient, xp.nan), W.dtype)


@REGULARIZERS.register("spectral-norm")
@dataclass(frozen=True)
class SpectralNorm(Regularizer):
    r"""$\lambda \sum_l \max(0, \|W^l\|_2 - c)$ over all layers; a layer at or below the cap c is left alone."""

    name: ClassVar[str] = "spectral-norm"

    lam: float = setting(
        0.0, "lambda of what the spectral norms of all layers exceed their cap by.", usual="no term", at_least=0
    )
    cap: float = setting(1.5, "The spectral norm that is free.", at_least=0)

    def value_and_grad(self, params: Params, batch: Batch) -> tuple[Array, Params]:
        return over_layers(weights(params), self.excess, self.lam)

    def excess(self, W: Float[Array, "m n"]) -> tuple[Float[Array, ""], Float[Array, "m n"]]:
        """What the spectral norm exceeds the cap by, and its gradient."""
        xp = namespace(W)
        norm, gradient = spectral_norm(W)
        above = norm - self.cap
        return xp.maximum(above, xp.zeros_like(above)), xp.astype(above > 0, W.dtype) * gradient
