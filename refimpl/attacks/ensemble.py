from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import ClassVar

import numpy as np
from jaxtyping import Float, Int

from ..backend import Array
from ..rng import stream
from ..settings import setting
from .apgd import APGD
from .base import ATTACKS, InputAttack, Target
from .fmn import FMN
from .norm_ball import BALLS
from .restarts import Attempt, one_by_one
from .square import Square

LEAST_CLASSES = 4
"""Of the targeted DLR loss; where there are fewer, the cross-entropy is taken."""


@ATTACKS.register("ensemble")
@dataclass(frozen=True, kw_only=True)
class Ensemble(InputAttack):
    """Four attacks, one after the other, each on the inputs that none before it has fooled.

    The recipe of AutoAttack (Croce and Hein 2020, arXiv 2003.01690): APGD with the cross-entropy, APGD aimed at other
    classes with the DLR loss, an attack that seeks the smallest perturbation, and Square, which sees no gradient. The
    third is FMN here, FAB there; Square takes part in the l_inf ball alone.
    """

    name: ClassVar[str] = "ensemble"

    eps: float = setting(0.05, "Budget.", unit="pixels in [0, 1]", at_least=0)
    norm: str = setting("inf", "Norm of the budget.", choices=tuple(BALLS))
    steps: int = setting(100, "Number of steps.", at_least=1)
    queries: int = setting(5000, "Number of queries for each example.", at_least=1)
    seed: int = setting(0, "Seed of the random starts.", at_least=0)

    def members(self, classes: int = LEAST_CLASSES) -> tuple[InputAttack, ...]:
        """The attacks in their order, on a net of so many classes."""
        loss = "dlr" if classes >= LEAST_CLASSES else "ce"
        first = APGD(eps=self.eps, clip=self.clip, norm=self.norm, steps=self.steps, seed=self.seed)
        second = replace(first, loss=loss, targeted=True)
        third = FMN(eps=self.eps, clip=self.clip, norm=self.norm, steps=self.steps)
        if self.norm != "inf":
            return first, second, third
        return first, second, third, Square(eps=self.eps, clip=self.clip, queries=self.queries, seed=self.seed)

    def starts(self, *index: int) -> list[np.random.Generator]:
        attempts = sum(len(member.starts()) for member in self.members())
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
        drawn, members = iter(starts or self.starts()), self.members(target.logits(x[:1, ...]).shape[-1])
        mine = [list(islice(drawn, len(member.starts()))) for member in members]
        return one_by_one(target, x, y, (_attempt(target, *one) for one in zip(members, mine, strict=True)))


def _attempt(target: Target, member: InputAttack, starts: list[np.random.Generator]) -> Attempt:
    def attempt(x: Float[Array, "some n"], y: Int[Array, "some"]) -> Float[Array, "some n"]:
        return member.perturb(target, x, y, starts)

    return attempt
