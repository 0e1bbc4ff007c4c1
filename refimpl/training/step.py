"""One training step, the readable definition; `fused_step` has a faster one for NumPy, held equal by a test."""

from jaxtyping import Float, Int, UInt8

from ..backend import Array, Params, namespace
from ..layers.images import scale
from ..layers.loss import cross_entropy
from ..networks.gradients import Network
from ..optimizers.base import Optimizer, State
from ..regularizers.margin_bound import ReachTerm
from ..regularizers.penalty import NO_PENALTY, Penalty
from ..tape import gradients
from .adversarial import Adversary, WeightAdversary


class Step:
    """Parameters, the optimizer's state, and the examples they are trained on; a call is one step.

    `images` and `labels` lie where the parameters lie. Nothing in a step waits for the device.
    """

    def __init__(
        self,
        network: Network,
        params: Params,
        state: State,
        optimizer: Optimizer,
        images: UInt8[Array, "examples height width"],
        labels: Int[Array, "examples"],
        penalty: Penalty = NO_PENALTY,
        adversary: Adversary | None = None,
        weight_adversary: WeightAdversary | None = None,
        reach: ReachTerm | None = None,
    ) -> None:
        self.network, self.params, self.state, self.optimizer = network, params, state, optimizer
        self.images, self.labels = images, labels
        self.penalty, self.adversary, self.weight_adversary, self.reach = penalty, adversary, weight_adversary, reach
        self.dtype = next(iter(params.values())).dtype

    def start_epoch(self) -> None:
        """Forget what was carried from step to step beside parameters and state: here, nothing."""

    def __call__(self, index: Int[Array, "batch"], t: int) -> Float[Array, ""]:
        """Descend on the mean cross-entropy of examples `index` and the penalty; t counts steps from 1.

        With an adversary the examples, or its share of them, are first attacked; with one of the weights the gradient
        is taken where it put them, and the step made from where they were. The penalty and the margins' reach are
        those of the weights and examples as they are.
        Returns the cross-entropy before the step, of what was trained on.
        """
        xp = namespace(self.images)
        x = scale(xp.take(self.images, index, axis=0), self.dtype)
        y = xp.take(self.labels, index, axis=0)
        shares = self.penalty.gradients(self.params)
        if self.reach:
            shares += self.reach.gradients(self.params, x, y)
        if self.adversary:
            x = self.adversary.perturb(self.network, self.params, x, y, t)
        at = self.params
        if self.weight_adversary:
            at = self.weight_adversary.perturb(self.network, at, x, y)
        logits, tape = self.network.forward(at, x)
        loss, pull = cross_entropy(logits, y)
        grads = gradients(tape, pull.x(1.0))
        for name, share in shares:
            grads[name] = grads[name] + share
        self.params, self.state = self.optimizer.update(self.params, grads, self.state, t)
        self.params = self.params | self.penalty.shrunk(self.params)
        return loss
