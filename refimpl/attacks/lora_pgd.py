import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from jaxtyping import Float

from ..backend import Array, namespace
from ..errors import UsageError
from ..layers.images import Shape
from ..rng import stream
from ..settings import Box, setting
from ..validation import check_attacked, check_steps
from .ball import rows, unit
from .base import ATTACKS, InputAttack, Target
from .low_rank import LowRankPerturbation, Rank, number_of, random_factors, truncated_factors
from .pgd_l2 import pgd_l2
from .restarts import strongest

ROUNDING = 1000.0
"""Units in the last place within which a gradient by a factor cannot be told from zero: a few times what is left of
it where it vanishes, 160 in double and 10 in single precision on images of 28 and 32 pixels a side."""


def lora_pgd(
    gradient: Callable[[Array], Array],
    x: Float[Array, "batch *shape"],
    start: LowRankPerturbation,
    *,
    eps: float,
    steps: int = 10,
    clip: Box | None = None,
) -> Float[Array, "batch *shape"]:
    r"""Low-rank PGD (Savostianova, Zangrando and Tudisco 2024, arXiv 2410.12607): ascent on the factors of $\eta$.

    The perturbation is $\eta = \epsilon\,\delta / \|\delta\|_2$ with $\delta = UV$, the norm over all channels: it
    lies *on* the sphere of radius `eps`. With G the gradient of the loss by the input, zero at pixels cut to the box
    `clip`, and $\hat\delta = \delta / \|\delta\|_2$, the chain rule through the normalization gives

    $$\nabla_\delta = \frac{\epsilon}{\|\delta\|_2}\left(G - \langle G, \hat\delta\rangle\,\hat\delta\right),\qquad
      \nabla_U = \nabla_\delta V^\top,\qquad \nabla_V = U^\top \nabla_\delta.$$

    Both factors then move by 1 along their gradient divided by its norm over the image, so its length, $\epsilon /
    \|\delta\|_2$ included, does not matter and is left out; where $\delta = 0$, as at the start `random_factors`, the
    gradient is G itself. A step is orthogonal to its factor, whose squared norm thus grows by 1: step t turns it by
    about $1 / \sqrt t$. After the steps $\eta$ is added and pixels are cut, which can raise the rank. From random
    factors of rank 1 an ascent in a few hundred stays near a saddle point, which restarts leave. Raises `UsageError`
    for a bad budget or number of steps, and for half precision.
    """
    check_attacked(x, eps, clip)
    check_steps(steps)
    U, V = start
    for _ in range(steps):
        dU, dV = factor_gradients(gradient, x, LowRankPerturbation(U, V), eps, clip)
        U, V = U + unit(dU), V + unit(dV)
    return perturbed(x, LowRankPerturbation(U, V), eps, clip)[0]


def factor_gradients(
    gradient: Callable[[Array], Array],
    x: Float[Array, "batch *shape"],
    at: LowRankPerturbation,
    eps: float,
    clip: Box | None = None,
) -> LowRankPerturbation:
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
    G, direction = rows(G), rows(direction)
    tangent = xp.reshape(G - xp.sum(G * direction, axis=-1, keepdims=True) * direction, shape)
    G = xp.reshape(G, shape)
    dU, dV = tangent @ xp.matrix_transpose(at.V), xp.matrix_transpose(at.U) @ tangent
    return LowRankPerturbation(_but_rounding(dU, G, at.V), _but_rounding(dV, G, at.U))


def _but_rounding(
    d: Float[Array, "batch channels _ _"], G: Float[Array, "batch channels _ _"], by: Float[Array, "batch channels _ _"]
) -> Float[Array, "batch channels _ _"]:
    """d, a product of G and `by`, where it is longer than the rounding of that product, else zero."""
    xp = namespace(d)
    largest = [xp.max(xp.abs(a), axis=(-3, -2, -1), keepdims=True) for a in (d, G, by)]
    least = ROUNDING * float(xp.finfo(d.dtype).eps) * largest[1] * largest[2]
    return xp.where(largest[0] > least, d, xp.zeros_like(d))


def perturbed(
    x: Float[Array, "batch *shape"], at: LowRankPerturbation, eps: float, clip: Box | None
) -> tuple[Float[Array, "batch *shape"], Float[Array, "batch *shape"]]:
    """The perturbed images, and the direction they were moved in before any cut."""
    xp = namespace(at.U)
    direction = xp.reshape(unit(at.product()), x.shape)
    moved = x + eps * direction
    return (moved if clip is None else xp.clip(moved, *clip)), direction


@ATTACKS.register("lora-pgd")
@dataclass(frozen=True, kw_only=True)
class LoraPGD(InputAttack):
    """`lora_pgd` with its budget, from random factors or, `warm_start`, from one truncated step of PGD.

    A warm start follows the gradient of the surrogate, of the attacked net where there is none.
    """

    name: ClassVar[str] = "lora-pgd"
    follows_surrogate: ClassVar[bool] = True

    eps: float = setting(0.5, "Budget.", unit="pixels in [0, 1], l2 norm", at_least=0)
    steps: int = setting(10, "Number of steps.", at_least=1)
    rank: Rank = setting(3, "Rank of the perturbation: a number, or a fraction of the full rank.", above=0)
    warm_start: bool = setting(False, "Start at one step of PGD, truncated, not at random factors.")
    restarts: int = setting(1, "Random starts; for each example the strongest counts.", at_least=1)
    seed: int = setting(0, "Seed of the random starts.", at_least=0)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.restarts > 1 and self.warm_start:
            raise UsageError("more than one restart needs a random start, not a warm one")

    def starts(self, *index: int) -> list[np.random.Generator]:
        return [stream(self.seed, "attack", restart, *index) for restart in range(self.restarts)]

    @property
    def ball(self) -> str:
        return "2"

    def for_images(self, shape: Shape) -> "LoraPGD":
        return replace(self, rank=number_of(self.rank, shape))

    def perturb(
        self,
        target: Target,
        x: Array,
        y: Array,
        starts: Sequence[np.random.Generator] = (),
        surrogate: Target | None = None,
    ) -> Array:
        shape = target.image_shape(math.prod(x.shape[1:]))
        rank, gradient = number_of(self.rank, shape), target.loss(y)

        def start(rng: np.random.Generator) -> LowRankPerturbation:
            if not self.warm_start:
                return random_factors(rng, x, shape, rank)
            towards = (surrogate or target).loss(y)
            stepped = pgd_l2(towards, x, eps=self.eps, step_size=self.eps, steps=1, clip=self.clip)
            return truncated_factors(stepped - x, shape, rank)

        attempts = (
            lora_pgd(gradient, x, start(rng), eps=self.eps, steps=self.steps, clip=self.clip)
            for rng in starts or self.starts()
        )
        return strongest(target.least_margin(y), attempts)
