import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float

from ..backend import Array, namespace
from ..errors import UsageError
from ..settings import Box, setting
from ..validation import check_attacked, check_steps
from .ball import each, rows, unit
from .base import ATTACKS, InputAttack, Target
from .gnm import DUAL_NORMS
from .losses import Point, margin_loss, observed
from .norm_ball import BALLS, size, within

GAMMA = 0.05, 0.001
"""By what fraction the radius changes in the first step and, on a cosine, in the last."""
LAST_STEP = 0.01
"""Length of the last step as a fraction of that of the first."""
BEYOND = 1 + 1e-6
"""The linearised boundary's distance is taken so many times, as on a net that is linear the step would end on it."""
TINY = 1e-12
"""Added to norms, which may be zero."""


def fmn(
    loss: Callable[[Array], Point],
    x: Float[Array, "batch *shape"],
    *,
    steps: int = 100,
    step_size: float = 1.0,
    norm: str = "2",
    clip: Box | None = None,
) -> Float[Array, "batch *shape"]:
    r"""Fast minimum-norm attack (Pintor, Roli, Brendel and Biggio 2021, arXiv 2102.12827, Algorithm 1).

    Steps $\alpha_k g / \|g\|_2$ along the gradient g of $L = \max_{l \ne y} z_l - z_y$ are projected on a ball whose
    radius closes in on the boundary: where the example is fooled it becomes $(1 - \gamma_k)$ times as large, and no
    larger than the smallest perturbation found; where it is not, $(1 + \gamma_k)$ times. Before anything has fooled it,
    it is the distance of the boundary of the linearised net, $\|\delta\|_p + |L| / \|g\|_q$. $\alpha_k$ and $\gamma_k$
    fall on a half cosine from `step_size` to a hundredth of it, and from 0.05 to 0.001, as in Foolbox.

    The result is the smallest perturbation that fooled, for other examples x itself; pixels are kept in `clip`. `loss`
    maps x to L, its gradient and whether an example is fooled. In Foolbox (3.3.4) the projection of the $\ell_2$ ball
    divides a norm by itself and so never projects; here it does. Raises `UsageError` for an unknown norm, a bad number
    or length of steps, and for half precision.
    """
    check_attacked(x, 0.0, clip)
    check_steps(steps, step_size)
    if norm not in BALLS:
        raise UsageError(f"unknown norm {norm!r}: choose one of {', '.join(BALLS)}")
    xp, (dual_norm, _) = namespace(x), DUAL_NORMS[norm]
    delta, best = xp.zeros_like(x), xp.zeros_like(x)
    most = xp.full_like(x, math.inf) if clip is None else xp.maximum(x - clip[0], clip[1] - x)
    smallest = largest = radius = size(most, norm)
    found = smallest < 0
    for k in range(steps):
        now, moved = loss(x + delta), size(delta, norm)
        better = now.fooled & (moved <= smallest)
        smallest, best = xp.where(better, moved, smallest), xp.where(each(better, x), delta, best)
        found = found | now.fooled
        gamma = cosine(*GAMMA, k / steps)
        outside = moved + BEYOND * xp.abs(now.value) / (dual_norm(rows(now.gradient)) + TINY)
        larger = xp.where(found, radius * (1 + gamma), outside)
        radius = xp.where(now.fooled, xp.minimum(radius * (1 - gamma), smallest), larger)
        radius = xp.minimum(radius, largest)
        step = cosine(step_size, LAST_STEP * step_size, k / steps) * unit(now.gradient)
        delta = _project(delta + step, each(radius, x), norm)
        delta = delta if clip is None else xp.clip(x + delta, *clip) - x
    return x + best if clip is None else xp.clip(x + best, *clip)


def cosine(first: float, last: float, progress: float) -> float:
    """From `first` to `last` on a half cosine, as `progress` goes from 0 to 1."""
    return last + (first - last) * (1 + math.cos(math.pi * progress)) / 2


def _project(
    delta: Float[Array, "batch *shape"], radius: Float[Array, "batch ..."], norm: str
) -> Float[Array, "batch *shape"]:
    xp = namespace(delta)
    if norm == "inf":
        return xp.minimum(xp.maximum(delta, -radius), radius)
    shorter = radius / (each(size(delta, norm), delta) + TINY)
    return delta * xp.minimum(shorter, xp.ones_like(shorter))


@ATTACKS.register("fmn")
@dataclass(frozen=True, kw_only=True)
class FMN(InputAttack):
    """`fmn`; an example whose perturbation is longer than `eps` is given back as it was."""

    name: ClassVar[str] = "fmn"
    smallest: ClassVar[bool] = True

    eps: float = setting(1.0, "Longer perturbations do not count.", unit="pixels in [0, 1]", at_least=0)
    norm: str = setting("inf", "Norm of the budget.", choices=tuple(BALLS))
    steps: int = setting(100, "Number of steps.", at_least=1)
    step_size: float | None = setting(None, "Length of a step.", unit="l2 norm", usual="1, the first", at_least=0)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.step_size is None:
            object.__setattr__(self, "step_size", 1.0)

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
        loss, step_size = observed(target, margin_loss, y), self.step_size or 0.0
        x_adv = fmn(loss, x, steps=self.steps, step_size=step_size, norm=self.norm, clip=self.clip)
        return within(x, x_adv, self.eps, self.norm)
