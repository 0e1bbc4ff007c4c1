"""What the result of an attack must satisfy before anybody counts it."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float

from ..backend import Params, to_host
from ..errors import NumericalError
from .ball import Box


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
        unit = np.finfo(after.dtype).eps * max(1.0, float(np.abs(after).max(initial=0.0)))
        if change > (radius * (1 + 1e-6) + unit if radius else 0.0):
            raise NumericalError(f"the weights {name} left their box: moved by {change:.9g}, the radius is {radius}")
        if name in eps_weights:
            found[name] = change
    return found
