from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float

from ..backend import Array, namespace
from ..settings import setting
from ..validation import check_attacked
from .base import ATTACKS, InputAttack, Perturb, Target
from .losses import cross_entropy
from .norm_ball import BALLS, ball

Batch = tuple[Array, Array]
"""Inputs, (batch, n), and their labels; the size may differ from batch to batch."""

CAP = 9.0
"""The cross-entropy, in nats, above which an example no longer counts, as in the paper."""


def universal(target: Target, batches: Sequence[Batch], attack: "Universal") -> Float[Array, "1 n"]:
    r"""One perturbation for all inputs, by ascent of their mean loss (Shafahi et al. 2020, arXiv 1811.11304).

    $$v \leftarrow \Pi\left(v + \tfrac{\epsilon}{10}\, s\left(\sum_i \nabla_x \min(L(x_i + v, y_i), 9)\right)\right)$$

    from v = 0, with the projection $\Pi$ on the ball of radius eps and s the sign, in the $\ell_2$ ball division by the
    norm. The cap keeps the few inputs of greatest loss from deciding. Universal perturbations are those of
    Moosavi-Dezfooli et al. (2017, arXiv 1610.08401), who sum steps of DeepFool, input by input; this form of the search
    needs one gradient a step. Each step is on all inputs, whatever batches they come in. Where pixels are cut to a box,
    the cut moves less than v, and differs from input to input.
    """
    x, _ = batches[0]
    check_attacked(x, attack.eps, attack.clip)
    at = [(x, target.value_and_grad(cross_entropy, y)) for x, y in batches]
    around = ball(namespace(x).zeros_like(x[:1, ...]), attack.eps, attack.norm)
    v, xp = around.x, namespace(x)
    length = xp.full_like(v[:, 0], attack.eps / 10)
    for _ in range(attack.steps):
        total = xp.zeros_like(v)
        for x, value_and_grad in at:
            moved = x + v
            now = value_and_grad(moved if attack.clip is None else xp.clip(moved, *attack.clip))
            counted = xp.astype(now.value < CAP, v.dtype)
            total = total + xp.reshape(counted @ now.gradient, v.shape)
        v = around.step(v, total, length)
    return v


@ATTACKS.register("universal")
@dataclass(frozen=True, kw_only=True)
class Universal(InputAttack):
    """`universal` with its budget: the perturbation of a batch, or of all inputs that are evaluated together."""

    name: ClassVar[str] = "universal"
    prepares: ClassVar[bool] = True

    eps: float = setting(0.05, "Budget.", unit="pixels in [0, 1]", at_least=0)
    norm: str = setting("inf", "Norm of the budget.", choices=tuple(BALLS))
    steps: int = setting(50, "Number of steps.", at_least=1)

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
        return self.prepared(target, [(x, y)])(target, x, y)

    def prepared(self, target: Target, batches: Sequence[Batch]) -> Perturb:
        v = universal(target, batches, self)

        def perturb(
            target: Target,
            x: Array,
            y: Array,
            starts: Sequence[np.random.Generator] = (),
            surrogate: Target | None = None,
        ) -> Array:
            return x + v if self.clip is None else namespace(x).clip(x + v, *self.clip)

        return perturb
