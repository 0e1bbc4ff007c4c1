"""Bounds on the mutual information (Section 5), and on margins under a perturbation of inputs and weights."""

import math

import numpy as np

from ...backend import Array, Params, like, namespace
from ...layers.loss import cross_entropy
from ...measures.certificates import label_bound, margin_bound
from ...measures.information import mutual_information
from ...networks.fcnn import FCNN, forward, hidden
from .statement import Claim, Example, Statement, at_most, equal, require
from .strategies import clouds, nets


def in_order(c: Example) -> None:
    """Also: the bounds do not decrease where the variance of the noise does."""
    lower, upper = mutual_information(c.h, c.sigma2)
    most = math.log2(c.h.shape[0])
    measured = {"lower": lower, "upper": upper, "log2 N": most}
    require(lower >= 0 and at_most(lower, upper) and at_most(upper, most), measured)
    for name, less, more in zip(("lower", "upper"), (lower, upper), mutual_information(c.h, c.sigma2 / 2), strict=True):
        require(less <= more + 1e-9, {f"{name} at sigma^2": less, f"{name} at half of it": more})


def closed_cases(c: Example) -> None:
    """0 bits for equal points, log2 N for points far apart; invariance under permutation and translation."""
    xp = namespace(c.h)
    for bound in mutual_information(xp.zeros_like(c.h) + c.h[:1, :], c.sigma2):
        require(bound <= 1e-9, {"bits of N equal points": bound})
    positions = like(np.arange(c.h.shape[0]) * 1e4, c.h)
    for bound in mutual_information(xp.zeros_like(c.h) + positions[:, None], c.sigma2):
        require(equal(bound, math.log2(c.h.shape[0])), {"bits of N points far apart": bound, "N": c.h.shape[0]})
    before, after = (mutual_information(h, c.sigma2) for h in (c.h, xp.flip(c.h, axis=0) + 3))
    for a, b in zip(before, after, strict=True):
        require(abs(a - b) <= 1e-6, {"bits": a, "bits, reversed and translated": b})


def margins_stay_within_the_bound(c: Example) -> None:
    """Random corners of both boxes, where a net without hidden layers has its extremes."""
    xp, rng = namespace(c.x), np.random.default_rng(c.seed)
    bound = margin_bound(FCNN(), c.params, c.x, c.eps, c.eps_weights)
    z = forward(c.params, c.x)[0]
    for _ in range(8):
        z2 = forward(*_corner(c, rng))[0]
        change = xp.abs((z2 - z)[:, :, None] - (z2 - z)[:, None, :])
        beyond = float(xp.max(change - bound))
        require(beyond <= 1e-9 * (1 + float(xp.max(xp.abs(z)))), {"change of a margin minus B": beyond})


def the_loss_stays_within_the_bound(c: Example) -> None:
    """One random corner, random labels."""
    xp, rng = namespace(c.x), np.random.default_rng(c.seed)
    z, z2 = forward(c.params, c.x)[0], forward(*_corner(c, rng))[0]
    y = like(rng.integers(0, z.shape[-1], z.shape[0]), c.x, xp.int64)
    worst = xp.max(label_bound(c.params, [c.x, *hidden(c.params, c.x)], y, c.eps, c.eps_weights), axis=-1)
    before, after = (cross_entropy(logits[:, None, :], y[:, None])[0] for logits in (z, z2))  # one per example
    beyond = float(xp.max(xp.abs(after - before) - worst))
    require(beyond <= 1e-9 * (1 + float(xp.max(after))), {"change of the loss minus max_j B_yj": beyond})


def the_bound_is_monotone(c: Example) -> None:
    """0 without perturbation, and nondecreasing in each radius."""
    xp, none = namespace(c.x), dict.fromkeys(c.eps_weights, 0.0)
    most = float(xp.max(xp.abs(margin_bound(FCNN(), c.params, c.x, 0.0, none))))
    require(most == 0, {"B without perturbation": most})
    before = margin_bound(FCNN(), c.params, c.x, c.eps, c.eps_weights)
    wider = [(c.eps + 0.1, c.eps_weights), *((c.eps, c.eps_weights | {name: r + 0.1}) for name, r in
                                             c.eps_weights.items())]  # fmt: skip
    for eps, eps_weights in wider:
        decrease = float(xp.max(before - margin_bound(FCNN(), c.params, c.x, eps, eps_weights)))
        require(decrease <= 1e-9 * (1 + float(xp.max(before))), {"in a wider box B is smaller by": decrease})


def _corner(c: Example, rng: np.random.Generator) -> tuple[Params, Array]:
    """Weights and inputs at a random corner of their boxes."""
    moved = {
        name: p + c.eps_weights.get(name, 0.0) * like(rng.choice([-1.0, 1.0], p.shape), p)
        for name, p in c.params.items()
    }
    return moved, c.x + c.eps * like(rng.choice([-1.0, 1.0], c.x.shape), c.x)


def one_layer_attains_the_bound(c: Example) -> None:
    """With one layer and unperturbed weights eps sign(W_i - W_j) attains the bound."""
    xp = namespace(c.x)
    W = c.params["W1"]
    params = {"W1": W, "b1": c.params["b1"]}
    bound = margin_bound(FCNN(), params, c.x, c.eps, {})
    z = forward(params, c.x)[0]
    for i in range(W.shape[0]):
        worst = forward(params, c.x + c.eps * xp.sign(W[i, :] - W[0, :]))[0]
        change = (worst - z)[:, i] - (worst - z)[:, 0]
        apart = float(xp.max(xp.abs(change - bound[:, i, 0])))
        require(apart <= 1e-9, {"|change of the margin - B|": apart})


STATEMENTS = (
    Statement(
        "mutual-information-order",
        "Section 5, after Kolchinsky and Tracey 2017",
        Claim("0 <= lower bound <= upper bound <= log2 N, and neither decreases where the variance of the noise does",
              clouds(), in_order),
    ),
    Statement(
        "mutual-information-closed",
        "Section 5, after Kolchinsky and Tracey 2017",
        Claim("both bounds are 0 for equal points, log2 N for points far apart, and invariant under permutation "
              "and translation",
              clouds(), closed_cases),
    ),
    Statement(
        "certificate-sound",
        "ours, for the setting of arXiv 2102.11935",
        Claim("no margin changes by more than B under perturbed inputs and weights", nets(),
              margins_stay_within_the_bound),
    ),
    Statement(
        "certificate-loss",
        "ours, for the setting of arXiv 2102.11935",
        Claim("the cross-entropy changes by no more than the largest B_yj", nets(), the_loss_stays_within_the_bound),
    ),
    Statement(
        "certificate-monotone",
        "ours, for the setting of arXiv 2102.11935",
        Claim("B is 0 without perturbation and nondecreasing in each radius", nets(), the_bound_is_monotone),
    ),
    Statement(
        "certificate-tight",
        "ours, for the setting of arXiv 2102.11935",
        Claim("B is attained for one layer and unperturbed weights", nets(), one_layer_attains_the_bound),
    ),
)  # fmt: skip
