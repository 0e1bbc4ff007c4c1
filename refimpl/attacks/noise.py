from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float

from ..backend import Array
from ..rng import stream
from ..settings import Box, setting
from ..validation import check_attacked
from .base import ATTACKS, InputAttack, Target
from .norm_ball import BALLS, ball
from .restarts import strongest


def noise(
    x: Float[Array, "batch *shape"], rng: np.random.Generator, *, eps: float, norm: str = "inf", clip: Box | None = None
) -> Float[Array, "batch *shape"]:
    r"""Uniform noise: a point drawn uniformly from the ball of radius `eps` around x, pixels cut to the box `clip`.

    No attack, but the baseline of one: what follows no gradient and asks for no output must not fool more inputs than
    what does ("On Evaluating Adversarial Robustness", Carlini et al. 2019). Raises `UsageError` for a bad budget or
    norm, and for half precision.
    """
    check_attacked(x, eps, clip)
    return ball(x, eps, norm, clip).random(rng)


@ATTACKS.register("noise")
@dataclass(frozen=True, kw_only=True)
class Noise(InputAttack):
    """`noise` with its budget; of several draws the strongest counts, for each example by itself."""

    name: ClassVar[str] = "noise"

    eps: float = setting(0.05, "Budget.", unit="pixels in [0, 1]", at_least=0)
    norm: str = setting("inf", "Norm of the budget.", choices=tuple(BALLS))
    restarts: int = setting(1, "Random starts; for each example the strongest counts.", at_least=1)
    seed: int = setting(0, "Seed of the random starts.", at_least=0)

    def starts(self, *index: int) -> list[np.random.Generator]:
        return [stream(self.seed, "attack", restart, *index) for restart in range(self.restarts)]

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
        draws = (noise(x, rng, eps=self.eps, norm=self.norm, clip=self.clip) for rng in starts or self.starts())
        return strongest(target.least_margin(y), draws)
