"""Proximal steps: what of the loss is not smooth acts after each step, not by its subgradient."""

from dataclasses import dataclass

from ..backend import Params
from ..errors import UsageError
from ..regularizers.base import Regularizer
from .base import Optimizer, State


@dataclass(frozen=True)
class Proximal:
    r"""Steps of `optimizer`, each followed by the proximal step of each term (Parikh and Boyd 2014).

    That is $\mathrm{prox}_{\alpha \lambda \|\cdot\|}$, with the learning rate $\alpha$.

    On a layer with several terms their proximal steps follow each other, which is not the proximal step of the sum: an
    assumption. Raises `UsageError` for an optimizer whose steps have no one length, and for a term without one.
    """

    optimizer: Optimizer
    terms: tuple[Regularizer, ...]

    def __post_init__(self) -> None:
        if not self.optimizer.uniform_step:
            raise UsageError(
                f"proximal steps have the length of sgd's steps; {self.optimizer.name}'s differ from weight to weight"
            )
        for term in self.terms:
            if not term.has_prox:
                raise UsageError(f"the term {term.name} has no proximal step")

    @property
    def elementwise(self) -> bool:
        """Whether the steps before the proximal ones are."""
        return self.optimizer.elementwise

    def init(self, params: Params) -> State:
        return self.optimizer.init(params)

    def update(self, params: Params, grads: Params, state: State, t: int) -> tuple[Params, State]:
        params, state = self.optimizer.update(params, grads, state, t)
        for term in self.terms:
            params = params | term.prox(params, self.optimizer.learning_rate)
        return params, state
