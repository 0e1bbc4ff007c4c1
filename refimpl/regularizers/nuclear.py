"""The nuclear norm, Eq. (6), and its proximal step."""

from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Bool, Float

from ..backend import Array, namespace
from ..settings import by_layer
from .base import REGULARIZERS, LayerNorm
from .l1 import soft_threshold


def nuclear(W: Float[Array, "*models m n"]) -> tuple[Float[Array, "*models"], Float[Array, "*models m n"]]:
    r"""$\|W\|_* = \sum_i s_i$, the sum of the singular values, Eq. (6), and its subgradient $U_r V_r^\top$.

    With $W = U S V^\top$, $dW = U\,dS\,V^\top + \dots$ and the derivative of each distinct $s_i$ is $u_i
    v_i^\top$. At a zero singular value any $u_i a v_i^\top$ with $|a| \le 1$ will do; least is a = 0, so r is the
    rank. `nuclear_by_svd` is the definition. In single precision this goes through the Gram matrix,
    five times as fast.

    >>> import numpy as np
    >>> import refimpl as ri
    >>> value, gradient = ri.regularizers.nuclear(np.array([[3.0, 0.0], [0.0, 4.0]]))
    >>> print(f"{value:.3f}")
    7.000
    >>> np.allclose(gradient, np.eye(2))
    True
    """
    if W.dtype == namespace(W).float32:
        return _nuclear_by_gram(W)
    return nuclear_by_svd(W)


def nuclear_by_svd(W: Float[Array, "*models m n"]) -> tuple[Float[Array, "*models"], Float[Array, "*models m n"]]:
    """`nuclear` as it is defined. Singular values below rounding of the largest count as zero.

    nan where W is not finite, which a decomposition would refuse and the training loop reports.
    """
    xp = namespace(W)
    finite, W = _finite(W)
    U, s, Vh = xp.linalg.svd(W, full_matrices=False)
    s = xp.where(finite[..., 0], s, xp.nan)
    rounding = max(W.shape[-2:]) * float(xp.finfo(W.dtype).eps)
    kept = xp.astype(s > rounding * s[..., :1], W.dtype)
    return xp.sum(s, axis=-1), xp.where(finite, (U * kept[..., None, :]) @ Vh, xp.nan)


def _nuclear_by_gram(W: Float[Array, "*models m n"]) -> tuple[Float[Array, "*models"], Float[Array, "*models m n"]]:
    r"""From the smaller Gram matrix alone: $W W^\top = U S^2 U^\top$, so $U_r V_r^\top = (W W^\top)^{-1/2} W$."""
    xp = namespace(W)
    if W.shape[-2] > W.shape[-1]:
        value, gradient = _nuclear_by_gram(xp.matrix_transpose(W))
        return value, xp.matrix_transpose(gradient)
    s, root = inverse_sqrt(W)
    polar = root @ xp.astype(W, xp.float64)
    return xp.asarray(xp.sum(s, axis=-1), dtype=W.dtype), xp.astype(polar, W.dtype)


def inverse_sqrt(W: Float[Array, "*models m n"]) -> tuple[Float[Array, "*models m"], Float[Array, "*models m m"]]:
    r"""The singular values of a wide float32 matrix, and $(W W^\top)^{-1/2}$, the pseudo-inverse's root; float64.

    Squaring halves the digits; in float64 that leaves as many as float32 has. Below 1e-5 of the largest, singular
    values of a float32 matrix are rounding, and count as zero; both are nan where W is not finite.
    """
    xp = namespace(W)
    A = xp.astype(W, xp.float64)  # where no square of a float32 over- or underflows
    finite, gram = _finite(A @ xp.matrix_transpose(A))
    squares, U = xp.linalg.eigh(gram)
    s = xp.sqrt(xp.maximum(squares, xp.zeros_like(squares)))
    kept = s > 1e-5 * s[..., -1:]
    inverse = xp.where(kept, 1 / xp.where(kept, s, xp.ones_like(s)), xp.zeros_like(s))
    root = (U * inverse[..., None, :]) @ xp.matrix_transpose(U)
    return xp.where(finite[..., 0], s, xp.nan), xp.where(finite, root, xp.nan)


def _finite(A: Float[Array, "*models m n"]) -> tuple[Bool[Array, "*models 1 1"], Float[Array, "*models m n"]]:
    """Whether A is finite, left on the device, and A, or zeros where it is not."""
    xp = namespace(A)
    finite = xp.all(xp.isfinite(A), axis=(-2, -1), keepdims=True)
    return finite, xp.where(finite, A, xp.zeros_like(A))


def singular_value_threshold(W: Float[Array, "*models m n"], t: float) -> Float[Array, "*models m n"]:
    r"""The proximal step of $t \|W\|_*$: `soft_threshold` of the singular values (Cai, Candès and Shen 2010).

    nan where W is not finite, as `nuclear_by_svd`.

    >>> import numpy as np
    >>> import refimpl as ri
    >>> W = ri.regularizers.singular_value_threshold(np.array([[3.0, 0.0], [0.0, 1.0]]), 1.0)
    >>> np.allclose(W, [[2.0, 0.0], [0.0, 0.0]])
    True
    """
    xp = namespace(W)
    finite, W = _finite(W)
    U, s, Vh = xp.linalg.svd(W, full_matrices=False)
    return xp.where(finite, (U * soft_threshold(s, t)[..., None, :]) @ Vh, xp.nan)


@REGULARIZERS.register("nuclear")
@dataclass(frozen=True)
class Nuclear(LayerNorm):
    """The nuclear norm of layers, Eq. (6)."""

    name: ClassVar[str] = "nuclear"
    layers: dict[str, float] = by_layer("Nuclear norm of layers, Eq. (6): 1=0.03,2=0.01.")

    def norm(self, W: Array) -> tuple[Array, Array]:
        return nuclear(W)

    def shrink(self, W: Array, t: float) -> Array:
        return singular_value_threshold(W, t)
