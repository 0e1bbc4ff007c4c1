"""What every attack refuses before it starts, and what its result must satisfy before anybody counts it."""

import math

import numpy as np
from jaxtyping import Float

from ..errors import NumericalError, UsageError
from ..projections import Box


def check_budget(eps: float) -> None:
    if not (math.isfinite(eps) and eps >= 0):
        raise UsageError(f"eps must be finite and at least 0, got {eps}")


def check_steps(steps: int, step_size: float = 0.0) -> None:
    if steps < 1:
        raise UsageError(f"an attack needs at least one step, got {steps}")
    if not (math.isfinite(step_size) and step_size >= 0):
        raise UsageError(f"the step size must be finite and at least 0, got {step_size}")


def distance(x: Float[np.ndarray, "batch n"], x_adv: Float[np.ndarray, "batch n"], norm: str) -> np.ndarray:
    """How far each example was moved, in the norm "inf", "2" or "1"; float64, shape (batch,)."""
    delta = x_adv.astype(np.float64) - x.astype(np.float64)
    return np.linalg.norm(delta, ord=float(norm), axis=-1)


def verify(
    x: Float[np.ndarray, "batch n"],
    x_adv: Float[np.ndarray, "batch n"],
    *,
    eps: float,
    norm: str = "inf",
    clip: Box | None = None,
) -> None:
    """Raise `NumericalError` unless every row of `x_adv` is finite, within `eps` of its row of `x`, and in the box.

    The one tolerance is rounding: writing $x + \\eta$ moves each pixel by half a unit in the last place, and
    eta itself carries a few; hence eps (1 + 1e-6) plus that unit in the norm at hand.
    """
    if not np.isfinite(x_adv).all():
        raise NumericalError(f"{(~np.isfinite(x_adv).all(axis=-1)).sum()} adversarial examples are not finite")
    unit = np.finfo(x_adv.dtype).eps * max(1.0, float(np.abs(x_adv).max(initial=0.0)))
    allowed = eps * (1 + 1e-6) + unit * x.shape[-1] ** (1 / float(norm))
    moved = distance(x, x_adv, norm)
    if (moved > allowed).any():
        worst = moved.max()
        raise NumericalError(
            f"{(moved > allowed).sum()} adversarial examples left the l_{norm} ball: moved by {worst:.9g}, eps is {eps}"
        )
    if clip is not None and ((x_adv < clip[0]) | (x_adv > clip[1])).any():
        raise NumericalError(f"adversarial pixels left the box {clip}: {x_adv.min():.9g} to {x_adv.max():.9g}")
