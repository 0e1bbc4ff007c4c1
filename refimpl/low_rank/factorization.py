r"""Matrices kept as $W = U S V^\top$ with orthonormal U and V: truncation, retraction, and the two constraints on S.

Savostianova, Zangrando, Ceruti and Tudisco 2023 (arXiv:2306.01485). W is m x n, U is m x r, S is r x r, V is n x r, and
$\kappa(W) = \kappa(S)$, the condition number, is what bounds how much a layer magnifies a relative error of its
input. The small decompositions are in float64, so that in float32 the constraints hold up to one rounding.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import array_api_compat
from jaxtyping import Float

from ..backend import Array, namespace
from ..errors import UsageError
from ..measures import rank_sparsity
from ..parameters import as_matrix


class Factors(NamedTuple):
    """A convolution's W~ is (O, C k k); its V keeps the shape (C, k, k, r), which `as_columns` flattens."""

    U: Float[Array, "m r"]
    S: Float[Array, "r r"]
    V: Float[Array, "*inputs r"]


def as_columns(V: Float[Array, "*inputs r"]) -> Float[Array, "n r"]:
    """V as a matrix with r columns."""
    return namespace(V).reshape(V, (-1, V.shape[-1]))


def product(U: Float[Array, "m r"], S: Float[Array, "r r"], V: Float[Array, "*inputs r"]) -> Float[Array, "m *inputs"]:
    r"""$W = U S V^\top$, of the shape a layer's weight has."""
    xp = namespace(U)
    return xp.reshape(U @ S @ xp.matrix_transpose(as_columns(V)), (U.shape[0], *V.shape[:-1]))


def rank(shape: Sequence[int], fraction: float) -> int:
    r"""$r = \lceil \mathrm{fraction} \cdot \min(m, n) \rceil$ for a weight (m, *inputs) with n inputs.

    The authors' compression ratio is 1 - fraction: it compresses the rank, not the r (m + n + r) numbers of the
    factors.
    Raises `UsageError` for a fraction not above 0, or above 1.
    """
    if not 0 < fraction <= 1:
        raise UsageError(f"the rank must be above 0 % and at most 100 % of the full rank, got {100 * fraction:g} %")
    return math.ceil(round(fraction * min(shape[0], math.prod(shape[1:])), 9))  # 0.07 * 100 is above 7


def truncated(W: Float[Array, "m *inputs"], r: int) -> Factors:
    """The matrix of rank r nearest to W (Eckart and Young 1936), by its r largest singular values.

    S is nan where W is not finite.
    """
    xp = namespace(W)
    finite = xp.all(xp.isfinite(W))
    U, s, Vh = xp.linalg.svd(as_matrix(xp.where(finite, W, xp.zeros_like(W))), full_matrices=False)
    S = xp.where(finite, xp.eye(r, dtype=W.dtype, device=array_api_compat.device(W)) * s[:r], xp.nan)
    return Factors(U[:, :r], S, xp.reshape(xp.matrix_transpose(Vh[:r, :]), (*W.shape[1:], r)))


def tangent(U: Float[Array, "n r"], dU: Float[Array, "n r"]) -> Float[Array, "n r"]:
    r"""$(I - U U^\top)\,dU$: what of a direction turns the subspace spanned by U, and not only its basis."""
    return dU - U @ (namespace(U).matrix_transpose(U) @ dU)


def retract(X: Float[Array, "n r"]) -> Float[Array, "n r"]:
    """The Q of $X = Q R$ with a positive diagonal of R: orthonormal columns near X. nan where X is not finite."""
    xp = namespace(X)
    finite, A = _finite(X)
    return xp.astype(xp.where(finite, _qf(A), xp.nan), X.dtype)


def clamp(S: Float[Array, "r r"], tau: float) -> tuple[Float[Array, "r r"], Float[Array, "r"]]:
    r"""S with its singular values in $[\bar s - e, \bar s + e]$, $e = \bar s\,\tau / (\tau + 2)$, and these.

    $\bar s$ is their mean, so $\kappa(S) \le (\bar s + e) / (\bar s - e) = 1 + \tau$. It is not the nearest matrix
    of that condition number. An infinite tau changes nothing. nan where S is not finite.

    >>> import numpy as np
    >>> from refimpl.low_rank.factorization import clamp
    >>> S, s = clamp(np.array([[3.0, 0.0], [0.0, 1.0]]), tau=0.5)  # mean 2, e = 0.4
    >>> np.allclose(s, [2.4, 1.6])
    True
    """
    if math.isinf(tau):
        return S, singular_values(S)
    xp = namespace(S)
    finite, A = _finite(S)
    P, s, Qh = xp.linalg.svd(A)
    mean = xp.mean(s)
    e = mean * (tau / (tau + 2))
    s = xp.minimum(xp.maximum(s, mean - e), mean + e)
    return xp.astype(xp.where(finite, (P * s) @ Qh, xp.nan), S.dtype), xp.where(finite, s, xp.nan)


def orthogonal(S: Float[Array, "r r"]) -> Float[Array, "r r"]:
    r"""The mode `mean`: $s\,Q$ with $s^2 = \|S\|_F^2 / r$, the mean square of the singular values, and $S = Q R$.

    $\kappa = 1$, as has `clamp` at tau = 0; but that keeps the polar factor and the mean singular value.
    """
    xp = namespace(S)
    finite, A = _finite(S)
    found = xp.sqrt(xp.sum(A * A) / S.shape[0]) * _qf(A)
    return xp.astype(xp.where(finite, found, xp.nan), S.dtype)


def singular_values(S: Float[Array, "m n"]) -> Float[Array, "r"]:
    """In float64, the largest first; nan where S is not finite."""
    xp = namespace(S)
    finite, A = _finite(S)
    return xp.where(finite, rank_sparsity.singular_values(A), xp.nan)


def _finite(X: Float[Array, "n r"]) -> tuple[Array, Float[Array, "n r"]]:
    """Whether X is finite, left on the device, and X, or zeros: an SVD refuses nan, and QR makes a matrix of it."""
    xp = namespace(X)
    finite = xp.all(xp.isfinite(X))
    return finite, xp.astype(xp.where(finite, X, xp.zeros_like(X)), xp.float64)


def _qf(A: Float[Array, "n r"]) -> Float[Array, "n r"]:
    """The Q of QR with the signs that make the diagonal of R positive."""
    xp = namespace(A)
    Q, R = xp.linalg.qr(A)
    diagonal = xp.linalg.diagonal(R)
    return Q * xp.where(diagonal < 0, -xp.ones_like(diagonal), xp.ones_like(diagonal))
