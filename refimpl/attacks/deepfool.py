import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Bool, Float, Int

from ..backend import Array, like, namespace, to_host
from ..errors import UsageError
from ..settings import Box, setting
from ..validation import check_attacked, check_steps
from .base import ATTACKS, InputAttack, Target
from .gnm import DUAL_NORMS
from .norm_ball import BALLS, within

Margins = Callable[[Array, np.ndarray], tuple[Array, Array]]
"""(x, rows) -> the margins at x of these examples of the batch, and their gradients, as `gnm` takes them."""

TINY = 1e-8
"""Added to the dual norm of a gradient, which may be zero."""
STABLE = 1e-4
"""Added to the length of each step by the authors' program, so that a step to the boundary crosses it."""


def deepfool(
    margins: Margins,
    x: Float[Array, "batch *shape"],
    *,
    steps: int = 50,
    overshoot: float = 0.02,
    norm: str = "2",
    clip: Box | None = None,
) -> Float[Array, "batch *shape"]:
    r"""DeepFool (Moosavi-Dezfooli, Fawzi and Frossard 2016, arXiv 1511.04599): small perturbations that fool.

    Each step goes to the nearest boundary of the linearised net. With the margins $M_l$ of the clean class, the
    boundary to class l is $|M_l| / \|\nabla M_l\|_q$ away, q the dual exponent of the norm p, and the step is that far
    along the direction that lowers $M_l$ fastest: for $\ell_2$ the gradient, for $\ell_\infty$ its sign. What is tried
    is 1 + `overshoot` times the sum of the steps; an example is left as it is once a margin there is negative.

    As in the authors' program a step is longer by 1e-4, and the overshoot counts when it is asked whether an example is
    fooled, which in the paper it does at the end alone. Pixels are cut to `clip`. What is not fooled after `steps` is
    moved all the same. Raises `UsageError` for an unknown norm, an overshoot below 0, a bad number of steps, and for
    half precision.
    """
    check_attacked(x, 0.0, clip)
    check_steps(steps)
    if norm not in BALLS:
        raise UsageError(f"unknown norm {norm!r}: choose one of {', '.join(BALLS)}")
    if not (math.isfinite(overshoot) and overshoot >= 0):
        raise UsageError(f"the overshoot must be finite and at least 0, got {overshoot}")
    xp, (dual_norm, direction) = namespace(x), DUAL_NORMS[norm]
    left, start, x_adv, total = np.arange(x.shape[0]), x, x, xp.zeros_like(x)
    done: list[tuple[np.ndarray, Array]] = []
    for _ in range(steps):
        M, dM = margins(x_adv, left)
        keep = to_host(xp.min(M, axis=-1)) >= 0
        if not keep.all():
            done.append((left[~keep], xp.take(x_adv, _rows(~keep, x), axis=0)))
            left = left[keep]
            if not left.size:
                break
            start, total, M, dM = (xp.take(a, _rows(keep, x), axis=0) for a in (start, total, M, dM))
        dM = xp.reshape(dM, (*M.shape, math.prod(x.shape[1:])))
        away = xp.abs(M) / (dual_norm(dM) + TINY)
        nearest = xp.argmin(away, axis=-1)[:, None]
        g = xp.take_along_axis(dM, nearest[:, :, None], axis=-2)[:, 0, :]
        distance = xp.take_along_axis(away, nearest, axis=-1) + STABLE
        total = total - xp.reshape(distance * direction(g), total.shape)
        x_adv = start + (1 + overshoot) * total
        x_adv = x_adv if clip is None else xp.clip(x_adv, *clip)
    parts = [*done, (left, x_adv)] if left.size else done
    order = np.argsort(np.concatenate([rows for rows, _ in parts]))
    return xp.take(xp.concat([moved for _, moved in parts]), like(order, x, xp.int64), axis=0)


def _rows(chosen: Bool[np.ndarray, "batch"], x: Array) -> Int[Array, "some"]:
    return like(np.flatnonzero(chosen), x, namespace(x).int64)


@ATTACKS.register("deepfool")
@dataclass(frozen=True, kw_only=True)
class DeepFool(InputAttack):
    """`deepfool`; an example whose perturbation is longer than `eps` is given back as it was."""

    name: ClassVar[str] = "deepfool"
    smallest: ClassVar[bool] = True

    eps: float = setting(1.0, "Longer perturbations do not count.", unit="pixels in [0, 1]", at_least=0)
    norm: str = setting("inf", "Norm of the budget.", choices=tuple(BALLS))
    steps: int = setting(50, "Number of steps.", at_least=1)
    overshoot: float = setting(
        0.02, "How far to go beyond the boundary, as a fraction of the perturbation.", at_least=0
    )

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
        def margins(at: Array, rows: np.ndarray) -> tuple[Array, Array]:
            return target.margins(namespace(y).take(y, like(rows, y), axis=0))(at)

        x_adv = deepfool(margins, x, steps=self.steps, overshoot=self.overshoot, norm=self.norm, clip=self.clip)
        return within(x, x_adv, self.eps, self.norm)
