r"""The $\ell_\infty$ and the $\ell_2$ ball around a batch: steps, projection and random points, for attacks in both."""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float

from ..backend import Array, like, namespace
from ..errors import UsageError
from ..settings import Box
from .ball import Corners, bounds, each, length, project, rows, unit
from .sign_step import sign_step


@dataclass(frozen=True)
class Ball(ABC):
    """The points within `eps` of each example of `x`, pixels in the box `clip`."""

    x: Float[Array, "batch *shape"]
    eps: float
    clip: Box | None = None

    @abstractmethod
    def step(
        self, at: Float[Array, "batch *shape"], gradient: Float[Array, "batch *shape"], size: Float[Array, "batch"]
    ) -> Float[Array, "batch *shape"]:
        """A step of steepest ascent from `at`, for each example as long as `size` says, projected."""

    @abstractmethod
    def project(self, at: Float[Array, "batch *shape"]) -> Float[Array, "batch *shape"]:
        """Points of the ball for points anywhere; what is inside stays where it is."""

    @abstractmethod
    def random(self, rng: np.random.Generator) -> Float[Array, "batch *shape"]:
        """A point for each example, uniform in the ball, drawn on the host; pixels are then cut to the box."""


class InfBall(Ball):
    r"""$\|x' - x\|_\infty \le \epsilon$, a box itself; a step is one of signs."""

    @cached_property
    def corners(self) -> Corners:
        return bounds(self.x, self.eps, self.clip)

    def step(
        self, at: Float[Array, "batch *shape"], gradient: Float[Array, "batch *shape"], size: Float[Array, "batch"]
    ) -> Float[Array, "batch *shape"]:
        return sign_step(at, gradient, each(size, at), *self.corners)

    def project(self, at: Float[Array, "batch *shape"]) -> Float[Array, "batch *shape"]:
        return project(at, *self.corners)

    def random(self, rng: np.random.Generator) -> Float[Array, "batch *shape"]:
        return self.project(self.x + self.eps * like(rng.uniform(-1, 1, self.x.shape), self.x))


class EuclideanBall(Ball):
    r"""$\|x' - x\|_2 \le \epsilon$; `project` shortens what is too long, then cuts pixels: shorter still."""

    def step(
        self, at: Float[Array, "batch *shape"], gradient: Float[Array, "batch *shape"], size: Float[Array, "batch"]
    ) -> Float[Array, "batch *shape"]:
        return self.project(at + each(size, at) * unit(gradient))

    def project(self, at: Float[Array, "batch *shape"]) -> Float[Array, "batch *shape"]:
        xp, eta = namespace(at), at - self.x
        at = self.x + xp.where(length(eta) > self.eps, self.eps * unit(eta), eta)
        return at if self.clip is None else xp.clip(at, *self.clip)

    def random(self, rng: np.random.Generator) -> Float[Array, "batch *shape"]:
        """As many normal numbers as pixels and two more, divided by the length of them all (Harman and Lacko 2010)."""
        n = math.prod(self.x.shape[1:])
        drawn = rng.standard_normal((self.x.shape[0], n + 2))
        inside = drawn[:, :n] / np.linalg.norm(drawn, axis=-1, keepdims=True)
        return self.project(self.x + self.eps * like(inside.reshape(self.x.shape), self.x))


BALLS: dict[str, type[Ball]] = {"inf": InfBall, "2": EuclideanBall}


def ball(x: Float[Array, "batch *shape"], eps: float, norm: str = "inf", clip: Box | None = None) -> Ball:
    """The ball of a norm, "inf" or "2". Raises `UsageError` for another."""
    if norm not in BALLS:
        raise UsageError(f"unknown norm {norm!r}: choose one of {', '.join(BALLS)}")
    return BALLS[norm](x, eps, clip)


def within(
    x: Float[Array, "batch *shape"], x_adv: Float[Array, "batch *shape"], eps: float, norm: str
) -> Float[Array, "batch *shape"]:
    """`x_adv` where it is within eps of x, elsewhere x."""
    return namespace(x).where(each(size(x_adv - x, norm) <= eps, x), x_adv, x)


def size(eta: Float[Array, "batch *shape"], norm: str) -> Float[Array, "batch"]:
    """The norm, "inf" or "2", of each example over all axes but the first."""
    xp, flat = namespace(eta), rows(eta)
    return xp.max(xp.abs(flat), axis=-1) if norm == "inf" else xp.sqrt(xp.sum(flat * flat, axis=-1))
