"""An attack with its budget, as data: what evaluation is told."""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ..backend import Array, Params, namespace
from ..errors import UsageError
from ..networks.gradients import Network, least_margin, loss_gradient, margin_gradients
from ..rng import stream
from . import fgsm, gnm, lora_pgd, pgd, pgd_l2, strongest
from .ball import Box
from .lora_pgd import Factors, Shape, random_factors, truncated, truncated_factors

STEPS = {"fgsm": 1, "pgd": 20, "gnm": 5, "pgd-l2": 10, "lora-pgd": 10}


ATTACKS = ("fgsm", "pgd", "gnm")
"""The paper's own."""


IN_L2 = ("pgd-l2", "lora-pgd")


SIDE = 28
"""Of every image here, which has one channel; a perturbation has at most this rank."""


RANK = 3
"""Of `lora-pgd`: a tenth of the full rank."""


Guide = tuple[Network, Params]


@dataclass(frozen=True, kw_only=True)
class Attack:
    """One attack with its budget: the paper's settings (Section 5) unless told otherwise.

    `eps` in units of pixels in [0, 1]; `steps` None for the paper's number; `step_size` None for eps / 10, which
    is the paper's 0.005 at its eps of 0.05, and for 1.8 eps / steps in `pgd-l2`. `rank` of the perturbation of
    `lora-pgd`, and to which that of `pgd-l2` is truncated at the end; `warm` for a low-rank start at one PGD step, not
    at random factors. Raises `UsageError` for combinations that mean nothing.
    """

    name: str
    eps: float = 0.05
    steps: int | None = None
    step_size: float | None = None
    norm: str = "inf"
    rank: int | None = None
    warm: bool = False
    clip: Box | None = None
    random_start: bool = False
    restarts: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        if self.name not in STEPS:
            raise UsageError(f"unknown attack {self.name!r}: choose one of {', '.join(STEPS)}")
        if not (math.isfinite(self.eps) and self.eps >= 0):
            raise UsageError(f"eps must be finite and at least 0, got {self.eps}")
        if self.steps is None:
            object.__setattr__(self, "steps", STEPS[self.name])
        if self.step_size is None and self.name == "pgd":
            object.__setattr__(self, "step_size", self.eps / 10)
        if self.step_size is None and self.name == "pgd-l2":
            object.__setattr__(self, "step_size", 1.8 * self.eps / (self.steps or 1))
        if self.name in IN_L2 and self.norm == "inf":
            object.__setattr__(self, "norm", "2")
        if self.rank is None and self.name == "lora-pgd":
            object.__setattr__(self, "rank", RANK)
        if self.name == "fgsm" and self.steps != 1:
            raise UsageError("fgsm takes one step; pgd is its iteration")
        if self.step_size is not None and self.name not in ("pgd", "pgd-l2"):
            raise UsageError(f"a step size belongs to pgd and pgd-l2, not to {self.name}")
        if self.random_start and self.name != "pgd":
            raise UsageError(f"a random start belongs to pgd, not to {self.name}")
        if self.rank is not None and self.name not in IN_L2:
            raise UsageError(f"a rank belongs to lora-pgd and pgd-l2, not to {self.name}")
        if self.warm and self.name != "lora-pgd":
            raise UsageError(f"a warm start belongs to lora-pgd, not to {self.name}")
        if self.rank is not None and not 1 <= self.rank <= SIDE:
            raise UsageError(f"the rank must be from 1 to {SIDE}, the image's full rank, got {self.rank}")
        if self.name in IN_L2 and self.norm != "2":
            raise UsageError(f"{self.name} is an l_2 attack; gnm takes the norms inf, 2 and 1")
        if self.name in ("fgsm", "pgd") and self.norm != "inf":
            raise UsageError(f"{self.name} is an l_inf attack; gnm also takes the norms 2 and 1")
        random = self.random_start or (self.name == "lora-pgd" and not self.warm)
        if self.restarts < 1 or (self.restarts > 1 and not random):
            raise UsageError("restarts must be at least 1, and more than one needs a random start")

    def __str__(self) -> str:
        """A name for files: the attack, eps, and every setting that is not the default."""
        usual = asdict(Attack(name=self.name, eps=self.eps))
        unusual = [
            f"-{key}{value if type(value) is not bool else ''}".replace("_", "-")
            for key, value in asdict(self).items()
            if value != usual[key] and key != "clip"
        ]
        return f"{self.name}-eps{self.eps!r}" + "".join(unusual) + ("-clip" if self.clip else "")

    def starts(self, *index: int) -> list[np.random.Generator]:
        """A generator for each restart; `index` picks an independent set of them, a training step's say."""
        return [stream(self.seed, "attack", restart, *index) for restart in range(self.restarts)]

    def perturb(
        self,
        network: Network,
        params: Params,
        x: Array,
        y: Array,
        starts: Sequence[np.random.Generator],
        guide: Guide | None = None,
    ) -> Array:
        """The adversarial examples of one batch. `starts` holds one generator for each restart.

        A warm start follows the gradient of the net `guide`, of the attacked one where there is none.
        """
        once: dict[str, Any] = {"eps": self.eps, "clip": self.clip}
        often = once | {"steps": self.steps}
        climbing = often | {"step_size": self.step_size}
        if self.name == "gnm":
            return gnm(margin_gradients(network, params, y), x, **often, norm=self.norm)
        gradient = loss_gradient(network, params, y)
        if self.name == "fgsm":
            return fgsm(gradient, x, **once)
        if self.name == "pgd-l2":
            x_adv = pgd_l2(gradient, x, **climbing)
            return x_adv if self.rank is None else self._moved(x, truncated(x_adv - x, _image(x), self.rank))
        if self.name == "lora-pgd":
            ahead = loss_gradient(*guide, y) if guide else gradient
            tries = (lora_pgd(gradient, x, self._factors(ahead, x, start), **often) for start in starts)
        elif self.random_start:
            tries = (pgd(gradient, x, **climbing, random_start=start) for start in starts)
        else:
            return pgd(gradient, x, **climbing)
        return next(tries) if self.restarts == 1 else strongest(least_margin(network, params, y), tries)

    def _factors(self, gradient: Callable[[Array], Array], x: Array, start: np.random.Generator) -> Factors:
        assert self.rank is not None, "lora-pgd has a rank"
        if not self.warm:
            return random_factors(start, x, _image(x), self.rank)
        stepped = pgd_l2(gradient, x, eps=self.eps, step_size=self.eps, steps=1, clip=self.clip)
        return truncated_factors(stepped - x, _image(x), self.rank)

    def _moved(self, x: Array, eta: Array) -> Array:
        return x + eta if self.clip is None else namespace(x).clip(x + eta, *self.clip)


def _image(x: Array) -> Shape:
    return 1, math.isqrt(x.shape[-1]), math.isqrt(x.shape[-1])
