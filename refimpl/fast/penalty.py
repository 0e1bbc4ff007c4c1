"""`penalty.Penalty.gradients` for the fused step: added in place, the nuclear norm's carried from step to step."""

from dataclasses import replace

import numpy as np

from ..backend import Params
from ..parameters import as_matrix
from ..regularizers.penalty import Penalty
from .newton_schulz import WarmPolar


class FusedPenalty:
    """The penalty of `params`, float arrays of NumPy's that change in place."""

    def __init__(self, penalty: Penalty, params: Params) -> None:
        self.params, warm = params, {}
        if penalty.proximal is None:
            warm = {layer: lam for layer, lam in penalty.nuclear.items() if params[layer].dtype == np.float32}
        self.polars = {layer: (lam, WarmPolar(as_matrix(params[layer]))) for layer, lam in warm.items()}
        others = {layer: lam for layer, lam in penalty.nuclear.items() if layer not in warm}
        self.rest = replace(penalty, nuclear=others)

    def forget(self) -> None:
        for _, polar in self.polars.values():
            polar.forget()

    def add_to(self, grads: Params) -> None:
        for name, share in self.rest.gradients(self.params):
            grads[name] += share
        for name, (lam, polar) in self.polars.items():
            share = as_matrix(grads[name])  # a view
            share += polar(lam)
