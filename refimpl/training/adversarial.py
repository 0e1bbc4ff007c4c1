"""Training against an adversary, of the inputs or of the weights."""

import math
from dataclasses import dataclass

from ..attacks import joint
from ..attacks.base import Attack
from ..backend import Array, Params, namespace
from ..errors import UsageError
from ..networks.gradients import Network, weight_gradients
from ..validation import check_radii


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


@dataclass(frozen=True)
class WeightAdversary:
    r"""What training against perturbed weights puts every weight matrix to: $W + \rho\,\mathrm{sign}(\nabla_W L)$.

    The gradient is then taken at the perturbed weights, at inputs that an `Adversary`, where there is one, attacked
    before, and the step applied to the unperturbed ones, as in adversarial weight perturbation (Wu, Xia and Wang
    2020); the $\ell_\infty$ ball of one `radius` in all layers, and a single step to its surface, are ours.
    Raises `UsageError` for a radius that is not above 0 and finite.
    """

    radius: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.radius) and self.radius > 0):
            raise UsageError(f"the radius of adversarial weights must be finite and above 0, got {self.radius}")

    def perturb(self, network: Network, params: Params, x: Array, y: Array) -> Params:
        """New weights, for the mean cross-entropy of this batch."""
        return joint(
            lambda x, params: x,
            lambda x, params: weight_gradients(network, params, x, y),
            x, params, eps=0.0, eps_weights=check_radii(self.radius, params), steps=1, paces=1.0,
        )[1]  # fmt: skip
