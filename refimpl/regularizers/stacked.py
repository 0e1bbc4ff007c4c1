"""The regularizers of models in a stack, whose parameters have the models along a first axis."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from ..backend import Array, Params, like, namespace
from ..parameters import of_model
from .base import Batch, LayerNorm, Regularizer, Term


@dataclass(frozen=True)
class StackedNorm:
    """A norm of layers with one lambda a model, by the layer's name; 0 for a model without the term."""

    term: LayerNorm
    layers: dict[str, Float[Array, "models"]]

    def value_and_grad(self, params: Params, batch: Batch) -> tuple[Float[Array, "models"], Params]:
        value: Array = 0.0
        grads: Params = {}
        for layer, lam in self.layers.items():
            norm, gradient = self.term.norm(params[layer])
            value = value + lam * norm
            grads[layer] = lam[:, None, None] * gradient
        return value, grads


@dataclass(frozen=True)
class StackedTerms:
    """Terms of one kind, each on the parameters and the batch of its model; None for a model without the term."""

    terms: tuple[Regularizer | None, ...]

    def value_and_grad(self, params: Params, batch: Batch) -> tuple[Float[Array, "models"], Params]:
        found = [self._of_model(m, term, params, batch) for m, term in enumerate(self.terms)]
        names = [name for name in params if any(name in grads for _, grads in found)]
        zero = {name: namespace(params[name]).zeros_like(params[name][0, ...]) for name in names}
        grads = {name: namespace(zero[name]).stack([(zero | grads)[name] for _, grads in found]) for name in names}
        xp = namespace(params["b1"])
        return xp.stack([xp.asarray(value, dtype=params["b1"].dtype) for value, _ in found]), grads

    def _of_model(self, m: int, term: Regularizer | None, params: Params, batch: Batch) -> tuple[Array, Params]:
        if term is None:
            return 0.0, {}
        return term.value_and_grad(of_model(params, m), batch._replace(x=batch.x[m, ...], y=batch.y[m, ...]))


def stacked_term(terms: Sequence[Regularizer | None], params: Params) -> Term:
    """The terms of one kind of all models, as one; `params` are those of the stack.

    Norms of dense layers are taken of the whole stack at once, other terms model by model.
    """
    kind = next(term for term in terms if term is not None)
    if not isinstance(kind, LayerNorm):
        return StackedTerms(tuple(terms))
    layers = dict.fromkeys(layer for term in terms if isinstance(term, LayerNorm) for layer in term.layers)
    lams = {layer: [getattr(term, "layers", {}).get(layer, 0.0) for term in terms] for layer in layers}
    return StackedNorm(kind, {layer: like(np.asarray(lam), params["W1"]) for layer, lam in lams.items()})
