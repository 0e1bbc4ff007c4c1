"""What the result of an attack must satisfy before anybody counts it."""

import math
from collections.abc import Mapping

import numpy as np
from jaxtyping import Float

from ..backend import Array, Params, fetch, namespace
from ..errors import NumericalError, UsageError
from ..settings import Box
from ..validation import check_budget
from .ball import rows

NORMS = ("inf", "2", "1")


def distance(x: Float[Array, "batch ..."], x_adv: Float[Array, "batch ..."], norm: str) -> Float[Array, "batch"]:
    """How far each example was moved, in the norm "inf", "2" or "1" over all axes but the first; float64.

    Raises `UsageError` for another norm, and for arrays of different shapes.
    """
    if norm not in NORMS:
        raise UsageError(f"unknown norm {norm!r}: choose one of {', '.join(NORMS)}")
    if tuple(x.shape) != tuple(x_adv.shape) or len(x.shape) < 2:
        raise UsageError(f"expected two batches of one shape, got {tuple(x.shape)} and {tuple(x_adv.shape)}")
    xp = namespace(x)
    delta = rows(xp.astype(x_adv, xp.float64) - xp.astype(x, xp.float64))
    if norm == "2":
        return xp.sqrt(xp.sum(delta * delta, axis=1))
    return xp.max(xp.abs(delta), axis=1) if norm == "inf" else xp.sum(xp.abs(delta), axis=1)


def compared(
    x: Float[Array, "batch ..."], x_adv: Float[Array, "batch ..."], norm: str
) -> dict[str, Float[Array, "batch"]]:
    """What `check` asks of each example, float64, left on the device. Raises `UsageError` as `distance` does."""
    xp = namespace(x)
    with np.errstate(invalid="ignore"):  # inf - inf, of what is refused for not being finite
        moved = distance(x, x_adv, norm)
    found = {
        "distance": moved,
        "clean_finite": xp.all(xp.isfinite(rows(x)), axis=1),
        "finite": xp.all(xp.isfinite(rows(x_adv)), axis=1),
        "least": xp.min(rows(x_adv), axis=1),
        "largest": xp.max(rows(x_adv), axis=1),
    }
    return {name: xp.astype(one, xp.float64) for name, one in found.items()}


def check(
    found: Mapping[str, Float[np.ndarray, "batch"]],
    x_adv: Float[Array, "batch ..."],
    *,
    eps: float,
    norm: str,
    clip: Box | None,
) -> None:
    """`verify` of what `compared` found, now on the host; of `x_adv` only shape and dtype are looked at."""
    check_budget(eps, clip)
    for finite, error, what in (
        ("clean_finite", UsageError, "clean examples are not finite: from there no distance can be measured"),
        ("finite", NumericalError, "adversarial examples are not finite"),
    ):
        if not found[finite].all():
            raise error(f"{(found[finite] == 0).sum()} {what}")
    least, largest = found["least"].min(initial=math.inf), found["largest"].max(initial=-math.inf)
    unit = float(namespace(x_adv).finfo(x_adv.dtype).eps) * max(1.0, -least, largest)
    allowed = eps * (1 + 1e-6) + unit * math.prod(x_adv.shape[1:]) ** (1 / float(norm))
    moved = found["distance"]
    if (moved > allowed).any():
        worst = moved.max()
        raise NumericalError(
            f"{(moved > allowed).sum()} adversarial examples left the l_{norm} ball: moved by {worst:.9g}, eps is {eps}"
        )
    if clip is not None and (least < clip[0] or largest > clip[1]):
        raise NumericalError(f"adversarial pixels left the box {clip}: {least:.9g} to {largest:.9g}")


def verify(
    x: Float[Array, "batch ..."],
    x_adv: Float[Array, "batch ..."],
    *,
    eps: float,
    norm: str = "inf",
    clip: Box | None = None,
) -> None:
    """Raise `NumericalError` unless each example of `x_adv` is finite, within `eps` of that of `x`, and in the box.

    Distances are over all axes but the first. Waits for the device, once. Raises `UsageError` for a budget, a norm or a
    box that means nothing, and for clean examples that are not finite.

    The one tolerance is rounding: writing $x + \\eta$ moves each pixel by half a unit in the last place, and eta itself
    carries a few; hence eps (1 + 1e-6) plus that unit in the norm at hand.
    """
    check(fetch(compared(x, x_adv, norm)), x_adv, eps=eps, norm=norm, clip=clip)


def verify_weights(params: Params, moved: Params, eps_weights: Mapping[str, float]) -> dict[str, float]:
    """How far the entries of each layer were moved at most; what has no radius must have kept its bits.

    Raises `NumericalError` unless every entry is finite and within its layer's radius, up to rounding as in `verify`.
    Waits for the device, once.
    """
    moves = fetch({name: _moved(p, moved[name]) for name, p in params.items()})
    found = {}
    for name, of_layer in moves.items():
        if of_layer["not_finite"]:
            raise NumericalError(f"{of_layer['not_finite']:.0f} perturbed weights of {name} are not finite")
        radius, change = eps_weights.get(name, 0.0), of_layer["change"]
        unit = float(namespace(moved[name]).finfo(moved[name].dtype).eps) * max(1.0, of_layer["largest"])
        if change > (radius * (1 + 1e-6) + unit if radius else 0.0):
            raise NumericalError(f"the weights {name} left their box: moved by {change:.9g}, the radius is {radius}")
        if name in eps_weights:
            found[name] = change
    return found


def _moved(before: Float[Array, "..."], after: Float[Array, "..."]) -> dict[str, Float[Array, ""]]:
    """Of an array of weights, float64, left on the device."""
    xp = namespace(before)
    before, finite = xp.astype(before, xp.float64), xp.isfinite(after)
    after = xp.astype(after, xp.float64)
    not_finite = xp.sum(xp.astype(~finite, xp.float64))
    return {
        "not_finite": not_finite, "change": xp.max(xp.abs(after - before)), "largest": xp.max(xp.abs(after)),
    }  # fmt: skip
