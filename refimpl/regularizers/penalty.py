r"""The regularized loss, Eq. (8): which regularizer acts on which layer, and how strongly."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..backend import Array, Params, namespace
from ..errors import UsageError
from ..parameters import as_matrix
from .joint import joint
from .l1 import l1, soft_threshold
from .nuclear import nuclear, singular_value_threshold


@dataclass(frozen=True)
class Penalty:
    r"""$\sum_i \lambda_{1,i} \|W^i\|_1 + \sum_i \lambda_{*,i} \|W^i\|_* + \lambda_{joint} \|W^m \cdots W^1\|_1$.

    `l1` and `nuclear` map a layer's name to its lambda: `{"W1": 0.01}`. Added to the *mean* cross-entropy, as Eq.
    (8) is written; a convolution is its matrix of filters (Appendix B); biases are not regularized. With `proximal`,
    the learning rate, the l1 and nuclear terms act by a proximal step of that length after each step instead of by
    their subgradients. Raises `UsageError` for a lambda that is negative or not finite.
    """

    l1: Mapping[str, float] = field(default_factory=dict)
    nuclear: Mapping[str, float] = field(default_factory=dict)
    joint: float = 0.0
    proximal: float | None = None

    def __post_init__(self) -> None:
        for lam in (*self.l1.values(), *self.nuclear.values(), self.joint):
            if not (math.isfinite(lam) and lam >= 0):
                raise UsageError(f"a regularizer's lambda must be finite and at least 0, got {lam}")

    def terms(self, params: Params) -> dict[str, Array]:
        """The value of each regularizer in use, lambda included, left on the device."""
        terms: dict[str, Array] = {}
        for name, norm, lambdas in (("l1", l1, self.l1), ("nuclear", nuclear, self.nuclear)):
            if lambdas:
                terms[name] = sum(lam * norm(as_matrix(params[layer]))[0] for layer, lam in lambdas.items())
        if self.joint:
            terms["joint"] = self.joint * joint(_weights(params))[0]
        return terms

    def gradients(self, params: Params) -> list[tuple[str, Array]]:
        """The gradient of each term by the weights it acts on; a name may occur more than once."""
        found: list[tuple[str, Array]] = []
        if self.proximal is None:
            for norm, lambdas in ((l1, self.l1), (nuclear, self.nuclear)):
                for layer, lam in lambdas.items():
                    W = params[layer]
                    found.append((layer, namespace(W).reshape(lam * norm(as_matrix(W))[1], W.shape)))
        if self.joint:
            names = [name for name in params if name.startswith("W")]
            shares: list[Any] = joint(_weights(params))[1]
            found += [(name, self.joint * share) for name, share in zip(names, shares, strict=True)]
        return found

    def shrunk(self, params: Params) -> Params:
        r"""The weights that a proximal step changes, after it: $\mathrm{prox}$ of $\alpha \lambda \|\cdot\|$, l1 first.

        On a layer with both norms the two steps one after the other are not the proximal step of the sum: a reading.
        """
        changed: Params = {}
        if self.proximal is not None:
            for prox, lambdas in ((soft_threshold, self.l1), (singular_value_threshold, self.nuclear)):
                for layer, lam in lambdas.items():
                    W: Array = changed.get(layer, params[layer])
                    changed[layer] = namespace(W).reshape(prox(as_matrix(W), self.proximal * lam), W.shape)
        return changed


def _weights(params: Params) -> list[Array]:
    return [W for name, W in params.items() if name.startswith("W")]


NO_PENALTY = Penalty()
