"""What does the loss look like around an example?"""

from typing import Any

import numpy as np
from jaxtyping import Float

from ...attacks.losses import cross_entropy
from ...backend import Array, like, namespace
from ...layers.loss import least_margin
from ...rng import stream
from ..finding import CHECKS, Check, Finding, percent
from ..subject import Subject

POINTS = 21
WIDTH = 2.0
"""The slice reaches this many eps to both sides."""
SLICES = 3
SMOOTH = 0.95


@CHECKS.register("loss-surface")
class LossSurface(Check):
    """Along the signs of the gradient and random signs: the loss at eps, of all; a slice through both, of a few."""

    asks = "Does the loss rise more along the gradient than along a random direction?"
    source = "slices as in Athalye et al. (2018) and Qin et al. (2019)"

    def find(self, subject: Subject) -> Finding:
        net, eps, xp = subject.net, subject.eps, subject.backend.xp
        rng = stream(subject.settings.seed, "noise", 1)
        signs = like(2.0 * rng.integers(0, 2, subject.x.shape) - 1, subject.x)

        def rises(x: Array, s: Array, y: Array) -> Array:
            g = xp.sign(net.loss(y)(x))
            return xp.stack([cross_entropy(net.logits(x + eps * d), y)[0] for d in (g, s)], axis=-1)

        along, random = subject.each(rises, subject.x, signs, subject.y).T
        fraction = float((along > random).mean())
        return Finding(
            colour="green" if fraction >= SMOOTH else "amber",
            value=percent(fraction),
            number=fraction,
            reason=f"at eps {eps:g} the loss is higher along the gradient than along random signs at"
            f" {percent(fraction)} of the examples",
            todo="" if fraction >= SMOOTH else "look at the slices: a flat or jagged surface is a masked gradient",
            details={"slices": [_slice(subject, i, signs) for i in range(min(SLICES, len(subject.y)))]},
        )


def _slice(subject: Subject, i: int, signs: Float[Array, "n pixels"]) -> dict[str, Any]:
    """The loss and the least margin at x + a sign(g) + b s; rows go with b, columns with a, both in pixels."""
    x, y = subject.x[i : i + 1, ...], subject.backend.asarray(subject.y[i : i + 1])
    xp = namespace(x)
    steps = np.linspace(-WIDTH, WIDTH, POINTS) * subject.eps
    a, b = (like(one.reshape(-1, 1), x) for one in np.meshgrid(steps, steps))
    points = x + a * xp.sign(subject.net.loss(y)(x)) + b * signs[i : i + 1, ...]
    labels = np.full(len(steps) ** 2, subject.y[i])
    loss, margin = (
        subject.each(function, points, labels).reshape(POINTS, POINTS)
        for function in (
            lambda p, y: cross_entropy(subject.net.logits(p), y)[0],
            lambda p, y: least_margin(subject.net.logits(p), y),
        )
    )
    rounded = {name: np.round(one.astype(float), 5).tolist() for name, one in (("loss", loss), ("margin", margin))}
    return {"index": int(subject.index[i]), "label": int(subject.y[i]), "steps": steps.tolist(), **rounded}
