import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float

from ..backend import Array, namespace
from ..errors import UsageError
from ..layers.loss import one_hot
from ..settings import Box, setting
from ..validation import check_attacked, check_steps
from .ball import unit
from .base import ATTACKS, InputAttack, Target


def gnm(
    margins: Callable[[Array], tuple[Array, Array]],
    x: Float[Array, "batch *shape"],
    *,
    eps: float,
    steps: int = 5,
    norm: str = "inf",
    clip: Box | None = None,
) -> Float[Array, "batch *shape"]:
    r"""Gradient-based norm-constrained method (Balda, Behboodi and Mathar 2018): `steps` of length eps/steps each.

    An example of clean class k is fooled when a margin $M_l = z_k - z_l$ turns negative. Linearised, the best step
    of length h in the norm p lowers $M_l$ by $h \|\nabla M_l\|_q$, with q the dual exponent. Each step therefore
    aims at $l^* = \arg\min_l M_l - h \|\nabla M_l\|_q$, chosen anew, and goes h along the direction that
    attains the dual norm: $-\mathrm{sign}(g)$ for p = inf, $-g / \|g\|_2$ for 2, and minus the sign of the largest
    entry for 1 (the first of equals). The steps add up to at most eps by the triangle inequality, so there is no
    projection; they can cancel, so the budget need not be used up.

    - `margins` maps x to $M$, of shape (batch, K-1), and its gradients, of shape (batch, K-1, *shape).
    - `eps` is in units of pixels in [0, 1], measured in `norm`: "inf", "2" or "1".
    - `clip=(0.0, 1.0)` keeps pixels in their range; the default does not.

    Raises `UsageError` for an unknown norm, a bad budget or number of steps, and half precision.

    >>> import numpy as np
    >>> import refimpl as ri
    >>> margins = lambda x: (x[:, :1], np.array([[[1.0, 0.0]]]))  # one other class, its margin the first pixel
    >>> ri.attacks.gnm(margins, np.array([[0.5, 0.5]]), eps=0.25, steps=1)
    array([[0.25, 0.5 ]])
    """
    check_attacked(x, eps, clip)
    check_steps(steps)
    if norm not in DUAL_NORMS:
        raise UsageError(f"unknown norm {norm!r}: choose one of {', '.join(DUAL_NORMS)}")
    dual_norm, direction = DUAL_NORMS[norm]
    xp = namespace(x)
    h = eps / steps
    eta = xp.zeros_like(x)
    for _ in range(steps):
        M, dM = margins(x + eta)
        dM = xp.reshape(dM, (*M.shape, math.prod(x.shape[1:])))
        target = xp.argmin(M - h * dual_norm(dM), axis=-1)
        g = xp.take_along_axis(dM, target[:, None, None], axis=-2)[:, 0, :]
        eta = eta - xp.reshape(h * direction(g), x.shape)
        if clip is not None:
            eta = xp.clip(x + eta, *clip) - x
    return x + eta if clip is None else xp.clip(x + eta, *clip)


def _unit_l1(g: Float[Array, "batch n"]) -> Float[Array, "batch n"]:
    xp = namespace(g)
    return one_hot(xp.argmax(xp.abs(g), axis=-1), g.shape[-1], g.dtype) * xp.sign(g)


def _l2(g: Float[Array, "... n"]) -> Float[Array, "..."]:
    xp = namespace(g)
    return xp.sqrt(xp.sum(g * g, axis=-1))


# p: (the dual norm ‖·‖_q, the direction d with ‖d‖_p = 1 and ⟨g, d⟩ = ‖g‖_q)
DUAL_NORMS: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "inf": (lambda g: namespace(g).sum(namespace(g).abs(g), axis=-1), lambda g: namespace(g).sign(g)),
    "2": (_l2, unit),
    "1": (lambda g: namespace(g).max(namespace(g).abs(g), axis=-1), _unit_l1),
}


@ATTACKS.register("gnm")
@dataclass(frozen=True, kw_only=True)
class GNM(InputAttack):
    """`gnm` with its budget."""

    name: ClassVar[str] = "gnm"

    eps: float = setting(0.05, "Budget.", unit="pixels in [0, 1]", at_least=0)
    steps: int = setting(5, "Number of steps.", at_least=1)
    norm: str = setting("inf", "Norm of the budget.", choices=tuple(DUAL_NORMS))

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
        return gnm(target.margins(y), x, eps=self.eps, steps=self.steps, norm=self.norm, clip=self.clip)
