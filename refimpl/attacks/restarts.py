from collections.abc import Callable, Iterable

import numpy as np
from jaxtyping import Bool, Float, Int

from ..backend import Array, like, namespace, to_host
from .ball import each
from .base import Target

Attempt = Callable[[Float[Array, "some *shape"], Int[Array, "some"]], Float[Array, "some *shape"]]
"""Adversarial examples for some of a batch, and for their labels."""


def strongest(
    margin: Callable[[Array], Array], attempts: Iterable[Float[Array, "batch *shape"]]
) -> Float[Array, "batch *shape"]:
    """Of several attempts, for each example by itself the one that leaves the smallest margin, the first of equals.

    `margin` maps a batch to one number an example, negative where it is fooled. Chosen example by example, one
    more attempt never fools fewer (an average over the batch could).
    """
    remaining = iter(attempts)
    best = next(remaining)
    xp, smallest = namespace(best), None
    for x_adv in remaining:
        smallest = margin(best) if smallest is None else smallest
        m = margin(x_adv)
        better = m < smallest
        best = xp.where(each(better, best), x_adv, best)
        smallest = xp.where(better, m, smallest)
    return best


def one_by_one(
    target: Target, x: Float[Array, "batch *shape"], y: Int[Array, "batch"], attempts: Iterable[Attempt]
) -> Float[Array, "batch *shape"]:
    """What `strongest` chooses, but that an example once fooled is left out of the attempts that follow."""
    xp, (first, *others) = namespace(x), attempts
    best, margin = first(x, y), target.least_margin(y)
    if not others:
        return best
    smallest = to_host(margin(best)).copy()
    for attempt in others:
        left = np.flatnonzero(smallest >= 0)
        if not left.size:
            break
        rows = like(left, y)
        at, labels = xp.take(x, rows, axis=0), xp.take(y, rows, axis=0)
        tried = attempt(at, labels)
        margins = to_host(target.least_margin(labels)(tried))
        better = margins < smallest[left]
        smallest[left] = np.where(better, margins, smallest[left])
        place, chosen = np.zeros(len(smallest), int), np.zeros(len(smallest), int)
        place[left], chosen[left] = np.arange(len(left)), better
        best = xp.where(each(like(chosen, y) > 0, x), xp.take(tried, like(place, y), axis=0), best)
    return best


def replaced(
    old: Float[Array, "batch *shape"], new: Float[Array, "batch *shape"], rows: Bool[Array, "batch"]
) -> Float[Array, "batch *shape"]:
    """`old` with the examples `rows` of `new`. On NumPy `old`, made by `owned`, is changed: the rest needs no copy."""
    if isinstance(old, np.ndarray):
        old[rows] = new[rows]
        return old
    return namespace(old).where(each(rows, old), new, old)


def owned(x: Float[Array, "batch *shape"]) -> Float[Array, "batch *shape"]:
    """`x`, or where `replaced` would change it a copy."""
    return x.copy() if isinstance(x, np.ndarray) else x
