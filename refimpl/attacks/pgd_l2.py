from collections.abc import Callable

from jaxtyping import Float

from ..backend import Array, namespace
from ..validation import check_budget, check_steps
from .ball import Box, length, unit


def pgd_l2(
    gradient: Callable[[Array], Array],
    x: Float[Array, "batch n"],
    *,
    eps: float,
    step_size: float,
    steps: int,
    clip: Box | None = None,
) -> Float[Array, "batch n"]:
    r"""Projected gradient ascent in the $\ell_2$ ball (Madry et al. 2018): steps $\alpha\,g / \|g\|_2$ from x.

    After each step $\eta$ is shortened to length `eps` where it is longer, then pixels are cut to the box `clip`,
    which shortens it further. Raises `UsageError` for a budget, step size or number of steps that makes no sense.
    """
    check_budget(eps)
    check_steps(steps, step_size)
    xp = namespace(x)
    eta = xp.zeros_like(x)
    for _ in range(steps):
        eta = eta + step_size * unit(gradient(x + eta))
        eta = xp.where(length(eta) > eps, eps * unit(eta), eta)
        if clip is not None:
            eta = xp.clip(x + eta, *clip) - x
    return x + eta if clip is None else xp.clip(x + eta, *clip)
