"""What the result of an attack must satisfy before anybody counts it."""

import math
from collections.abc import Mapping

import numpy as np
from jaxtyping import Float

from ..backend import Params, to_host
from ..errors import NumericalError, UsageError
from ..settings import Box
from ..validation import check_budget

NORMS = ("inf", "2", "1")


def distance(x: Float[np.ndarray, "batch ..."], x_adv: Float[np.ndarray, "batch ..."], norm: str) -> np.ndarray:
    """How far each example was moved, in the norm "inf", "2" or "1" over all axes but the first; float64, (batch,).

    Raises `UsageError` for another norm, and for arrays of different shapes.
    """
    if norm not in NORMS:
        raise UsageError(f"unknown norm {norm!r}: choose one of {', '.join(NORMS)}")
    if x.shape != x_adv.shape or x.ndim < 2:
        raise UsageError(f"expected two batches of one shape, got {x.shape} and {x_adv.shape}")
    delta = x_adv.astype(np.float64) - x.astype(np.float64)
    return np.linalg.norm(delta.reshape(len(delta), math.prod(x.shape[1:])), ord=float(norm), axis=1)


def verify(
    x: Float[np.ndarray, "batch ..."],
    x_adv: Float[np.ndarray, "batch ..."],
    *,
    eps: float,
    norm: str = "inf",
    clip: Box | None = None,
) -> None:
    """Raise `NumericalError` unless each example of `x_adv` is finite, within `eps` of that of `x`, and in the box.

    Distances are over all axes but the first. Raises `UsageError` for a budget, a norm or a box that means nothing, and
    for clean examples that are not finite.

    The one tolerance is rounding: writing $x + \\eta$ moves each pixel by half a unit in the last place, and eta itself
    carries a few; hence eps (1 + 1e-6) plus that unit in the norm at hand.
    """
    check_budget(eps, clip)
    if not np.isfinite(x).all():
        raise UsageError(f"{_not_finite(x)} clean examples are not finite: from there no distance can be measured")
    if not np.isfinite(x_adv).all():
        raise NumericalError(f"{_not_finite(x_adv)} adversarial examples are not finite")
    moved = distance(x, x_adv, norm)
    unit = np.finfo(x_adv.dtype).eps * float(np.abs(x_adv).max(initial=1.0))
    allowed = eps * (1 + 1e-6) + unit * math.prod(x.shape[1:]) ** (1 / float(norm))
    if (moved > allowed).any():
        worst = moved.max()
        raise NumericalError(
            f"{(moved > allowed).sum()} adversarial examples left the l_{norm} ball: moved by {worst:.9g}, eps is {eps}"
        )
    if clip is not None and ((x_adv < clip[0]) | (x_adv > clip[1])).any():
        raise NumericalError(f"adversarial pixels left the box {clip}: {x_adv.min():.9g} to {x_adv.max():.9g}")


def _not_finite(x: Float[np.ndarray, "batch ..."]) -> int:
    return int((~np.isfinite(x.reshape(len(x), -1)).all(axis=-1)).sum())


def verify_weights(params: Params, moved: Params, eps_weights: Mapping[str, float]) -> dict[str, float]:
    """How far the entries of each layer were moved at most; what has no radius must have kept its bits.

    Raises `NumericalError` unless every entry is finite and within its layer's radius, up to rounding as in `verify`.
    """
    found = {}
    for name, p in params.items():
        before, after = to_host(p), to_host(moved[name])
        if not np.isfinite(after).all():
            raise NumericalError(f"{(~np.isfinite(after)).sum()} perturbed weights of {name} are not finite")
        radius = eps_weights.get(name, 0.0)
        change = float(np.abs(after.astype(np.float64) - before.astype(np.float64)).max(initial=0.0))
        unit = np.finfo(after.dtype).eps * float(np.abs(after).max(initial=1.0))
        if change > (radius * (1 + 1e-6) + unit if radius else 0.0):
            raise NumericalError(f"the weights {name} left their box: moved by {change:.9g}, the radius is {radius}")
        if name in eps_weights:
            found[name] = change
    return found
