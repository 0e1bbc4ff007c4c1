import math
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from ..backend import Array, like, namespace, to_host
from ..errors import UsageError
from ..layers.images import Shape
from ..rng import stream
from ..settings import Box, setting
from ..validation import check_attacked
from .ball import bounds, each
from .base import ATTACKS, InputAttack, Target
from .restarts import Attempt, one_by_one

HALVINGS = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)
"""The queries, of 10,000, after which the area of a square is halved."""


Margin = Callable[[Array, np.ndarray], Array]
"""(x, rows) -> the least margin at x of these examples of the batch, (len(rows),)."""


class Draws(NamedTuple):
    """What Square draws on the host for each example: the first stripes, and of each query the place and the signs."""

    stripes: Bool[np.ndarray, "batch channels 1 width"]
    place: Float[np.ndarray, "batch queries 2"]
    signs: Bool[np.ndarray, "batch queries channels"]


def draw(rng: np.random.Generator, batch: int, shape: Shape, queries: int) -> Draws:
    """One example after the other, so that the size of a batch changes no draw."""
    channels, _, width = shape
    parts = np.cumsum([channels * width, 2 * queries])
    numbers = rng.random((batch, parts[-1] + queries * channels), np.float32)
    stripes, place, signs = np.split(numbers, parts, axis=-1)
    return Draws(
        stripes.reshape(batch, channels, 1, width) < 0.5,
        place.reshape(batch, queries, 2),
        signs.reshape(batch, queries, channels) < 0.5,
    )


def side(query: int, queries: int, p: float, shape: Shape) -> int:
    """The side of the square of a query, 1, 2, ..., in pixels: of a fraction p of all, halved at `HALVINGS`."""
    area = p / 2 ** bisect_left(HALVINGS, query * 10_000 // queries) * shape[1] * shape[2]
    return min(max(round(math.sqrt(area)), 1), *shape[1:])


def square(
    margin: Margin,
    x: Float[Array, "batch n"],
    draws: Draws,
    *,
    eps: float,
    p: float = 0.8,
    clip: Box | None = None,
) -> Float[Array, "batch n"]:
    r"""The Square attack (Andriushchenko et al. 2020, arXiv 1912.00049, Algorithms 1 and 2): random search.

    Every pixel is at x + eps or x - eps, cut to the box `clip`. A first query has vertical stripes of random sign; each
    that follows gives a random square one random sign a channel, and is kept where it lowers the margin. The side of
    the square goes from $\sqrt p$ of the image's down to a pixel (`side`). An example is left alone once its margin is
    negative. As in AutoAttack a square may by chance change nothing.

    The authors' program and AutoAttack never place a square at the last row or column that it fits in; the paper and
    this function do. `draws` settles the number of queries. Raises `UsageError` for a bad budget, for half precision,
    and for a fraction p that is not above 0 and at most 1.
    """
    check_attacked(x, eps, clip)
    if not 0 < p <= 1:
        raise UsageError(f"the first squares must take a fraction of the pixels above 0 and at most 1, got {p}")
    xp, (_, channels, _, width) = namespace(x), draws.stripes.shape
    shape, queries = (channels, x.shape[-1] // (channels * width), width), draws.place.shape[1]
    lower, upper = (xp.reshape(corner, (-1, *shape)) for corner in bounds(x, eps, clip))
    low, high, left = lower, upper, np.arange(x.shape[0])
    found = np.zeros((len(left), *shape), bool)  # which pixels are at the upper corner
    state, least = _there(found, x), xp.full_like(x[:, 0], math.inf)
    for query in range(queries):
        if query:
            trial = _with_square(state, draws, left, query, side(query, queries, p, shape))
        else:
            trial = _there(np.broadcast_to(draws.stripes, found.shape), x)
        m = margin(xp.reshape(xp.where(trial, high, low), (len(left), -1)), left)
        better = m < least
        state, least = xp.where(each(better, state), trial, state), xp.where(better, m, least)
        keep = to_host(least) >= 0
        if not keep.all():
            found[left[~keep]] = to_host(state)[~keep]
            left, rows = left[keep], like(np.flatnonzero(keep), x, xp.int64)
            low, high, state, least = (xp.take(a, rows, axis=0) for a in (low, high, state, least))
        if not left.size:
            break
    found[left] = to_host(state)
    return xp.reshape(xp.where(_there(found, x), upper, lower), x.shape)


def _with_square(
    state: Bool[Array, "left channels height width"], draws: Draws, left: np.ndarray, query: int, side: int
) -> Bool[Array, "left channels height width"]:
    """The state with a square of each example set to one sign a channel, at a place uniform among all it fits in."""
    xp = namespace(state)
    inside = []
    for axis, extent in enumerate(state.shape[2:]):
        first = (draws.place[left, query, axis].astype(np.float64) * (extent - side + 1)).astype(np.int64)[:, None]
        at = np.arange(extent)
        inside.append((first <= at) & (at < first + side))
    mask = _there(inside[0], state)[:, None, :, None] & _there(inside[1], state)[:, None, None, :]
    return xp.where(mask, _there(draws.signs[left, query], state)[:, :, None, None], state)


def _there(host: Bool[np.ndarray, "..."], x: Array) -> Bool[Array, "..."]:
    """A host array of truth values where x lives."""
    return like(host, x, namespace(x).bool)


@ATTACKS.register("square")
@dataclass(frozen=True, kw_only=True)
class Square(InputAttack):
    """`square` with its budget; of several searches the strongest counts. Sees logits alone, in the l_inf ball."""

    name: ClassVar[str] = "square"

    queries: int = setting(5000, "Number of queries for each example.", at_least=1)
    p: float = setting(0.8, "Fraction of the pixels in the first squares.", above=0, at_most=1)
    restarts: int = setting(1, "Random starts; for each example the strongest counts.", at_least=1)
    seed: int = setting(0, "Seed of the random starts.", at_least=0)

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
        shape = target.image_shape(math.prod(x.shape[1:]))

        def searching(rng: np.random.Generator) -> Attempt:
            def attempt(x: Float[Array, "some n"], y: Int[Array, "some"]) -> Float[Array, "some n"]:
                def margin(at: Array, rows: np.ndarray) -> Array:
                    return target.least_margin(namespace(y).take(y, like(rows, y), axis=0))(at)

                draws = draw(rng, y.shape[0], shape, self.queries)
                return square(margin, x, draws, eps=self.eps, p=self.p, clip=self.clip)

            return attempt

        return one_by_one(target, x, y, map(searching, starts or self.starts()))
