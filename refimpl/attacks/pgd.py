from collections.abc import Callable

import numpy as np
from jaxtyping import Float

from ..backend import Array, like
from ..validation import check_budget, check_steps
from .ball import Box, ascend, bounds, project


def pgd(
    gradient: Callable[[Array], Array],
    x: Float[Array, "batch n"],
    *,
    eps: float,
    step_size: float,
    steps: int,
    clip: Box | None = None,
    random_start: np.random.Generator | None = None,
) -> Float[Array, "batch n"]:
    r"""Projected gradient ascent in the $\ell_\infty$ ball (Madry et al. 2018).

    $x_{t+1} = \Pi\left(x_t + \alpha\,\mathrm{sign}(\nabla_x L(x_t))\right)$ with $\Pi$ the projection on the ball
    of radius `eps` around x, cut with the box `clip`. The paper takes $\alpha = 0.005$ and 20 steps at $\epsilon =
    0.05$. It starts at x, or, given a generator, at $x + U(-\epsilon, \epsilon)^n$, drawn on the host. Raises
    `UsageError` for a budget, step size or number of steps that makes no sense.
    """
    check_budget(eps)
    check_steps(steps, step_size)
    lower, upper = bounds(x, eps, clip)
    x_adv = x
    if random_start is not None:
        x_adv = project(x + eps * like(random_start.uniform(-1, 1, x.shape), x), lower, upper)
    for _ in range(steps):
        x_adv = ascend(x_adv, gradient(x_adv), step_size, lower, upper)
    return x_adv
