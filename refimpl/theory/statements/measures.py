"""Effective sparsity and effective rank, Eqs. (2) and (3); the regularizers, Eqs. (5) to (7)."""

from itertools import pairwise

import numpy as np
from hypothesis import assume

from ...backend import Array, like, namespace
from ...measures.rank_sparsity import effective_rank, effective_sparsity
from ...regularizers.joint import joint
from ...regularizers.l1 import l1
from ...regularizers.nuclear import nuclear
from .statement import Claim, Example, Statement, at_most, equal, require
from .strategies import matrices, widths


def sparsity_in_bounds(c: Example) -> None:
    s = float(effective_sparsity(c.W))
    require(
        at_most(1.0, s) and at_most(s, (c.W.shape[0] * c.W.shape[1]) ** 0.5),
        {"s(W)": s, "root of the entries": (c.W.shape[0] * c.W.shape[1]) ** 0.5},
    )


def rank_in_bounds(c: Example) -> None:
    xp = namespace(c.W)
    r, rank = float(effective_rank(c.W)), int(xp.linalg.matrix_rank(c.W / xp.max(xp.abs(c.W))))
    require(at_most(1.0, r) and at_most(r, rank**0.5, 1e-6), {"r(W)": r, "root of the rank": rank**0.5})


def invariant(c: Example) -> None:
    xp = namespace(c.W)
    for name, measure in (("s", effective_sparsity), ("r", effective_rank)):
        for other in (c.W * -3, xp.matrix_transpose(c.W)):
            a, b = float(measure(c.W)), float(measure(other))
            require(equal(a, b), {f"{name}(W)": a, f"{name} of it changed": b})


def rotation_keeps_sparsity(c: Example) -> None:
    a, b = (float(effective_sparsity(W)) for W in (c.W, _rotation(c.W.shape[0], c.W) @ c.W))
    require(equal(a, b), {"s(W)": a, "s(UW)": b})


def rotation_keeps_rank(c: Example) -> None:
    U, V = (_rotation(n, c.W) for n in c.W.shape)
    a, b = (float(effective_rank(W)) for W in (c.W, U @ c.W @ V))
    require(equal(a, b), {"r(W)": a, "r(UWV)": b})


def rank_is_at_most_sparsity(c: Example) -> None:
    r, s = float(effective_rank(c.W)), float(effective_sparsity(c.W))
    require(at_most(r, s), {"r(W)": r, "s(W)": s})


def l1_subgradient(c: Example) -> None:
    value, G = l1(_unit(c.W))
    xp = namespace(c.W)
    _subgradient(_unit(c.W), value, G, xp.max(xp.abs(G)))


def nuclear_subgradient(c: Example) -> None:
    value, G = nuclear(_unit(c.W))
    xp = namespace(c.W)
    _subgradient(_unit(c.W), value, G, xp.max(xp.linalg.svd(G, full_matrices=False)[1]))


def _subgradient(W: Array, value: Array, G: Array, dual: Array) -> None:
    inner = float(namespace(W).sum(G * W))
    require(equal(inner, float(value)), {"<G, W>": inner, "|W|": float(value)})
    require(at_most(float(dual), 1.0), {"dual norm of G": float(dual)})


def printed_order_chains(c: Example) -> None:
    shapes = [(m, n) for n, m in pairwise(c.widths)]
    for (_, inner), (outer, _) in pairwise(shapes):
        require(inner == outer, {"columns of W^i": inner, "rows of W^i+1": outer})


def reverse_order_chains(c: Example) -> None:
    """W^m ... W^1; its l1 norm is that of the printed product of the transposes, as some frameworks store them."""
    rng = np.random.default_rng(0)
    Ws = [rng.normal(size=(m, n)) for n, m in pairwise(c.widths)]
    value, transposed = float(joint(Ws)[0]), Ws[0].T
    for W in Ws[1:]:
        transposed = transposed @ W.T
    require(equal(value, float(np.abs(transposed).sum())), {"|W^m ... W^1|_1": value})


def product_costs(widths: list[int]) -> float:
    """Number of multiplications of W^m ... W^1, from the cheaper end."""
    backward = sum(widths[-1] * n * m for n, m in pairwise(widths[:-1]))
    forward = sum(widths[0] * n * m for n, m in pairwise(widths[1:]))
    return float(min(backward, forward))


def decomposition_costs(widths: list[int]) -> float:
    """Number of multiplications of thin singular value decompositions, 6 a b^2 + 11 b^3 each, b <= a (Chan 1982)."""
    return float(sum(6 * max(n, m) * min(n, m) ** 2 + 11 * min(n, m) ** 3 for n, m in pairwise(widths)))


def joint_is_cheaper(c: Example) -> None:
    product, decompositions = product_costs(c.widths), decomposition_costs(c.widths)
    require(product <= decompositions, {"operations of the product": product, "of the decompositions": decompositions})


def joint_is_cheaper_without_bottleneck(c: Example) -> None:
    assume(min(c.widths) >= c.widths[-1] / 6)
    joint_is_cheaper(c)


def _unit(W: Array) -> Array:
    return W / namespace(W).max(namespace(W).abs(W))


def _rotation(n: int, W: Array) -> Array:
    return like(np.linalg.qr(np.random.default_rng(n).normal(size=(n, n)))[0], W)


any_matrix, small_widths, any_widths = matrices(), widths(50), widths(800)

STATEMENTS = (
    Statement(
        "eq-2-bounds",
        "Eq. (2)",
        Claim("1 <= s(W) <= the root of the number of entries", any_matrix, sparsity_in_bounds),
    ),
    Statement(
        "eq-3-bounds",
        "Eq. (3)",
        Claim("1 <= r(W) <= the root of the rank", any_matrix, rank_in_bounds),
    ),
    Statement(
        "eq-3-invariant",
        "Eqs. (2) and (3)",
        Claim("s and r are invariant under scaling, a change of sign and transposition", any_matrix, invariant),
    ),
    Statement(
        "eq-3-rotation",
        "Eqs. (2) and (3) (ours)",
        Claim("s is invariant under rotations", any_matrix, rotation_keeps_sparsity),
        Claim("r is invariant under rotations", any_matrix, rotation_keeps_rank),
    ),
    Statement(
        "rank-below-sparsity",
        "Eqs. (2) and (3) (ours)",
        Claim("r(W) <= s(W): the effective sparsity bounds the effective rank", any_matrix,
              rank_is_at_most_sparsity),
    ),
    Statement(
        "eq-5-subgradient",
        "Eq. (5) (ours)",
        Claim("G = sign(W) is a subgradient of |W|_1: <G, W> = |W|_1, and no entry is larger than 1", any_matrix,
              l1_subgradient),
    ),
    Statement(
        "eq-6-subgradient",
        "Eq. (6) (ours)",
        Claim("G = U_r V_r^T is a subgradient of |W|_*: <G, W> = |W|_*, no singular value is larger than 1", any_matrix,
              nuclear_subgradient),
    ),
    Statement(
        "eq-7-order",
        "Eq. (7)",
        Claim("the product W^1 ... W^m chains for layers of Eq. (1)", small_widths, printed_order_chains),
        Claim("W^m ... W^1 does, and has the l1 norm of the printed product of the transposes", small_widths,
              reverse_order_chains),
    ),
    Statement(
        "joint-cheaper",
        "Section 4, on Eq. (7)",
        Claim("the product takes fewer operations than the singular value decompositions", any_widths,
              joint_is_cheaper),
        Claim("this holds where no layer is narrower than a sixth of the number of classes", any_widths,
              joint_is_cheaper_without_bottleneck),
    ),
)  # fmt: skip
