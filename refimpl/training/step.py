"""One training step."""

from dataclasses import dataclass

from jaxtyping import Float

from ..backend import Array, Params
from ..optimizers import State, Updates
from ..regularizers.base import Batch
from .objective import Objective


@dataclass
class Step:
    """An objective, an optimizer, and the parameters and state that a call moves by one step."""

    objective: Objective
    optimizer: Updates
    params: Params
    state: State

    def __call__(self, batch: Batch) -> Float[Array, "*models"]:
        """Descend on a batch; the mean loss of what was trained on, before the step. Does not wait for the device."""
        loss, grads = self.objective.value_and_grad(self.params, batch)
        self.params, self.state = self.optimizer.update(self.params, grads, self.state, batch.step)
        return loss

    def snapshot(self) -> tuple[Params, State]:
        """Parameters and state, which later steps leave as they are."""
        return self.params, self.state
