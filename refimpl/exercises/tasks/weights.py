"""Exercises: subgradients and proximal steps of the norms of weights, the gradient of the joint term."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float

from ... import regularizers
from ...regularizers.l1 import soft_threshold as library_soft_threshold
from ...regularizers.nuclear import singular_value_threshold as library_threshold
from ..exercise import Equals, Exercise, Gradient, Statement, enter


def l1_gradient(W: Float[np.ndarray, "m n"]) -> Float[np.ndarray, "m n"]:
    r"""The subgradient of least norm of the l1 norm, $\sum |W_{ij}|$.

    Eq. (5); lesson 6. W has entries that are zero.
    """
    return np.sign(W)


enter(
    Exercise(
        name="l1",
        title="the subgradient of the l1 norm",
        where="refimpl/regularizers/l1.py",
        solution=l1_gradient,
        inputs=lambda rng: (rng.normal(size=(3, 4)) * (rng.uniform(size=(3, 4)) < 0.7),),
        checks=(
            Gradient(lambda p, W: regularizers.l1(p)[0], lambda W: W),
            Statement("<G, W> = |W|_1", lambda f, G, W: np.isclose(np.sum(G * W), np.abs(W).sum())),
            Statement("no entry is larger than 1", lambda f, G, W: np.abs(G).max() <= 1),
        ),
        mistakes={
            "a missing sign: |w| falls where w is negative": lambda W: np.abs(np.sign(W)),
            "a missing sign: |w| falls where w is negative, too": lambda W: np.ones_like(W),
            "at 0 the subgradient of least norm is 0, not 1": lambda W: np.where(W >= 0, 1.0, -1.0),
            "at 0 the subgradient of least norm is 0, not -1": lambda W: np.where(W > 0, 1.0, -1.0),
            "that is the gradient of the sum of squares": lambda W: 2 * W,
            "that is the value of |W_ij|, not its derivative": np.abs,
        },
    )
)


def soft_threshold(W: Float[np.ndarray, "m n"], t: float) -> Float[np.ndarray, "m n"]:
    r"""The proximal step of the l1 norm: the Z for which $\frac12 \|Z - W\|_F^2 + t \|Z\|_1$ is least.

    Lesson 6 (Donoho 1995).
    """
    return np.sign(W) * np.maximum(np.abs(W) - t, 0)


def _least(objective: Callable[..., float]) -> Callable[..., bool]:
    """No other of 200 points near Z is better."""

    def holds(f: object, Z: np.ndarray, W: np.ndarray, t: float) -> bool:
        steps = np.random.default_rng(1).normal(size=(200, *W.shape)) * 0.01
        return min(objective(Z + step, W, t) for step in steps) >= objective(Z, W, t)

    return holds


enter(
    Exercise(
        name="soft-threshold",
        title="the proximal step of the l1 norm",
        where="refimpl/regularizers/l1.py",
        solution=soft_threshold,
        inputs=lambda rng: (rng.normal(size=(3, 4)), 0.5),
        checks=(
            Equals("refimpl.regularizers.soft_threshold", library_soft_threshold),
            Statement(
                "the objective is no less at 200 points nearby",
                _least(lambda Z, W, t: float(np.sum((Z - W) ** 2) / 2 + t * np.abs(Z).sum())),
            ),
        ),
        mistakes={
            "a missing sign: negative entries stay negative": lambda W, t: np.maximum(np.abs(W) - t, 0),
            "a missing maximum: an entry stops at zero and does not cross it": lambda W, t: W - t * np.sign(W),
            "absolute values are missing: negative entries move towards zero, too": lambda W, t: np.maximum(W - t, 0),
            "that is hard thresholding: entries that remain are shortened by t, too": lambda W, t: np.where(
                np.abs(W) > t, W, 0.0
            ),
            "a sign: entries move towards zero, not away from it": lambda W, t: W + t * np.sign(W),
        },
    )
)


def nuclear_gradient(W: Float[np.ndarray, "m n"]) -> Float[np.ndarray, "m n"]:
    r"""The subgradient of least norm of the nuclear norm, the sum of the singular values.

    Eq. (6); lesson 6. Singular values below 1e-12 of the largest count as zero. In the check m = n, so that shapes
    hide no mistake.
    """
    U, s, Vh = np.linalg.svd(W, full_matrices=False)
    r = np.sum(s > 1e-12 * s[0])
    return U[:, :r] @ Vh[:r]


def _of_low_rank(f: Callable[..., np.ndarray], G: np.ndarray, W: np.ndarray) -> bool:
    u, v = W[:, 0] / np.linalg.norm(W[:, 0]), W[0] / np.linalg.norm(W[0])
    return np.allclose(f(np.outer(u, 2 * v)), np.outer(u, v))


def _svd(W: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    U, s, Vh = np.linalg.svd(W, full_matrices=False)
    return U, s, Vh


enter(
    Exercise(
        name="nuclear-norm",
        title="the subgradient of the nuclear norm",
        where="refimpl/regularizers/nuclear.py",
        solution=nuclear_gradient,
        inputs=lambda rng: (rng.normal(size=(4, 4)),),
        checks=(
            Gradient(lambda p, W: regularizers.nuclear(p)[0], lambda W: W),
            Statement("<G, W> = |W|_*", lambda f, G, W: np.isclose(np.sum(G * W), np.linalg.norm(W, "nuc"))),
            Statement("no singular value of G is above 1", lambda f, G, W: np.linalg.norm(G, 2) <= 1 + 1e-9),
            Statement("for W of rank one it has rank one: zero singular values give nothing", _of_low_rank),
        ),
        mistakes={
            "a transpose: np.linalg.svd returns V transposed already": lambda W: _svd(W)[0] @ _svd(W)[2].T,
            "a transpose: that is the transpose of what it should be": lambda W: (_svd(W)[0] @ _svd(W)[2]).T,
            "the order of the product: U comes first": lambda W: _svd(W)[2] @ _svd(W)[0],
            "the singular values are left in: that is W itself": lambda W: W,
            "that is the gradient of the Frobenius norm": lambda W: W / np.linalg.norm(W),
            "a missing sum: that is the gradient of the largest singular value alone": lambda W: np.outer(
                _svd(W)[0][:, 0], _svd(W)[2][0]
            ),
            "signs of entries belong to the l1 norm; here it is singular vectors": np.sign,
        },
    )
)


def singular_value_threshold(W: Float[np.ndarray, "m n"], t: float) -> Float[np.ndarray, "m n"]:
    r"""The proximal step of the nuclear norm: the Z for which $\frac12 \|Z - W\|_F^2 + t \|Z\|_*$ is least.

    Lesson 6 (Cai, Candès and Shen 2010). In the check m = n, so that shapes hide no mistake.
    """
    U, s, Vh = np.linalg.svd(W, full_matrices=False)
    return (U * np.maximum(s - t, 0)) @ Vh


enter(
    Exercise(
        name="singular-value-threshold",
        title="the proximal step of the nuclear norm",
        where="refimpl/regularizers/nuclear.py",
        solution=singular_value_threshold,
        inputs=lambda rng: (rng.normal(size=(4, 4)), 1.0),
        checks=(
            Equals("refimpl.regularizers.singular_value_threshold", library_threshold),
            Statement(
                "the objective is no less at 200 points nearby",
                _least(lambda Z, W, t: float(np.sum((Z - W) ** 2) / 2 + t * np.linalg.norm(Z, "nuc"))),
            ),
        ),
        mistakes={
            "that is the proximal step of the l1 norm: singular values shrink, not entries": soft_threshold,
            "a missing maximum: a singular value stops at zero and does not cross it": lambda W, t: (
                (_svd(W)[0] * (_svd(W)[1] - t)) @ _svd(W)[2]
            ),
            "a transpose: np.linalg.svd returns V transposed already": lambda W, t: (
                (_svd(W)[0] * np.maximum(_svd(W)[1] - t, 0)) @ _svd(W)[2].T
            ),
            "that is hard thresholding: singular values that remain are shortened by t, too": lambda W, t: (
                (_svd(W)[0] * np.where(_svd(W)[1] > t, _svd(W)[1], 0)) @ _svd(W)[2]
            ),
            "singular values scale columns of U, not its rows": lambda W, t: (
                (_svd(W)[0] * np.maximum(_svd(W)[1] - t, 0)[:, None]) @ _svd(W)[2]
            ),
        },
    )
)


def joint_gradient(
    W1: Float[np.ndarray, "a b"], W2: Float[np.ndarray, "c a"], W3: Float[np.ndarray, "d c"]
) -> Float[np.ndarray, "c a"]:
    r"""The subgradient by W2 of the l1 norm of the product $P = W_3 W_2 W_1$.

    Eq. (7), whose order of factors does not chain as printed; lesson 6. In the check all are square, so that shapes
    hide no mistake.
    """
    return W3.T @ np.sign(W3 @ W2 @ W1) @ W1.T


enter(
    Exercise(
        name="joint-term",
        title="the subgradient of the l1 norm of a product of layers",
        where="refimpl/regularizers/joint.py",
        solution=joint_gradient,
        inputs=lambda rng: (rng.normal(size=(4, 4)), rng.normal(size=(4, 4)), rng.normal(size=(4, 4))),
        checks=(Gradient(lambda p, W1, W2, W3: regularizers.joint([W1, p, W3])[0], lambda W1, W2, W3: W2),),
        mistakes={
            "a transpose: the factors around W2 come back transposed": lambda A, B, C: C @ np.sign(C @ B @ A) @ A,
            "a transpose: the factor on the right comes back transposed": lambda A, B, C: C.T @ np.sign(C @ B @ A) @ A,
            "a transpose: the factor on the left comes back transposed": lambda A, B, C: C @ np.sign(C @ B @ A) @ A.T,
            "the order: what stood to the left of W2 stays to its left": lambda A, B, C: A.T @ np.sign(C @ B @ A) @ C.T,
            "a missing sign function: the derivative of |P_ij| is its sign": lambda A, B, C: C.T @ (C @ B @ A) @ A.T,
            "the order of the layers: the product is W3 W2 W1": lambda A, B, C: C.T @ np.sign(A @ B @ C) @ A.T,
            "a missing factor: the layers around W2 scale what it does": lambda A, B, C: np.sign(C @ B @ A),
        },
    )
)
