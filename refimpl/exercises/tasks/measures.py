"""Exercises: effective sparsity and effective rank."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float

from ...measures.rank_sparsity import effective_rank, effective_sparsity
from ..exercise import Equals, Exercise, Statement, enter


def sparsity(W: Float[np.ndarray, "m n"]) -> float:
    r"""The effective sparsity $s(W)$, the l1 norm over the Frobenius norm, both over the entries of W.

    Eq. (2); lesson 5.
    """
    return np.abs(W).sum() / np.sqrt((W * W).sum())


def rank(W: Float[np.ndarray, "m n"]) -> float:
    r"""The effective rank $r(W)$, the nuclear norm over the Frobenius norm.

    Eq. (3); lesson 5.
    """
    s = np.linalg.svd(W, compute_uv=False)
    return s.sum() / np.sqrt((s * s).sum())


def _ignores_scale(f: Callable[..., float], found: np.ndarray, W: np.ndarray) -> bool:
    return bool(np.isclose(f(3 * W), found))


def _draw(rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    return (rng.normal(size=(4, 5)),)


enter(
    Exercise(
        name="effective-sparsity",
        title="the effective sparsity of a matrix",
        where="refimpl/measures/rank_sparsity.py",
        solution=sparsity,
        inputs=_draw,
        checks=(
            Equals("refimpl.effective_sparsity", effective_sparsity),
            Statement("s(3 W) = s(W)", _ignores_scale),
            Statement(
                "sqrt(k) for k entries of equal size",
                lambda f, found, W: np.isclose(f(np.array([[2.0, 0.0, -2.0], [0.0, 2.0, 0.0]])), np.sqrt(3)),
            ),
        ),
        mistakes={
            "the fraction is upside down": lambda W: 1 / effective_sparsity(W),
            "a missing root: the Frobenius norm is the root of the sum of squares": lambda W: (
                np.abs(W).sum() / (W * W).sum()
            ),
            "absolute values are missing in the l1 norm": lambda W: W.sum() / np.linalg.norm(W),
            "another norm: np.linalg.norm(W, 1) is the largest sum of a column": lambda W: (
                np.linalg.norm(W, 1) / np.linalg.norm(W)
            ),
            "another norm: np.linalg.norm(W, 2) is the largest singular value": lambda W: (
                np.abs(W).sum() / np.linalg.norm(W, 2)
            ),
            "a square too many: r and s are ratios of norms": lambda W: effective_sparsity(W) ** 2,
        },
    )
)

enter(
    Exercise(
        name="effective-rank",
        title="the effective rank of a matrix",
        where="refimpl/measures/rank_sparsity.py",
        solution=rank,
        inputs=_draw,
        checks=(
            Equals("refimpl.effective_rank", effective_rank),
            Statement("r(3 W) = r(W)", _ignores_scale),
            Statement(
                "sqrt(k) for k equal singular values", lambda f, found, W: np.isclose(f(2 * np.eye(3)), np.sqrt(3))
            ),
            Statement("at most the root of the rank", lambda f, found, W: f(np.outer(W[0], W[1, :3])) <= 1 + 1e-9),
        ),
        mistakes={
            "the fraction is upside down": lambda W: 1 / effective_rank(W),
            "another norm: the largest singular value is the spectral norm, below is the Frobenius norm": lambda W: (
                np.linalg.norm(W, "nuc") / np.linalg.norm(W, 2)
            ),
            "a square too many: r and s are ratios of norms": lambda W: effective_rank(W) ** 2,
            "a missing root: the Frobenius norm is the root of the sum of squares": lambda W: (
                np.linalg.norm(W, "nuc") / (W * W).sum()
            ),
            "that is the effective sparsity: take singular values in place of entries": effective_sparsity,
            "that is the rank, which counts singular values however small": lambda W: np.float64(
                np.linalg.matrix_rank(W)
            ),
        },
    )
)
