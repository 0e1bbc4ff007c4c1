from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float, Int

from ..backend import Array, namespace
from ..rng import stream
from ..settings import Box, setting
from ..validation import check_attacked, check_steps
from .ball import each
from .base import ATTACKS, InputAttack, Target
from .losses import LOSSES, Point, observed, other_classes
from .norm_ball import BALLS, Ball, ball
from .restarts import Attempt, one_by_one, owned, replaced

MOMENTUM = 0.75
"""Weight of the new direction; the rest is that of the last move."""
RISING = 0.75
"""Fraction of the steps between two checkpoints that must raise the loss for the step size to stay."""


def apgd(
    loss: Callable[[Array], Point],
    x: Float[Array, "batch *shape"],
    *,
    eps: float,
    steps: int = 100,
    norm: str = "inf",
    clip: Box | None = None,
) -> Float[Array, "batch *shape"]:
    r"""Auto-PGD (Croce and Hein 2020, arXiv 2003.01690, Algorithm 1), from x: PGD that chooses its step sizes.

    With $\Pi$ the projection and $s(g)$ the sign of g, in the $\ell_2$ ball $g / \|g\|_2$,

    $$z = \Pi(x_t + \eta\, s(\nabla L(x_t))), \qquad
      x_{t+1} = \Pi\left(x_t + \tfrac34 (z - x_t) + \tfrac14 (x_t - x_{t-1})\right),$$

    and $x_1 = z$. An example starts with $\eta = 2 \epsilon$. At each of `checkpoints` it halves $\eta$, and goes back
    to its point of greatest loss, where less than three quarters of the steps since the last one have raised its loss,
    or where neither $\eta$ nor the greatest loss has changed since.

    `loss` maps x to the loss, its gradient and whether an example is fooled. The result is, for each example, the point
    of greatest loss; where that does not fool it, but another did, the first that did. Pixels are kept in `clip`.

    AutoAttack and torchattacks deviate from Algorithm 1 in three details, which are as printed here: they also halve
    where exactly three quarters of the steps have raised the loss; they take the loss at the start for 0 in that count;
    and they round checkpoints down (of 100 steps these are the same). As there, the first checkpoint asks for rises
    alone, and after a return to the best point a rise is one from the point that was left. Raises `UsageError` for a
    bad budget, norm or number of steps, and for half precision.
    """
    check_attacked(x, eps, clip)
    return ascent(loss, x, ball(x, eps, norm, clip), steps)


def checkpoints(steps: int) -> list[int]:
    r"""$w_j = \lceil p_j N \rceil$ with $p_1 = 0.22$ and $p_{j+1} = p_j + \max(p_j - p_{j-1} - 0.03, 0.06)$."""
    found, percent, period = [], 22, 22
    while percent <= 100:
        found.append(-(-percent * steps // 100))
        period = max(period - 3, 6)
        percent += period
    return found


def ascent(
    loss: Callable[[Array], Point], start: Float[Array, "batch *shape"], ball: Ball, steps: int
) -> Float[Array, "batch *shape"]:
    """The steps of `apgd` from anywhere in the ball."""
    check_steps(steps)
    xp, marks = namespace(start), checkpoints(steps)
    x = before = start
    now = loss(x)
    best, gradient = Best(x, now), now.gradient
    size = xp.full_like(now.value, 2 * ball.eps)
    since, rises, greatest, kept_size = 0, xp.zeros_like(size), best.value, xp.zeros_like(size) > 0
    for k in range(1, steps + 1):
        moved = ball.step(x, gradient, size)
        if k > 1:
            moved = ball.project(_with_momentum(moved, x, before))
        before, x, last = x, moved, now.value
        now = loss(x)
        gradient, since = now.gradient, since + 1
        rises = rises + xp.astype(now.value > last, size.dtype)
        best.update(x, now)
        if k in marks:
            stalled = (rises < RISING * since) | (kept_size & (best.value == greatest))
            size = xp.where(stalled, size / 2, size)
            rows = each(stalled, x)
            x, gradient = xp.where(rows, best.x, x), xp.where(rows, best.gradient, gradient)
            since, rises, greatest, kept_size = 0, xp.zeros_like(size), best.value, ~stalled
    return best.strongest()


def _with_momentum(
    moved: Float[Array, "batch *shape"], x: Float[Array, "batch *shape"], before: Float[Array, "batch *shape"]
) -> Float[Array, "batch *shape"]:
    r"""The next point with momentum $1 - a$, where z is `moved`; NumPy works in place.

    $$x + a (z - x) + (1 - a)(x - x_{-1}) = a z + (1 - a)(2x - x_{-1})$$
    """
    if not isinstance(moved, np.ndarray):
        return MOMENTUM * moved + (1 - MOMENTUM) * (2 * x - before)
    inertia = before * -0.5
    np.add(inertia, x, out=inertia)
    np.multiply(inertia, 2 * (1 - MOMENTUM), out=inertia)
    np.multiply(moved, MOMENTUM, out=moved)
    return np.add(moved, inertia, out=moved)


class Best:
    """For each example the point of greatest loss, with its gradient, and the first point that fooled it."""

    def __init__(self, x: Float[Array, "batch *shape"], now: Point) -> None:
        self.value, self.fools, self.found = now.value, now.fooled, now.fooled
        self.x, self.gradient, self.first = map(owned, (x, now.gradient, x))

    def update(self, x: Float[Array, "batch *shape"], now: Point) -> None:
        xp = namespace(x)
        better, first = now.value > self.value, now.fooled & ~self.found
        self.value, self.fools = xp.where(better, now.value, self.value), xp.where(better, now.fooled, self.fools)
        self.x, self.gradient = replaced(self.x, x, better), replaced(self.gradient, now.gradient, better)
        self.first, self.found = replaced(self.first, x, first), self.found | now.fooled

    def strongest(self) -> Float[Array, "batch *shape"]:
        return replaced(self.x, self.first, self.found & ~self.fools)


@ATTACKS.register("apgd")
@dataclass(frozen=True, kw_only=True)
class APGD(InputAttack):
    """`apgd` with its budget, from random points; for each example the strongest attempt counts.

    A targeted attack aims at each of the `classes` likeliest other classes. Examples once fooled are left alone.
    """

    name: ClassVar[str] = "apgd"

    eps: float = setting(0.05, "Budget.", unit="pixels in [0, 1]", at_least=0)
    norm: str = setting("inf", "Norm of the budget.", choices=tuple(BALLS))
    loss: str = setting(
        "ce", "What is raised: the cross-entropy, or the difference of logits ratio.", choices=("ce", "dlr")
    )
    targeted: bool = setting(False, "Aim at other classes, one after the other, the likeliest first.")
    classes: int = setting(9, "How many classes a targeted attack aims at, at most.", at_least=1)
    steps: int = setting(100, "Number of steps.", at_least=1)
    restarts: int = setting(1, "Random starts; for each example the strongest counts.", at_least=1)
    seed: int = setting(0, "Seed of the random starts.", at_least=0)

    def starts(self, *index: int) -> list[np.random.Generator]:
        attempts = self.restarts * (self.classes if self.targeted else 1)
        return [stream(self.seed, "attack", attempt, *index) for attempt in range(attempts)]

    @property
    def ball(self) -> str:
        return self.norm

    def perturb(
        self,
        target: Target,
        x: Array,
        y: Array,
        starts: Sequence[np.random.Generator] = (),
        surrogate: Target | None = None,
    ) -> Array:
        check_attacked(x, self.eps, self.clip)
        attempts = (self._attempt(target, i, rng) for i, rng in enumerate(starts or self.starts()))
        return one_by_one(target, x, y, attempts)

    def _attempt(self, target: Target, number: int, rng: np.random.Generator) -> Attempt:
        away, towards = LOSSES[self.loss]

        def attempt(x: Float[Array, "some *shape"], y: Int[Array, "some"]) -> Float[Array, "some *shape"]:
            around = ball(x, self.eps, self.norm, self.clip)
            if not self.targeted:
                return ascent(observed(target, away, y), around.random(rng), around, self.steps)
            others = other_classes(target.logits(x), y)
            aim = others[:, number % min(self.classes, others.shape[-1])]
            return ascent(observed(target, towards, y, aim), around.random(rng), around, self.steps)

        return attempt
