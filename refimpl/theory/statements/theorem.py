"""Theorem 1, its proof and the remarks after it."""

from hypothesis import assume

from ...backend import Array, namespace
from ...measures.rank_sparsity import effective_rank
from ...networks import fcnn
from ...tape import input_gradient
from ..linear import adversarial_error, error, l1_norm, linear_net, projection, sparsity
from .statement import Claim, Example, Statement, at_most, equal, require
from .strategies import classifications, coordinate_subspaces, linear_nets, longer_projections, nets, projections


def projected(c: Example) -> Array:
    return projection(c.V) @ c.w


def accuracy_is_unchanged(c: Example) -> None:
    """The first part of Theorem 1."""
    p, q = error(c.w, c.x, c.y), error(projected(c), c.x, c.y)
    require(p == q, {"p_0(w)": p, "p_0(Qw)": q})


def no_less_robust(c: Example) -> None:
    """The conclusion of the second part of Theorem 1, for both definitions of p_eps."""
    for adversary in ("sample", "universal"):
        p, q = (adversarial_error(w, c.x, c.y, c.eps, adversary) for w in (c.w, projected(c)))
        require(q <= p, {"p_eps(w)": p, "p_eps(Qw)": q})


def no_less_robust_if_sparser(c: Example) -> None:
    """The second part of Theorem 1."""
    assume(sparsity(projected(c)) <= sparsity(c.w))
    no_less_robust(c)


def no_less_robust_if_shorter(c: Example) -> None:
    assume(l1_norm(projected(c)) <= l1_norm(c.w))
    no_less_robust(c)


def norms_and_sparsities(c: Example) -> None:
    before, after = sparsity(c.w), sparsity(projected(c))
    assume(before > 0 and after > 0)
    p, q = l1_norm(c.w), l1_norm(projected(c))
    require(at_most(q, after / before * p), {"|Qw|_1": q, "s(Qw)/s(w) |w|_1": after / before * p})


def shorter(c: Example) -> None:
    before, after = l1_norm(c.w), l1_norm(projected(c))
    measured = {"|w|_1": before, "|Qw|_1": after, "s(w)": sparsity(c.w), "s(Qw)": sparsity(projected(c))}
    require(at_most(after, before), measured)


def shorter_if_not_sparser(c: Example) -> None:
    assume(sparsity(projected(c)) >= sparsity(c.w))
    shorter(c)


def shorter_if_sparser(c: Example) -> None:
    assume(sparsity(projected(c)) <= sparsity(c.w))
    shorter(c)


def needs_the_l1_condition(c: Example) -> None:
    before, after = l1_norm(c.w), l1_norm(projected(c))
    assume(after > before * (1 + 1e-9))
    p, q = (adversarial_error(w, c.x, c.y, c.eps) for w in (c.w, projected(c)))
    require(q > p, {"p_eps(w)": p, "p_eps(Qw)": q, "|w|_1": before, "|Qw|_1": after})


def fails_for_one_example(c: Example) -> None:
    """x = Qw / |Qw|_2 with label 1 has the margin |Qw|_2 under both w and Qw; eps is between their two distances."""
    Qw = projected(c)
    before, after = l1_norm(c.w), l1_norm(Qw)
    assume(after > before * (1 + 1e-6))
    xp = namespace(Qw)
    length = after / sparsity(Qw)
    x, y, eps = (Qw / length)[None, :], xp.ones_like(Qw[:1]), 2 * length / (before + after)
    for adversary in ("sample", "universal"):
        p, q = (adversarial_error(w, x, y, eps, adversary) for w in (c.w, Qw))
        require(p == 0 and q == 1, {"p_eps(w)": p, "p_eps(Qw)": q})


def longer_if_not_sparser(c: Example) -> None:
    before, after = sparsity(c.w), sparsity(projected(c))
    assume(after > before * (1 + 1e-9))
    p, q = l1_norm(c.w), l1_norm(projected(c))
    require(not at_most(q, p), {"|w|_1": p, "|Qw|_1": q, "s(w)": before, "s(Qw)": after})


def inside_nothing_changes(c: Example) -> None:
    """Remark 1: w is in the subspace."""
    xp = namespace(c.w)
    Qw = projected(c)
    distance, length = float(xp.max(xp.abs(Qw - c.w))), float(xp.max(xp.abs(c.w)))
    require(distance <= 1e-9 * length, {"|Qw - w|_inf": distance, "|w|_inf": length})
    for adversary in ("sample", "universal"):
        p, q = (adversarial_error(w, c.x, c.y, c.eps, adversary) for w in (c.w, Qw))
        require(p == q, {"p_eps(w)": p, "p_eps(Qw)": q})


def strictly_shorter_outside(c: Example) -> None:
    """Equality exactly where w is in V; exact arithmetic for whole numbers and unit vectors."""
    xp, Qw = namespace(c.w), projected(c)
    inside = float(xp.max(xp.abs(Qw - c.w))) <= 1e-9 * float(xp.max(xp.abs(c.w)))
    before, after = l1_norm(c.w), l1_norm(Qw)
    held = equal(before, after) if inside else after < before
    require(held, {"|w|_1": before, "|Qw|_1": after})


def sparser(c: Example) -> None:
    before, after = sparsity(c.w), sparsity(projected(c))
    require(at_most(after, before), {"s(w)": before, "s(Qw)": after})


def at_most_half_of_one_and_root_n(c: Example) -> None:
    before, after, n = l1_norm(c.w), l1_norm(projected(c)), c.w.shape[0]
    require(at_most(after, before * (1 + n**0.5) / 2), {"|Qw|_1 / |w|_1": after / before if before else 0.0, "n": n})


def any_net_is_unchanged(c: Example) -> None:
    """V is spanned by (1, ..., 1); the gradient of f(Q.) is compared with a difference quotient."""
    xp = namespace(c.x)
    ones = xp.ones_like(c.x[0, :])
    v = ones / xp.sqrt(xp.sum(ones))
    Q = projection(v[:, None])

    def f(x: Array) -> Array:
        return xp.sum(fcnn.forward(c.params, x)[0], axis=-1)

    x = c.x @ Q
    apart = float(xp.max(xp.abs(f(x @ Q) - f(x))))
    require(apart <= 1e-9, {"|f(Qx) - f(x)|": apart})
    logits, tape = fcnn.forward(c.params, x)
    gradient, h = input_gradient(tape, xp.ones_like(logits)) @ Q, 1e-5
    apart = float(xp.max(xp.abs(gradient @ v - (f((x + h * v) @ Q) - f((x - h * v) @ Q)) / (2 * h))))
    require(apart <= 1e-6, {"|Q grad f - difference quotient|": apart})


def low_rank_first_layer(c: Example) -> None:
    xp, Q = namespace(c.x), projection(c.V)
    first = Q @ c.layers[0]
    net, without = (linear_net([W, *c.layers[1:]], c.w) for W in (first, c.layers[0]))
    apart, size = float(xp.max(xp.abs(c.x @ (net - without)))), float(xp.max(xp.abs(c.x) @ xp.abs(without)))
    require(apart <= 1e-9 * max(size, 1.0), {"|f(Qx) - f(x)|": apart})
    k, rank = float(xp.sum(Q * Q)), float(effective_rank(first))
    require(k < 0.5 or at_most(rank, k**0.5), {"r(QW1)": rank, "k": k})


binary, binary_inside = classifications(), classifications(inside=True)
vectors, coordinates = projections(), coordinate_subspaces()

STATEMENTS = (
    Statement(
        "theorem-1-accuracy",
        "Theorem 1, first part",
        Claim("projecting w on the subspace of the data does not change the error: p_0(Qw) = p_0(w)",
              binary, accuracy_is_unchanged),
    ),
    Statement(
        "theorem-1-robustness",
        "Theorem 1, second part",
        Claim("if s(Qw) <= s(w), then p_eps(Qw) <= p_eps(w), for a universal perturbation or one per example",
              binary, no_less_robust_if_sparser),
    ),
    Statement(
        "theorem-1-proof-bound",
        "Theorem 1, its proof",
        Claim("|Qw|_1 <= s(Qw)/s(w) |w|_1, because |Qw|_2 <= |w|_2",
              vectors, norms_and_sparsities),
    ),
    Statement(
        "theorem-1-proof-premise",
        "Theorem 1, its proof",
        Claim("as printed: if s(Qw) >= s(w), then |Qw|_1 <= |w|_1", vectors, shorter_if_not_sparser),
        Claim("if s(Qw) <= s(w), then |Qw|_1 <= |w|_1", vectors, shorter_if_sparser),
    ),
    Statement(
        "theorem-1-necessary",
        "Theorem 1, its premise (ours)",
        Claim("the premise is necessary: if s(Qw) > s(w), then |Qw|_1 > |w|_1", vectors, longer_if_not_sparser),
        Claim("it is sufficient that |Qw|_1 <= |w|_1: then p_eps(Qw) <= p_eps(w)", binary, no_less_robust_if_shorter),
    ),
    Statement(
        "theorem-1-l1-condition",
        "Theorem 1, its premise (ours)",
        Claim("the weaker premise |Qw|_1 <= |w|_1 is necessary: if |Qw|_1 > |w|_1, then p_eps(Qw) > p_eps(w)", binary,
              needs_the_l1_condition),
        Claim("it is necessary for all data in the subspace at once: if |Qw|_1 > |w|_1, then p_eps(w) = 0 and "
              "p_eps(Qw) = 1 for some eps and the one example x = Qw", longer_projections(), fails_for_one_example),
    ),
    Statement(
        "theorem-1-without-premise",
        "Theorem 1, its premise (ours)",
        Claim("the premise can be dropped: p_eps(Qw) <= p_eps(w) for every subspace", binary, no_less_robust),
        Claim("without one, |Qw|_1 is at most (1 + root n)/2 times |w|_1", vectors, at_most_half_of_one_and_root_n),
    ),
    Statement(
        "remark-1",
        "Remark 1",
        Claim("if w is in the subspace, then Qw = w and p_eps(Qw) = p_eps(w)", binary_inside, inside_nothing_changes),
    ),
    Statement(
        "after-proof-gain",
        "after the proof of Theorem 1",
        Claim("if w is not in the subspace, then |Qw|_1 < |w|_1: \"always a gain\"", vectors,
              strictly_shorter_outside),
        Claim("this holds where unit vectors span the subspace", coordinates, strictly_shorter_outside),
    ),
    Statement(
        "after-proof-premise",
        "after the proof of Theorem 1",
        Claim("s(Qw) <= s(w) always holds where unit vectors span the subspace", coordinates, sparser),
        Claim("there |Qw|_1 <= |w|_1, which is sufficient for Theorem 1", coordinates, shorter),
    ),
    Statement(
        "after-proof-any-classifier",
        "after the proof of Theorem 1",
        Claim("for any net f and data in the subspace, f(Qx) = f(x), and the gradient of f(Q.) is Q times that of f",
              nets(), any_net_is_unchanged),
    ),
    Statement(
        "after-proof-overparametrized",
        "after the proof of Theorem 1",
        Claim("on the subspace the linear nets QW1, W2, ... and W1, W2, ... are equal; r(QW1) <= root k",
              linear_nets(), low_rank_first_layer),
    ),
)  # fmt: skip
