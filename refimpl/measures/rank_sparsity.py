r"""Effective sparsity and effective rank, what the paper measures of weights; the condition number."""

import numpy as np
from jaxtyping import Float

from ..backend import Array, namespace
from ..errors import UsageError
from ..parameters import as_matrix


def effective_sparsity(W: Float[Array, "..."]) -> Float[Array, "..."]:
    r"""$s(W) = \|W\|_1 / \|W\|_F$ over the entries, Eq. (2).

    Between 1 and $\sqrt{mn}$; small means sparse: $\sqrt k$ for k entries of equal size; nan for the zero matrix
    and for one that is not finite. Of which arrays, `matrices` says.

    >>> import numpy as np
    >>> import refimpl as ri
    >>> print(ri.effective_sparsity(np.array([[3.0, 0.0], [0.0, 4.0]])))  # 7 / 5
    1.4
    """
    xp = namespace(W)
    W = _unit_scale(matrices(W))
    return _ratio(xp.sum(xp.abs(W), axis=(-2, -1)), xp.sqrt(xp.sum(W * W, axis=(-2, -1))))


def effective_rank(W: Float[Array, "..."]) -> Float[Array, "..."]:
    r"""$r(W) = \|W\|_* / \|W\|_F$, Eq. (3): the effective sparsity of the singular values.

    Between 1 and $\sqrt{\mathrm{rank}\,W}$; $\sqrt k$ for k equal singular values; nan for the zero matrix
    and for one that is not finite. Of which arrays, `matrices` says.

    >>> import numpy as np
    >>> import refimpl as ri
    >>> print(f"{ri.effective_rank(np.array([[3.0, 0.0], [0.0, 4.0]])):.3f}")  # singular values 4 and 3: 7 / 5
    1.400
    """
    xp = namespace(W)
    s = singular_values(_unit_scale(matrices(W)))
    return _ratio(xp.sum(s, axis=-1), xp.sqrt(xp.sum(s**2, axis=-1)))


def condition_number(W: Float[Array, "..."]) -> Float[Array, "..."]:
    r"""$\kappa(W) = \|W\| \|W^+\|$, the largest singular value over the smallest that is not zero.

    Zero is what is below rounding of the largest. At least 1; nan for the zero matrix and for one that is not finite.
    Of which arrays, `matrices` says.
    """
    xp, W = namespace(W), matrices(W)
    s = singular_values(_unit_scale(W))
    rounding = max(W.shape[-2:]) * float(xp.finfo(W.dtype).eps)
    least = xp.min(xp.where(s > rounding * s[..., :1], s, s[..., :1]), axis=-1)
    return _ratio(s[..., 0], least)


def singular_values(W: Float[Array, "*stack m n"]) -> Float[Array, "*stack r"]:
    """The largest first, without the vectors; of finite matrices.

    On NumPy the vectors are computed and dropped: without them LAPACK takes another algorithm, which rounds otherwise
    than the one whose numbers are on record.
    """
    xp = namespace(W)
    return xp.linalg.svd(W, full_matrices=False)[1] if xp is np else xp.linalg.svdvals(W)


def matrices(W: Array) -> Float[Array, "*stack m n"]:
    r"""What is measured of an array: a matrix, each of a stack (k, m, n), a vector as one row.

    The filters (O, C, k, k) of a convolution are one matrix, $\tilde W$ of Appendix B. Raises `UsageError` for arrays
    of other numbers of axes, without entries, and of other than floating-point numbers.
    """
    if not namespace(W).isdtype(W.dtype, "real floating"):
        raise UsageError(f"expected weights as floating-point numbers, got {W.dtype}")
    if not 1 <= len(W.shape) <= 4 or 0 in W.shape:
        raise UsageError(f"expected a matrix, a stack of matrices, filters or a vector, got the shape {tuple(W.shape)}")
    if len(W.shape) == 1:
        return W[None, :]
    return as_matrix(W) if len(W.shape) == 4 else W


def _unit_scale(W: Float[Array, "*stack m n"]) -> Float[Array, "*stack m n"]:
    """Scale, which neither measure sees, goes, so that no square overflows; what is not finite becomes zero."""
    xp = namespace(W)
    finite = xp.all(xp.isfinite(W), axis=(-2, -1), keepdims=True)
    W = xp.where(finite, W, xp.zeros_like(W))
    peak = xp.max(xp.abs(W), axis=(-2, -1), keepdims=True)
    return W / xp.where(peak > 0, peak, xp.ones_like(peak))


def _ratio(norm: Float[Array, "*stack"], frobenius: Float[Array, "*stack"]) -> Float[Array, "*stack"]:
    xp = namespace(norm)
    positive = frobenius > 0
    return xp.where(positive, norm / xp.where(positive, frobenius, xp.ones_like(norm)), xp.nan)
