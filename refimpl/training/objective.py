r"""What training minimises: a loss of the data with a gradient, and wrappers that change it.

An adversary of the inputs, one of the weights and the regularizers of Eq. (8) each turn an objective into another, so
that a method is a composition:

    Regularized(AdversarialInputs(CrossEntropy(network), network, PGD()), (L1({"W1": 0.01}),))
"""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from jaxtyping import Float

from ..backend import Array, Params
from ..networks.base import Network
from ..regularizers.base import Batch, Term


@runtime_checkable
class Objective(Protocol):
    """What is minimised. The arrays of the gradient are the caller's, to change in place."""

    def value_and_grad(self, params: Params, batch: Batch) -> tuple[Float[Array, "*models"], Params]:
        """The mean loss of the data, without regularizers, and the gradient of all that is minimised, by name."""
        ...


@dataclass(frozen=True)
class CrossEntropy:
    """The mean cross-entropy of a batch."""

    network: Network

    def value_and_grad(self, params: Params, batch: Batch) -> tuple[Float[Array, "*models"], Params]:
        return self.network.gradients(params).weights(batch.x, batch.y)


@dataclass(frozen=True)
class Regularized:
    """An objective with terms added, Eq. (8); every term sees the clean batch.

    The value stays that of the data, which training logs; `terms` has those of the regularizers.
    """

    objective: Objective
    terms: tuple[Term, ...]

    def value_and_grad(self, params: Params, batch: Batch) -> tuple[Float[Array, "*models"], Params]:
        loss, grads = self.objective.value_and_grad(params, batch)
        for term in self.terms:
            for name, gradient in term.value_and_grad(params, batch)[1].items():
                grads[name] += gradient
        return loss, grads
