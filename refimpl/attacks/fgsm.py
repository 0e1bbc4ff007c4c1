from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float

from ..backend import Array
from ..settings import Box, setting
from ..validation import check_attacked
from .ball import bounds
from .base import ATTACKS, InputAttack, Target, direction
from .sign_step import sign_step


def fgsm(
    gradient: Callable[[Array], Array], x: Float[Array, "batch *shape"], *, eps: float, clip: Box | None = None
) -> Float[Array, "batch *shape"]:
    r"""Fast gradient sign method (Goodfellow et al. 2015): $x' = x + \epsilon\,\mathrm{sign}(\nabla_x L)$.

    Of all $\|\eta\|_\infty \le \epsilon$ this $\eta$ raises the linearised loss most, by
    $\epsilon \|\nabla_x L\|_1$; sign(0) = 0.

    - `gradient` maps x to the gradient of the loss L with respect to x, of the same shape;
      minus that of the loss of another class aims at that class.
    - `eps` is in units of pixels in [0, 1].
    - `clip=(0.0, 1.0)` keeps pixels in their range; the default does not, as the paper does not say so: an assumption.

    Raises `UsageError` for a negative or non-finite `eps`, an empty box, and half precision.

    >>> import numpy as np
    >>> import refimpl as ri
    >>> gradient = lambda x: np.array([[1.0, -2.0, 0.0]])
    >>> ri.attacks.fgsm(gradient, np.array([[0.5, 0.5, 0.5]]), eps=0.25)
    array([[0.75, 0.25, 0.5 ]])
    """
    check_attacked(x, eps, clip)
    return sign_step(x, gradient(x), eps, *bounds(x, eps, clip))


@ATTACKS.register("fgsm")
@dataclass(frozen=True, kw_only=True)
class FGSM(InputAttack):
    """`fgsm` with its budget."""

    name: ClassVar[str] = "fgsm"

    target_class: int | None = setting(
        None, "Aim at this class, 0, 1, ...: lower its loss, where otherwise that of the label is raised.", at_least=0
    )

    @property
    def in_stacks(self) -> bool:
        return True

    def perturb(
        self,
        target: Target,
        x: Array,
        y: Array,
        starts: Sequence[np.random.Generator] = (),
        surrogate: Target | None = None,
    ) -> Array:
        return fgsm(direction(target, y, self.target_class), x, eps=self.eps, clip=self.clip)
