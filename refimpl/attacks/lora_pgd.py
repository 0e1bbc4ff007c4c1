from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from ..backend import Array, like, namespace
from ..errors import UsageError
from ..validation import check_budget, check_steps
from .ball import Box, unit

Shape = tuple[int, int, int]
"""Channels, height, width of an image."""


ROUNDING = 1000.0
"""Units in the last place within which a gradient by a factor cannot be told from zero: a few times what is left of
it where it vanishes, 160 in double and 10 in single precision on images of 28 and 32 pixels a side."""


class Factors(NamedTuple):
    r"""$\delta_c = U_c V_c$ for each channel c of each image: at most as many singular values as U has columns."""

    U: Float[Array, "batch channels height rank"]
    V: Float[Array, "batch channels rank width"]

    def product(self) -> Float[Array, "batch channels height width"]:
        return self.U @ self.V


def lora_pgd(
    gradient: Callable[[Array], Array],
    x: Float[Array, "batch n"],
    start: Factors,
    *,
    eps: float,
    steps: int = 10,
    clip: Box | None = None,
) -> Float[Array, "batch n"]:
    r"""Low-rank PGD (Savostianova, Zangrando and Tudisco 2024, arXiv 2410.12607): ascent on the factors of $\eta$.

    The perturbation is $\eta = \epsilon\,\delta / \|\delta\|_2$ with $\delta = UV$, the norm over all channels: it
    lies *on* the sphere of radius `eps`. With G the gradient of the loss by the input, zero at pixels cut to the box
    `clip`, and $\hat\delta = \delta / \|\delta\|_2$, the chain rule through the normalization gives

    $$\nabla_\delta = \frac{\epsilon}{\|\delta\|_2}\left(G - \langle G, \hat\delta\rangle\,\hat\delta\right),\qquad
      \nabla_U = \nabla_\delta V^\top,\qquad \nabla_V = U^\top \nabla_\delta.$$

    Both factors then move by 1 along their gradient divided by its norm over the image, so its length, $\epsilon /
    \|\delta\|_2$ included, does not matter and is left out; where $\delta = 0$, as at the start `random_factors`, the
    gradient is G itself. A step is orthogonal to its factor, whose squared norm thus grows by 1: step t turns it by
    about $1 / \sqrt t$. After the steps $\eta$ is added and pixels are cut, which can raise the rank. Raises
    `UsageError` for a bad budget or number of steps.
    """
    check_budget(eps)
    check_steps(steps)
    U, V = start
    for _ in range(steps):
        dU, dV = factor_gradients(gradient, x, Factors(U, V), eps, clip)
        U, V = U + unit(dU), V + unit(dV)
    return perturbed(x, Factors(U, V), eps, clip)[0]


def factor_gradients(
    gradient: Callable[[Array], Array], x: Float[Array, "batch n"], at: Factors, eps: float, clip: Box | None = None
) -> Factors:
    r"""$\nabla_U$ and $\nabla_V$ of `lora_pgd`, times $\|\delta\|_2 / \epsilon$ where $\delta \ne 0$.

    Each is a difference, zero at an optimum but for rounding, and a step of length 1 along rounding would leave it:
    what is no longer than `ROUNDING` counts as zero. The authors' guard, 1e-10 added to the norm, depends on the scale
    of the loss.
    """
    xp = namespace(x)
    ahead, direction = perturbed(x, at, eps, clip)
    G = gradient(ahead)
    if clip is not None:
        raw = x + eps * direction
        G = xp.where((raw < clip[0]) | (raw > clip[1]), xp.zeros_like(G), G)
    shape = (*at.U.shape[:-1], at.V.shape[-1])
    tangent = xp.reshape(G - xp.sum(G * direction, axis=-1, keepdims=True) * direction, shape)
    G = xp.reshape(G, shape)
    dU, dV = tangent @ xp.matrix_transpose(at.V), xp.matrix_transpose(at.U) @ tangent
    return Factors(_but_rounding(dU, G, at.V), _but_rounding(dV, G, at.U))


def _but_rounding(
    d: Float[Array, "batch channels _ _"], G: Float[Array, "batch channels _ _"], by: Float[Array, "batch channels _ _"]
) -> Float[Array, "batch channels _ _"]:
    """d, a product of G and `by`, where it is longer than the rounding of that product, else zero."""
    xp = namespace(d)
    largest = [xp.max(xp.abs(a), axis=(-3, -2, -1), keepdims=True) for a in (d, G, by)]
    least = ROUNDING * float(xp.finfo(d.dtype).eps) * largest[1] * largest[2]
    return xp.where(largest[0] > least, d, xp.zeros_like(d))


def perturbed(
    x: Float[Array, "batch n"], at: Factors, eps: float, clip: Box | None
) -> tuple[Float[Array, "batch n"], Float[Array, "batch n"]]:
    """The perturbed images, and the direction they were moved in before any cut."""
    xp = namespace(at.U)
    direction = xp.reshape(unit(at.product()), x.shape)
    moved = x + eps * direction
    return (moved if clip is None else xp.clip(moved, *clip)), direction


def random_factors(rng: np.random.Generator, x: Float[Array, "batch n"], shape: Shape, rank: int) -> Factors:
    """The start of low-rank adapters: U normal, of length 1 for each image, drawn on the host; V zero."""
    channels, height, width = _checked(x, shape, rank)
    batch = x.shape[0]
    U = unit(like(rng.standard_normal((batch, channels, height, rank)), x))
    return Factors(U, like(np.zeros((batch, channels, rank, width)), x))


def truncated_factors(eta: Float[Array, "batch n"], shape: Shape, rank: int) -> Factors:
    r"""The best approximation of rank `rank` of each channel: $U = A\sqrt\Sigma$, $V = \sqrt\Sigma B^\top$.

    With $A \Sigma B^\top$ the truncated singular value decomposition. Of one PGD step it is the paper's warm start,
    of another net's gradient its transferred one.
    """
    _checked(eta, shape, rank)
    xp = namespace(eta)
    A, s, Bt = xp.linalg.svd(xp.reshape(eta, (eta.shape[0], *shape)), full_matrices=False)
    root = xp.sqrt(s[..., :rank])
    return Factors(A[..., :rank] * root[..., None, :], root[..., :, None] * Bt[..., :rank, :])


def truncated(eta: Float[Array, "batch n"], shape: Shape, rank: int) -> Float[Array, "batch n"]:
    """Each channel replaced by its best approximation of rank `rank`: no longer than it was."""
    return namespace(eta).reshape(truncated_factors(eta, shape, rank).product(), eta.shape)


def _checked(x: Float[Array, "batch n"], shape: Shape, rank: int) -> Shape:
    channels, height, width = shape
    if channels * height * width != x.shape[-1]:
        raise UsageError(f"images of shape {shape} do not have {x.shape[-1]} pixels")
    if not 1 <= rank <= min(height, width):
        raise UsageError(f"the rank must be from 1 to {min(height, width)}, the image's full rank, got {rank}")
    return shape
