"""Perturbations of low rank: their factors, truncation, and ranks as fractions."""

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from ..backend import Array, like, namespace
from ..errors import UsageError
from ..layers.images import Shape
from .ball import unit

Rank = int | float
"""A number of singular values, or a fraction of the full rank."""


class LowRankPerturbation(NamedTuple):
    r"""$\delta_c = U_c V_c$ for each channel c of each image: at most as many singular values as U has columns."""

    U: Float[Array, "batch channels height rank"]
    V: Float[Array, "batch channels rank width"]

    def product(self) -> Float[Array, "batch channels height width"]:
        return self.U @ self.V


def number_of(rank: Rank, shape: Shape) -> int:
    """The rank as a number, a fraction rounded to the nearest. Raises `UsageError` unless from 1 to the full rank."""
    full = min(shape[1:])
    number = rank if isinstance(rank, int) else round(rank * full)
    if not 1 <= number <= full:
        raise UsageError(f"the rank must be from 1 to {full}, the image's full rank, got {number}")
    return number


def random_factors(
    rng: np.random.Generator, x: Float[Array, "batch ..."], shape: Shape, rank: int
) -> LowRankPerturbation:
    """The start of low-rank adapters: U normal, of length 1 for each image, drawn on the host; V zero."""
    channels, height, width = _checked(x, shape, rank)
    batch = x.shape[0]
    U = unit(like(rng.standard_normal((batch, channels, height, rank)), x))
    return LowRankPerturbation(U, like(np.zeros((batch, channels, rank, width)), x))


def truncated_factors(eta: Float[Array, "batch ..."], shape: Shape, rank: int) -> LowRankPerturbation:
    r"""The best approximation of rank `rank` of each channel: $U = A\sqrt\Sigma$, $V = \sqrt\Sigma B^\top$.

    With $A \Sigma B^\top$ the truncated singular value decomposition; nan where `eta` is not finite, which an SVD would
    refuse. Of one PGD step it is the paper's warm start, of another net's gradient its transferred one.
    """
    _checked(eta, shape, rank)
    xp = namespace(eta)
    finite = xp.all(xp.isfinite(eta))
    A, s, Bt = xp.linalg.svd(xp.reshape(xp.where(finite, eta, xp.zeros_like(eta)), (-1, *shape)), full_matrices=False)
    root = xp.where(finite, xp.sqrt(s[..., :rank]), xp.nan)
    return LowRankPerturbation(A[..., :rank] * root[..., None, :], root[..., :, None] * Bt[..., :rank, :])


def best_approximation(eta: Float[Array, "batch *pixels"], shape: Shape, rank: int) -> Float[Array, "batch *pixels"]:
    """Each channel replaced by its best approximation of rank `rank`: no longer than it was."""
    return namespace(eta).reshape(truncated_factors(eta, shape, rank).product(), eta.shape)


def _checked(x: Float[Array, "batch ..."], shape: Shape, rank: int) -> Shape:
    if math.prod(shape) != math.prod(x.shape[1:]):
        raise UsageError(f"images of shape {shape} do not have {math.prod(x.shape[1:])} pixels")
    number_of(rank, shape)
    return shape
