from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float

from ..backend import Array, like
from ..rng import stream
from ..settings import Box, setting
from ..validation import check_attacked
from .ball import bounds, project
from .base import ATTACKS, InputAttack, Target
from .restarts import strongest


def random_signs(
    x: Float[Array, "batch *shape"], rng: np.random.Generator, *, eps: float, clip: Box | None = None
) -> Float[Array, "batch *shape"]:
    r"""A random corner of the $\ell_\infty$ ball: $x' = x + \epsilon s$, each entry of s 1 or -1 with equal chance.

    FGSM without its gradient, and so its baseline: each pixel is moved as far as FGSM moves it (Goodfellow et al. 2015
    compare the two). `clip` cuts pixels to a box. Raises `UsageError` for a bad budget and for half precision.
    """
    check_attacked(x, eps, clip)
    signs = 2.0 * rng.integers(0, 2, x.shape) - 1
    return project(x + eps * like(signs, x), *bounds(x, eps, clip))


@ATTACKS.register("random-signs")
@dataclass(frozen=True, kw_only=True)
class RandomSigns(InputAttack):
    """`random_signs` with its budget; of several draws the strongest counts, for each example by itself."""

    name: ClassVar[str] = "random-signs"

    restarts: int = setting(1, "Random starts; for each example the strongest counts.", at_least=1)
    seed: int = setting(0, "Seed of the random starts.", at_least=0)

    def starts(self, *index: int) -> list[np.random.Generator]:
        return [stream(self.seed, "attack", restart, *index) for restart in range(self.restarts)]

    def perturb(
        self,
        target: Target,
        x: Array,
        y: Array,
        starts: Sequence[np.random.Generator] = (),
        surrogate: Target | None = None,
    ) -> Array:
        draws = (random_signs(x, rng, eps=self.eps, clip=self.clip) for rng in starts or self.starts())
        return strongest(target.least_margin(y), draws)
