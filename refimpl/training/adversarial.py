"""Training against an adversary, of the inputs or of the weights: objectives that wrap an objective."""

import math
from dataclasses import dataclass

from jaxtyping import Float

from ..attacks.base import InputAttack
from ..backend import Array, Params, namespace
from ..errors import UsageError
from ..networks.base import Network
from ..parameters import is_weight
from ..regularizers.base import Batch
from .objective import Objective


@dataclass(frozen=True)
class AdversarialInputs:
    """Replaces part of each batch by adversarial examples (Madry et al. 2018): the first `fraction`, all by default.

    Raises `UsageError` for a fraction not above 0, or above 1.
    """

    objective: Objective
    network: Network
    attack: InputAttack
    fraction: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.fraction <= 1:
            raise UsageError(f"the adversarial fraction of a batch must be above 0 and at most 1, got {self.fraction}")

    def value_and_grad(self, params: Params, batch: Batch) -> tuple[Float[Array, "*models"], Params]:
        return self.objective.value_and_grad(params, batch._replace(x=self.perturb(params, batch)))

    def perturb(self, params: Params, batch: Batch) -> Float[Array, "batch n"]:
        """The examples of the batch, attacked with their true labels; random starts are those of the step."""
        n = math.ceil(self.fraction * batch.y.shape[0])
        x, y = batch.x[:n, ...], batch.y[:n]
        x_adv = self.attack.perturb(self.network.gradients(params), x, y, self.attack.starts(batch.step))
        return x_adv if n == batch.y.shape[0] else namespace(x).concat([x_adv, batch.x[n:, ...]])


@dataclass(frozen=True)
class AdversarialWeights:
    r"""The gradient at perturbed weights, $W + \rho\,\mathrm{sign}(\nabla_W L)$, applied to the unperturbed ones.

    As in adversarial weight perturbation (Wu, Xia and Wang 2020); the $\ell_\infty$ ball of one `radius` in all layers,
    and a single step to its surface, are ours. Raises `UsageError` for a radius that is not above 0 and finite.
    """

    objective: Objective
    radius: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.radius) and self.radius > 0):
            raise UsageError(f"the radius of adversarial weights must be finite and above 0, got {self.radius}")

    def value_and_grad(self, params: Params, batch: Batch) -> tuple[Float[Array, "*models"], Params]:
        _, grads = self.objective.value_and_grad(params, batch)
        return self.objective.value_and_grad(self.perturb(params, grads), batch)

    def perturb(self, params: Params, grads: Params) -> Params:
        """New weights; biases stay as they are."""
        return {
            name: p + self.radius * namespace(p).sign(grads[name]) if is_weight(name) else p
            for name, p in params.items()
        }
