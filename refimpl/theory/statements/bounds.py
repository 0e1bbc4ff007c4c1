"""Bounds that we rely on: mutual information (Section 5), and margins under a perturbation of inputs and weights."""

import math

import numpy as np

from ...backend import Array, Params, like, namespace
from ...layers.loss import cross_entropy
from ...measures.certificates import label_reach, margin_reach
from ...measures.information import mutual_information
from ...networks.fcnn import forward
from .premises import clouds, nets
from .statement import Case, Claim, Statement, at_most, equal, require


def in_order(c: Case) -> None:
    """And a smaller variance tells more."""
    lower, upper = mutual_information(c.h, c.sigma2)
    most = math.log2(c.h.shape[0])
    measured = {"lower": lower, "upper": upper, "log2 N": most}
    require(lower >= 0 and at_most(lower, upper) and at_most(upper, most), measured)
    for name, less, more in zip(("lower", "upper"), (lower, upper), mutual_information(c.h, c.sigma2 / 2), strict=True):
        require(less <= more + 1e-9, {f"{name} at sigma^2": less, f"{name} at half of it": more})


def closed_cases(c: Case) -> None:
    """Equal points tell nothing; points far apart tell which of them it is; the order and the place tell nothing."""
    xp = namespace(c.h)
    for bound in mutual_information(xp.zeros_like(c.h) + c.h[:1, :], c.sigma2):
        require(bound <= 1e-9, {"bits of N equal points": bound})
    places = like(np.arange(c.h.shape[0]) * 1e4, c.h)
    for bound in mutual_information(xp.zeros_like(c.h) + places[:, None], c.sigma2):
        require(equal(bound, math.log2(c.h.shape[0])), {"bits of N points far apart": bound, "N": c.h.shape[0]})
    before, after = (mutual_information(h, c.sigma2) for h in (c.h, xp.flip(c.h, axis=0) + 3))
    for a, b in zip(before, after, strict=True):
        require(abs(a - b) <= 1e-6, {"bits": a, "bits, turned round and moved": b})


def margins_stay_within_reach(c: Case) -> None:
    """For random corners of both boxes, where the extremes of a net without hidden layers are."""
    xp, rng = namespace(c.x), np.random.default_rng(c.seed)
    reach = margin_reach(c.params, c.x, c.eps, c.eps_weights)
    z = forward(c.params, c.x)[0]
    for _ in range(8):
        z2 = forward(*_corner(c, rng))[0]
        change = xp.abs((z2 - z)[:, :, None] - (z2 - z)[:, None, :])
        beyond = float(xp.max(change - reach))
        require(beyond <= 1e-9 * (1 + float(xp.max(xp.abs(z)))), {"a margin moved further than B by": beyond})


def the_loss_stays_within_reach(c: Case) -> None:
    """At a random corner, for random labels."""
    xp, rng = namespace(c.x), np.random.default_rng(c.seed)
    z, z2 = forward(c.params, c.x)[0], forward(*_corner(c, rng))[0]
    y = like(rng.integers(0, z.shape[-1], z.shape[0]), c.x, xp.int64)
    worst = xp.max(label_reach(c.params, c.x, y, c.eps, c.eps_weights), axis=-1)
    before, after = (cross_entropy(logits[:, None, :], y[:, None])[0] for logits in (z, z2))  # one an example
    beyond = float(xp.max(xp.abs(after - before) - worst))
    require(beyond <= 1e-9 * (1 + float(xp.max(after))), {"the loss moved further than max_j B_yj by": beyond})


def wider_boxes_reach_further(c: Case) -> None:
    """No radius, no reach; and none falls where one radius grows."""
    xp, none = namespace(c.x), dict.fromkeys(c.eps_weights, 0.0)
    most = float(xp.max(xp.abs(margin_reach(c.params, c.x, 0.0, none))))
    require(most == 0, {"reach without perturbation": most})
    before = margin_reach(c.params, c.x, c.eps, c.eps_weights)
    wider = [(c.eps + 0.1, c.eps_weights), *((c.eps, c.eps_weights | {name: r + 0.1}) for name, r in
                                             c.eps_weights.items())]  # fmt: skip
    for eps, eps_weights in wider:
        fallen = float(xp.max(before - margin_reach(c.params, c.x, eps, eps_weights)))
        require(fallen <= 1e-9 * (1 + float(xp.max(before))), {"in a wider box B fell by": fallen})


def _corner(c: Case, rng: np.random.Generator) -> tuple[Params, Array]:
    """Weights and inputs at a random corner of their boxes."""
    moved = {
        name: p + c.eps_weights.get(name, 0.0) * like(rng.choice([-1.0, 1.0], p.shape), p)
        for name, p in c.params.items()
    }
    return moved, c.x + c.eps * like(rng.choice([-1.0, 1.0], c.x.shape), c.x)


def linear_nets_reach_it(c: Case) -> None:
    """With one layer and weights in place the bound is attained: by eps sign(W_i - W_j)."""
    xp = namespace(c.x)
    W = c.params["W1"]
    params = {"W1": W, "b1": c.params["b1"]}
    reach = margin_reach(params, c.x, c.eps, {})
    z = forward(params, c.x)[0]
    for i in range(W.shape[0]):
        worst = forward(params, c.x + c.eps * xp.sign(W[i, :] - W[0, :]))[0]
        change = (worst - z)[:, i] - (worst - z)[:, 0]
        apart = float(xp.max(xp.abs(change - reach[:, i, 0])))
        require(apart <= 1e-9, {"|change of the margin - B|": apart})


STATEMENTS = (
    Statement(
        "mutual-information-order",
        "Section 5, after Kolchinsky and Tracey 2017",
        Claim("0 <= lower bound <= upper bound <= log2 N, and neither falls where the noise does", clouds(), in_order),
    ),
    Statement(
        "mutual-information-closed",
        "Section 5, after Kolchinsky and Tracey 2017",
        Claim("both bounds are 0 for equal points, log2 N for points far apart, and see neither order nor place",
              clouds(), closed_cases),
    ),
    Statement(
        "certificate-sound",
        "ours, for the setting of arXiv 2102.11935",
        Claim("no margin moves by more than B under perturbed inputs and weights", nets(), margins_stay_within_reach),
    ),
    Statement(
        "certificate-loss",
        "ours, for the setting of arXiv 2102.11935",
        Claim("the cross-entropy moves by no more than the largest B_yj", nets(), the_loss_stays_within_reach),
    ),
    Statement(
        "certificate-monotone",
        "ours, for the setting of arXiv 2102.11935",
        Claim("B is 0 without perturbation and falls in no wider box", nets(), wider_boxes_reach_further),
    ),
    Statement(
        "certificate-tight",
        "ours, for the setting of arXiv 2102.11935",
        Claim("for one layer and inputs alone B is attained", nets(), linear_nets_reach_it),
    ),
)  # fmt: skip
