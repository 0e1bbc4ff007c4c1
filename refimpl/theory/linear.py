r"""Binary linear classifiers (Section 3): adversarial error, and the projection on the data's subspace.

The classifier w gives x the label $\mathrm{sign}(w^\top x)$. An error is a *strictly* negative margin $y\,w^\top x$,
as the paper defines it, so an example on the hyperplane counts neither as an error nor as correctly classified.
"""

import math

from jaxtyping import Float, Shaped

from ..backend import Array, namespace
from ..errors import NumericalError, UsageError
from ..validation import check_budget
from .validation import check_finite, check_matrix, check_sample, check_vector

Vector = Float[Array, "n"]


def subspace(A: Float[Array, "n k"]) -> Float[Array, "n d"]:
    r"""Orthonormal basis of the column space of A, padded with zero columns: $V$ with $V V^\top = Q$.

    d = min(n, k); of these columns only rank(A) are nonzero, where singular values below the rounding error of the
    largest count as zero. Waits for the device.

    Raises `UsageError` unless A is a matrix with at least one row, `NumericalError` for nan or infinity in A.
    """
    check_matrix("A", A)
    check_finite("A", A, NumericalError)  # an infinite entry hangs LAPACK
    xp = namespace(A)
    U, s, _ = xp.linalg.svd(A, full_matrices=False)
    rounding = max(A.shape) * float(xp.finfo(A.dtype).eps)
    return U * xp.astype(s > rounding * s[:1], A.dtype)


def projection(V: Float[Array, "n k"]) -> Float[Array, "n n"]:
    r"""$Q = V V^\top = \sum_i v_i v_i^\top$, the orthogonal projection on the span of orthonormal (or zero) $v_i$."""
    return V @ namespace(V).matrix_transpose(V)


def sparsity(w: Vector) -> float:
    r"""$s(w) = \|w\|_1 / \|w\|_2$, Eq. (2) of a vector; nan for zero and for nan or infinity in w.

    Waits for the device. Raises `UsageError` for an empty w.
    """
    check_vector("w", w)
    xp = namespace(w)
    peak = float(xp.max(xp.abs(w)))
    if not (math.isfinite(peak) and peak > 0):
        return math.nan
    w = w / peak  # so that no square under- or overflows
    return float(xp.sum(xp.abs(w)) / xp.sqrt(xp.sum(w * w)))


def l1_norm(w: Vector) -> float:
    r"""$\|w\|_1$. Waits for the device."""
    return float(namespace(w).sum(namespace(w).abs(w)))


def functional_margins(w: Vector, x: Float[Array, "N n"], y: Float[Array, "N"]) -> Float[Array, "N"]:
    r"""$y\,w^\top x$, for labels of -1 and 1."""
    return y * (x @ w)


def error(w: Vector, x: Float[Array, "N n"], y: Float[Array, "N"]) -> float:
    r"""$p_0(w) = P(y\,w^\top x < 0)$ over the N examples, exactly. Waits for the device.

    Raises `UsageError` as `adversarial_error`.
    """
    return adversarial_error(w, x, y, 0.0)


def adversarial_error(
    w: Vector, x: Float[Array, "N n"], y: Float[Array, "N"], eps: float, adversary: str = "sample"
) -> float:
    r"""$p_\epsilon(w)$ over the N examples, exactly. Waits for the device.

    The paper's definition has one perturbation for all examples, its proof one for each. `"sample"` is the proof's:
    $\eta = -y \epsilon\,\mathrm{sign}(w)$ lowers each margin by $\epsilon \|w\|_1$. `"universal"` is the definition's:
    $w^\top \eta$ is any $|t| \le \epsilon \|w\|_1$, and the fraction of $y\,(w^\top x + t) < 0$ is a step function
    of t, largest at an end of the interval or between two of its steps.

    Raises `UsageError` for shapes that do not fit, an empty sample, nan or infinity, labels other than -1 and 1, a
    negative or infinite `eps`, an unknown adversary.

    >>> import numpy as np
    >>> from refimpl.theory.linear import adversarial_error
    >>> w, x, y = np.array([1.0, -1.0]), np.array([[1.0, 0.0], [3.0, 0.0]]), np.array([1.0, 1.0])
    >>> adversarial_error(w, x, y, eps=1.0)  # margins 1 and 3, each lowered by 2
    0.5
    """
    check_budget(eps)
    check_sample(w, x, y)
    xp, reach = namespace(x), eps * l1_norm(w)
    if adversary == "sample":
        return _fraction(functional_margins(w, x, y) - reach < 0)
    if adversary != "universal":
        raise UsageError(f"unknown adversary {adversary!r}: choose sample or universal")
    steps = xp.sort(xp.clip(-(x @ w), -reach, reach))  # where w.x + t changes its sign
    end = xp.full_like(steps[:1], reach)
    steps = xp.concat([-end, steps, end])
    t = xp.concat([-end, (steps[1:] + steps[:-1]) / 2, end])
    wrong = y * (x @ w + t[:, None]) < 0  # one row for each t
    return float(xp.max(xp.mean(xp.astype(wrong, x.dtype), axis=-1)))


def gaussian_error(
    w: Vector,
    mean: Vector,
    covariance: Float[Array, "n n"],
    eps: float = 0.0,
    adversary: str = "sample",
    positive: float = 0.5,
) -> float:
    r"""$p_\epsilon(w)$ in closed form for $x \mid y \sim N(y \mu, \Sigma)$, with $P(y = 1)$ = `positive`.

    The margin is $N(m, \sigma^2)$ with $m = w^\top \mu$ and $\sigma^2 = w^\top \Sigma w$. So the error is
    $\Phi((r - m) / \sigma)$ with $r = \epsilon \|w\|_1$ for a perturbation per example; for a universal one, t, it is
    $\pi \Phi((-t - m) / \sigma) + (1 - \pi) \Phi((t - m) / \sigma)$ at its largest, which is at $t = \pm r$ or where
    the two densities are equal, $t = \sigma^2 \log(\pi / (1 - \pi)) / 2m$. Waits for the device.

    Raises `UsageError` for shapes that do not fit, nan or infinity, a negative or infinite `eps`, an unknown
    adversary, a `positive` that is not between 0 and 1.
    """
    check_budget(eps)
    check_vector("w", w)
    n = w.shape[0]
    if tuple(mean.shape) != (n,) or tuple(covariance.shape) != (n, n):
        raise UsageError(
            f"for w of shape ({n},) the mean must be ({n},) and the covariance ({n}, {n}), got {tuple(mean.shape)} and"
            f" {tuple(covariance.shape)}"
        )
    for what, array in (("w", w), ("the mean", mean), ("the covariance", covariance)):
        check_finite(what, array)
    if not 0 <= positive <= 1:
        raise UsageError(f"P(y = 1) must be between 0 and 1, got {positive}")
    m, sigma, reach = float(w @ mean), math.sqrt(max(float(w @ covariance @ w), 0.0)), eps * l1_norm(w)
    if adversary == "sample":
        return _below(m - reach, sigma)
    if adversary != "universal":
        raise UsageError(f"unknown adversary {adversary!r}: choose sample or universal")
    places = [-reach, 0.0, reach]
    if 0 < positive < 1 and m:
        places.append(max(-reach, min(reach, sigma**2 * math.log(positive / (1 - positive)) / (2 * m))))
    return max(positive * _below(m + t, sigma) + (1 - positive) * _below(m - t, sigma) for t in places)


def linear_net(layers: list[Float[Array, "_ _"]], w: Float[Array, "h"]) -> Vector:
    r"""The linear classifier $W^1 \cdots W^{d-1} w$ that a net of d linear layers computes."""
    for W in reversed(layers):
        w = W @ w
    return w


def _fraction(hits: Shaped[Array, "N"]) -> float:
    xp = namespace(hits)
    return float(xp.mean(xp.astype(hits, xp.float64)))


def _below(mean: float, sigma: float) -> float:
    """P(N(mean, sigma^2) < 0)."""
    if not sigma:
        return float(mean < 0)
    return 0.5 * math.erfc(mean / (sigma * math.sqrt(2)))
