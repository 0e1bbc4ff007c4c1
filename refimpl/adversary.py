"""An attack with its budget, as data: what evaluation is told; and the adversary of adversarial training."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np

from .attacks import fgsm, gnm, pgd, strongest
from .backend import Array, Params, namespace
from .errors import UsageError
from .objectives import Network, least_margin, loss_gradient, margin_gradients
from .projections import Box
from .seeds import stream

STEPS = {"fgsm": 1, "pgd": 20, "gnm": 5}
ATTACKS = tuple(STEPS)


@dataclass(frozen=True, kw_only=True)
class Attack:
    """One attack with its budget: the paper's settings (Section 5) unless told otherwise.

    `eps` in units of pixels in [0, 1]; `steps` None for the paper's number; `step_size` None for eps / 10, which
    is the paper's 0.005 at its eps of 0.05. Raises `UsageError` for combinations that mean nothing.
    """

    name: str
    eps: float = 0.05
    steps: int | None = None
    step_size: float | None = None
    norm: str = "inf"
    clip: Box | None = None
    random_start: bool = False
    restarts: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        if self.name not in ATTACKS:
            raise UsageError(f"unknown attack {self.name!r}: choose one of {', '.join(ATTACKS)}")
        if not (math.isfinite(self.eps) and self.eps >= 0):
            raise UsageError(f"eps must be finite and at least 0, got {self.eps}")
        if self.steps is None:
            object.__setattr__(self, "steps", STEPS[self.name])
        if self.step_size is None and self.name == "pgd":
            object.__setattr__(self, "step_size", self.eps / 10)
        if self.name == "fgsm" and self.steps != 1:
            raise UsageError("fgsm takes one step; pgd is its iteration")
        if self.name != "pgd" and (self.step_size is not None or self.random_start):
            raise UsageError(f"a step size and a random start belong to pgd, not to {self.name}")
        if self.name != "gnm" and self.norm != "inf":
            raise UsageError(f"{self.name} is an l_inf attack; gnm also takes the norms 2 and 1")
        if self.restarts < 1 or (self.restarts > 1 and not self.random_start):
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
        self, network: Network, params: Params, x: Array, y: Array, starts: Sequence[np.random.Generator]
    ) -> Array:
        """The adversarial examples of one batch. `starts` holds one generator for each restart."""
        once: dict[str, Any] = {"eps": self.eps, "clip": self.clip}
        often = once | {"steps": self.steps}
        climbing = often | {"step_size": self.step_size}
        if self.name == "fgsm":
            return fgsm(loss_gradient(network, params, y), x, **once)
        if self.name == "gnm":
            return gnm(margin_gradients(network, params, y), x, **often, norm=self.norm)
        climb = partial(pgd, loss_gradient(network, params, y), x, **climbing)
        if not self.random_start:
            return climb()
        return strongest(least_margin(network, params, y), (climb(random_start=start) for start in starts))


@dataclass(frozen=True)
class Adversary:
    """What adversarial training puts a batch to: `attack` on the first `share` of its examples, the others as they are.

    All of them by default (Madry et al. 2018). Raises `UsageError` for a share not above 0, or above 1.
    """

    attack: Attack
    share: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1:
            raise UsageError(f"the adversarial share of a batch must be above 0 and at most 1, got {self.share}")

    def perturb(self, network: Network, params: Params, x: Array, y: Array, t: int) -> Array:
        """The batch of step t, its random starts those of t, attacked with its true labels."""
        n = math.ceil(self.share * y.shape[0])
        x_adv = self.attack.perturb(network, params, x[:n, ...], y[:n], self.attack.starts(t))
        return x_adv if n == y.shape[0] else namespace(x).concat([x_adv, x[n:, ...]])
