import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from jaxtyping import Float

from ..backend import Array, namespace
from ..layers.images import Shape
from ..settings import Box, setting
from ..validation import check_attacked, check_steps
from .ball import length, unit
from .base import ATTACKS, InputAttack, Target
from .low_rank import Rank, best_approximation, number_of


def pgd_l2(
    gradient: Callable[[Array], Array],
    x: Float[Array, "batch *shape"],
    *,
    eps: float,
    step_size: float,
    steps: int,
    clip: Box | None = None,
) -> Float[Array, "batch *shape"]:
    r"""Projected gradient ascent in the $\ell_2$ ball (Madry et al. 2018): steps $\alpha\,g / \|g\|_2$ from x.

    After each step $\eta$ is shortened to length `eps` where it is longer, then pixels are cut to the box `clip`,
    which shortens it further. Lengths are over all axes but the first. Raises `UsageError` for a budget, step size or
    number of steps that makes no sense, and for half precision.
    """
    check_attacked(x, eps, clip)
    check_steps(steps, step_size)
    xp = namespace(x)
    eta = xp.zeros_like(x)
    for _ in range(steps):
        eta = eta + step_size * unit(gradient(x + eta))
        eta = xp.where(length(eta) > eps, eps * unit(eta), eta)
        if clip is not None:
            eta = xp.clip(x + eta, *clip) - x
    return x + eta if clip is None else xp.clip(x + eta, *clip)


@ATTACKS.register("pgd-l2")
@dataclass(frozen=True, kw_only=True)
class PGDL2(InputAttack):
    """`pgd_l2` with its budget; a perturbation truncated to `rank` is the best approximation of that rank."""

    name: ClassVar[str] = "pgd-l2"

    eps: float = setting(0.5, "Budget.", unit="pixels in [0, 1], l2 norm", at_least=0)
    steps: int = setting(10, "Number of steps.", at_least=1)
    step_size: float | None = setting(None, "Length of a step.", unit="pixels", usual="1.8 eps / steps", at_least=0)
    rank: Rank | None = setting(
        None, "Rank of the perturbation: a number, or a fraction of the full rank.", usual="full", above=0
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.step_size is None:
            object.__setattr__(self, "step_size", 1.8 * self.eps / self.steps)

    @property
    def ball(self) -> str:
        return "2"

    def for_images(self, shape: Shape) -> "PGDL2":
        return self if self.rank is None else replace(self, rank=number_of(self.rank, shape))

    def perturb(
        self,
        target: Target,
        x: Array,
        y: Array,
        starts: Sequence[np.random.Generator] = (),
        surrogate: Target | None = None,
    ) -> Array:
        x_adv = pgd_l2(
            target.loss(y), x, eps=self.eps, step_size=self.step_size or 0.0, steps=self.steps, clip=self.clip
        )
        if self.rank is None:
            return x_adv
        shape = target.image_shape(math.prod(x.shape[1:]))
        x_adv = x + best_approximation(x_adv - x, shape, number_of(self.rank, shape))
        return x_adv if self.clip is None else namespace(x).clip(x_adv, *self.clip)
