"""Adversaries of a linear classifier: assumptions of the definition of p_eps, of the proof and of the attacks."""

import math

import numpy as np
from hypothesis import assume

from ...attacks import fgsm, gnm
from ...backend import Array, like, namespace
from ...measures.accuracy import interval
from ..linear import adversarial_error, error, functional_margins, gaussian_error, l1_norm, projection, sparsity
from .statement import Claim, Example, Statement, at_most, equal, require
from .strategies import classifications, gaussian_classes, linear_models


def one_perturbation_is_as_bad_as_many(c: Example) -> None:
    each, one = (adversarial_error(c.w, c.x, c.y, c.eps, adversary) for adversary in ("sample", "universal"))
    require(one == each, {"p_eps, universal": one, "p_eps, per example": each})


def one_perturbation_is_at_most_as_bad(c: Example) -> None:
    each, one = (adversarial_error(c.w, c.x, c.y, c.eps, adversary) for adversary in ("sample", "universal"))
    require(error(c.w, c.x, c.y) <= one <= each, {"p_eps, universal": one, "p_eps, per example": each})


def grows_with_the_budget(c: Example) -> None:
    for adversary in ("sample", "universal"):
        p, q = (adversarial_error(c.w, c.x, c.y, eps, adversary) for eps in (c.eps, 1.5 * c.eps))
        require(p <= q, {"p_eps": p, "p_1.5eps": q})


def worst(c: Example, eta: Array) -> None:
    """`eta` leaves the margin y w.x - eps |w|_1, and no perturbation within the budget leaves a smaller one."""
    xp = namespace(c.w)
    ours, other = (functional_margins(c.w, c.x + shift, c.y) for shift in (eta, c.eps * c.other))
    least = functional_margins(c.w, c.x, c.y) - c.eps * l1_norm(c.w)
    rounding = 1e-9 * float(xp.max(xp.abs(c.x) @ xp.abs(c.w)) + c.eps * l1_norm(c.w))
    apart = float(xp.max(xp.abs(ours - least)))
    require(apart <= rounding, {"|margin - (y w.x - eps |w|_1)|": apart})
    better = float(xp.max(ours - other))
    require(better <= rounding, {"another perturbation's margin is smaller by": better})


def sign_of_w(c: Example) -> None:
    worst(c, -c.eps * namespace(c.w).sign(c.w) * namespace(c.x).ones_like(c.x))


def minus_y_sign_of_w(c: Example) -> None:
    """FGSM itself: the loss -y w.x has the gradient -y w."""
    worst(c, fgsm(lambda x: -c.y[:, None] * c.w, c.x, eps=c.eps) - c.x)


def dual_norms(c: Example) -> None:
    """One step of GNM lowers the margin by eps times the dual norm of w, and no other direction lowers it more."""
    xp = namespace(c.w)

    def one_margin(x: Array) -> tuple[Array, Array]:
        return functional_margins(c.w, x, c.y)[:, None], (c.y[:, None] * c.w)[:, None, :]

    duals = {"inf": 1, "2": 2, "1": math.inf}
    for norm, dual in duals.items():
        moved = gnm(one_margin, c.x, eps=c.eps, steps=1, norm=norm) - c.x
        length = xp.linalg.vector_norm(c.w, ord=dual)
        fallen = -functional_margins(c.w, moved, c.y)
        rounding = 1e-9 * (1 + float(xp.max(xp.abs(c.x)))) * float(xp.sum(xp.abs(c.w)))
        apart = float(xp.max(xp.abs(fallen - c.eps * length)))
        require(apart <= rounding, {f"|fall - eps |w|_dual|, l_{norm}": apart})
        size = xp.linalg.vector_norm(c.other, ord=float(norm), axis=-1)
        other = c.eps * c.other / xp.maximum(size, xp.ones_like(size))[:, None]
        better = float(xp.max(-functional_margins(c.w, other, c.y) - fallen))
        require(better <= rounding, {f"another direction lowers it more by, l_{norm}": better})


def correct_under_attack(c: Example) -> dict[str, float]:
    """P(correct under attack), and the two other forms of it in the proof."""
    xp = namespace(c.w)
    m, reach = functional_margins(c.w, c.x, c.y), c.eps * l1_norm(c.w)

    def fraction(hits: Array) -> float:
        return float(xp.mean(xp.astype(hits, xp.float64)))

    right = fraction(m > 0)
    given = fraction((xp.abs(m) > reach) & (m > 0)) / right if right else 0.0
    return {
        "P(y w.x > eps |w|_1)": fraction(m > reach),
        "(1 - p_0) P(... | correct)": (1 - error(c.w, c.x, c.y)) * given,
        "1 - p_eps": 1 - adversarial_error(c.w, c.x, c.y, c.eps),
    }


def complements(c: Example) -> None:
    assume(l1_norm(c.w) > 0)
    found = correct_under_attack(c)
    first, *others = found.values()
    require(all(equal(first, other, 1e-12) for other in others), found)


def complements_without_ties(c: Example) -> None:
    xp = namespace(c.w)
    m = functional_margins(c.w, c.x, c.y)
    assume(not bool(xp.any((m == 0) | (xp.abs(m) == c.eps * l1_norm(c.w)))))
    complements(c)


def distance_to_the_boundary(c: Example) -> None:
    """At 0.999 of |w.x| / |w|_1 no perturbation changes the sign, at 1.001 one does."""
    xp = namespace(c.w)
    scores = c.x @ c.w
    assume(bool(xp.all(xp.abs(scores) > 1e-6 * (xp.abs(c.x) @ xp.abs(c.w)))))
    distance = xp.abs(scores) / l1_norm(c.w)
    towards = -xp.sign(scores)[:, None] * xp.sign(c.w)
    nearer, beyond = ((c.x + (part * distance)[:, None] * towards) @ c.w * scores for part in (0.999, 1.001))
    require(bool(xp.all(nearer > 0)), {"margin just before": float(xp.min(nearer))})
    require(bool(xp.all(beyond < 0)), {"margin just beyond": float(xp.max(beyond))})


def gaussian_as_sampled(c: Example) -> None:
    """Both adversaries, against 2,000 draws: within an interval that a right formula misses once in 10^9 times."""
    rng = np.random.default_rng(c.seed)
    y = np.where(rng.random(2000) < c.positive, 1.0, -1.0)
    noise = like(rng.normal(size=(2000, c.root.shape[1])), c.w)
    y = like(y, c.w)
    x = y[:, None] * c.mean + noise @ namespace(c.w).matrix_transpose(c.root)
    p = gaussian_error(c.w, c.mean, _covariance(c), c.eps)
    fraction = adversarial_error(c.w, x, y, c.eps)
    low, high = interval(round(2000 * fraction), 2000, 1 - 1e-9)
    require(low <= p <= high, {"p_eps, closed form": p, "p_eps, sampled": fraction})
    one, each = gaussian_error(c.w, c.mean, _covariance(c), c.eps, "universal", c.positive), p
    require(at_most(one, each), {"p_eps, universal": one, "p_eps, per example": each})
    t = c.eps * l1_norm(c.w) * rng.uniform(-1, 1)
    fraction = float(namespace(c.w).mean(namespace(c.w).astype(functional_margins(c.w, x, y) + y * t < 0, c.w.dtype)))
    low, high = interval(round(2000 * fraction), 2000, 1 - 1e-9)
    require(low <= one, {"p_eps, universal, closed form": one, "error at one perturbation": fraction})


def gaussian_theorem(c: Example) -> None:
    Qw = projection(c.V) @ c.w
    p, q = gaussian_error(c.w, c.mean, _covariance(c)), gaussian_error(Qw, c.mean, _covariance(c))
    require(equal(p, q), {"p_0(w)": p, "p_0(Qw)": q})
    assume(sparsity(Qw) <= sparsity(c.w))
    for adversary in ("sample", "universal"):
        p, q = (gaussian_error(w, c.mean, _covariance(c), c.eps, adversary, c.positive) for w in (c.w, Qw))
        require(at_most(q, p), {"p_eps(w)": p, "p_eps(Qw)": q})


def _covariance(c: Example) -> Array:
    return c.root @ namespace(c.root).matrix_transpose(c.root)


binary, linear, gaussian = classifications(), linear_models(), gaussian_classes()

STATEMENTS = (
    Statement(
        "p-eps-one-perturbation",
        "Section 3, definition of p_eps",
        Claim("the error under the worst universal perturbation is that under the worst perturbation per example, "
              "which the proof computes", binary, one_perturbation_is_as_bad_as_many),
        Claim("it is at most that, and at least p_0", binary, one_perturbation_is_at_most_as_bad),
    ),
    Statement(
        "p-eps-monotone",
        "Section 3, definition of p_eps (ours)",
        Claim("p_eps is nondecreasing in eps", binary, grows_with_the_budget),
    ),
    Statement(
        "fgsm-optimal",
        "Section 3; Theorem 1, its proof",
        Claim("as printed in the proof: eta = -eps sign(w) minimizes every margin", linear, sign_of_w),
        Claim("eta = -y eps sign(w) does, and lowers it by eps |w|_1", linear, minus_y_sign_of_w),
    ),
    Statement(
        "gnm-dual-norm",
        "Section 3, on dual norms",
        Claim("within eps in the norm inf, 2 or 1 a margin falls by at most eps times the dual norm of w, and GNM "
              "attains it", linear, dual_norms),
    ),
    Statement(
        "proof-complements",
        "Theorem 1, its proof",
        Claim("P(y w.x > eps |w|_1) = (1 - p_0) P(|w.x| > eps |w|_1 | correct) = 1 - p_eps", binary, complements),
        Claim("this holds where no margin is exactly 0 or eps |w|_1", binary, complements_without_ties),
    ),
    Statement(
        "robustness-l1-norm",
        "Section 3, after Guo et al. 2018",
        Claim("the l_inf distance from x to the boundary is |w.x| / |w|_1", linear, distance_to_the_boundary),
    ),
    Statement(
        "p-eps-gaussian",
        "Section 3 (ours)",
        Claim("for Gaussian classes the closed form of p_eps agrees with samples", gaussian, gaussian_as_sampled),
    ),
    Statement(
        "theorem-1-gaussian",
        "Theorem 1 (ours)",
        Claim("Theorem 1 for Gaussian classes on a subspace, in closed form", gaussian, gaussian_theorem),
    ),
)  # fmt: skip
