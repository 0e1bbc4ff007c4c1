from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float

from ..backend import Array, like
from ..errors import UsageError
from ..rng import stream
from ..settings import Box, setting
from ..validation import check_attacked, check_steps
from .ball import Corners, bounds, project, steps_inside
from .base import ATTACKS, InputAttack, Target, direction
from .restarts import strongest
from .sign_step import moved


def pgd(
    gradient: Callable[[Array], Array],
    x: Float[Array, "batch *shape"],
    *,
    eps: float,
    step_size: float,
    steps: int,
    clip: Box | None = None,
) -> Float[Array, "batch *shape"]:
    r"""Projected gradient descent (Madry et al. 2018): steps along the sign of the gradient, kept in the l_inf ball.

    $x_{t+1} = \Pi(x_t + \alpha\,\mathrm{sign}(\nabla_x L(x_t)))$, from x on, with $\Pi$ the projection on the ball of
    radius `eps` around x, cut with the box `clip`. The paper takes 20 steps of 0.005 at eps 0.05.

    - `gradient` maps x to the gradient of the loss L with respect to x, of the same shape.
    - `eps` and `step_size` are in units of pixels in [0, 1].
    - `clip=(0.0, 1.0)` keeps pixels in their range; the default does not.

    Returns the images of the last step. Raises `UsageError` for a budget, step size or number of steps that makes no
    sense, and for half precision.

    >>> import numpy as np
    >>> import refimpl as ri
    >>> gradient = lambda x: np.array([[1.0, -2.0, 0.0]])
    >>> ri.attacks.pgd(gradient, np.array([[0.5, 0.5, 0.5]]), eps=0.25, step_size=0.125, steps=4)
    array([[0.75, 0.25, 0.5 ]])
    """
    check_attacked(x, eps, clip)
    return ascent(gradient, x, bounds(x, eps, clip), step_size, steps)


def ascent(
    gradient: Callable[[Array], Array],
    start: Float[Array, "batch *shape"],
    corners: Corners,
    step_size: float,
    steps: int,
    *,
    overwrite: bool = False,
) -> Float[Array, "batch *shape"]:
    """The steps of `pgd` from anywhere between the corners of the ball; those that stay inside need no projection.

    With `overwrite` each gradient may be overwritten.
    """
    check_steps(steps, step_size)
    inside = steps_inside(start, corners, step_size)
    x_adv = start
    for step in range(steps):
        x_adv = moved(x_adv, gradient(x_adv), step_size, overwrite=overwrite)
        if step >= inside:
            x_adv = project(x_adv, *corners, overwrite=True)
    return x_adv


def random_point(
    rng: np.random.Generator, x: Float[Array, "batch *shape"], eps: float, corners: Corners
) -> Float[Array, "batch *shape"]:
    r"""$x + U(-\epsilon, \epsilon)^n$, drawn on the host, cut to the corners."""
    return project(x + eps * like(rng.uniform(-1, 1, x.shape), x), *corners)


@ATTACKS.register("pgd")
@dataclass(frozen=True, kw_only=True)
class PGD(InputAttack):
    """`pgd` with its budget; of several random starts the strongest counts, for each example by itself."""

    name: ClassVar[str] = "pgd"

    target_class: int | None = setting(
        None, "Aim at this class, 0, 1, ...: lower its loss, where otherwise that of the label is raised.", at_least=0
    )
    steps: int = setting(20, "Number of steps.", at_least=1)
    step_size: float | None = setting(None, "Length of a step.", unit="pixels", usual="eps / 10", at_least=0)
    random_start: bool = setting(False, "Start at a random point of the ball.")
    restarts: int = setting(1, "Random starts; for each example the strongest counts.", at_least=1)
    seed: int = setting(0, "Seed of the random starts.", at_least=0)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.step_size is None:
            object.__setattr__(self, "step_size", self.eps / 10)
        if self.restarts > 1 and not self.random_start:
            raise UsageError("more than one restart needs a random start")

    @property
    def in_stacks(self) -> bool:
        return not self.random_start

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
        gradient, corners = direction(target, y, self.target_class), bounds(x, self.eps, self.clip)

        def attempt(start: Array) -> Array:
            return ascent(gradient, start, corners, self.step_size or 0.0, self.steps, overwrite=True)

        if not self.random_start:
            return attempt(x)
        starting = (random_point(rng, x, self.eps, corners) for rng in starts or self.starts())
        return strongest(target.least_margin(y), map(attempt, starting))
