"""Optimizers as pure updates: parameters and gradients in, parameters out. Named dictionaries of arrays throughout."""

import math
from collections.abc import Callable
from typing import NamedTuple

from .backend import Params, namespace
from .errors import UsageError

State = Params


class Optimizer(NamedTuple):
    """`init(params) -> state` and `update(params, grads, state, t) -> params, state`, t = 1, 2, ... counting steps."""

    init: Callable[[Params], State]
    update: Callable[[Params, Params, State, int], tuple[Params, State]]


def sgd(learning_rate: float = 0.001, momentum: float = 0.0) -> Optimizer:
    r"""Stochastic gradient descent, the paper's optimizer (Section 5): $\theta \leftarrow \theta - \alpha g$.

    With momentum $\mu$ (Polyak 1964), a reading the paper's wording admits: $v \leftarrow \mu v + g$,
    $\theta \leftarrow \theta - \alpha v$.
    """
    _check(learning_rate, momentum)

    def init(params: Params) -> State:
        return {f"v.{name}": namespace(p).zeros_like(p) for name, p in params.items()} if momentum else {}

    def update(params: Params, grads: Params, state: State, t: int) -> tuple[Params, State]:
        if not momentum:
            return {name: p - learning_rate * grads[name] for name, p in params.items()}, state
        state = {f"v.{name}": momentum * state[f"v.{name}"] + g for name, g in grads.items()}
        return {name: p - learning_rate * state[f"v.{name}"] for name, p in params.items()}, state

    return Optimizer(init, update)


def adam(learning_rate: float = 0.001, beta1: float = 0.9, beta2: float = 0.999, epsilon: float = 1e-8) -> Optimizer:
    r"""Adam (Kingma and Ba 2015, Algorithm 1).

    $\theta \leftarrow \theta - \alpha\,\hat m / (\sqrt{\hat v} + \varepsilon)$ with $m \leftarrow \beta_1 m + (1 -
    \beta_1) g$, $v \leftarrow \beta_2 v + (1 - \beta_2) g^2$, $\hat m = m / (1 - \beta_1^t)$, $\hat v = v / (1 -
    \beta_2^t)$.
    """
    _check(learning_rate, beta1, beta2)

    def init(params: Params) -> State:
        return {f"{moment}.{name}": namespace(p).zeros_like(p) for moment in "mv" for name, p in params.items()}

    def update(params: Params, grads: Params, state: State, t: int) -> tuple[Params, State]:
        m = {name: beta1 * state[f"m.{name}"] + (1 - beta1) * g for name, g in grads.items()}
        v = {name: beta2 * state[f"v.{name}"] + (1 - beta2) * g * g for name, g in grads.items()}
        correct1, correct2 = 1 - beta1**t, 1 - beta2**t
        params = {
            name: p - learning_rate * (m[name] / correct1) / (namespace(p).sqrt(v[name] / correct2) + epsilon)
            for name, p in params.items()
        }
        return params, {f"m.{n}": x for n, x in m.items()} | {f"v.{n}": x for n, x in v.items()}

    return Optimizer(init, update)


def _check(learning_rate: float, *decays: float) -> None:
    if not (math.isfinite(learning_rate) and learning_rate > 0):
        raise UsageError(f"the learning rate must be finite and above 0, got {learning_rate}")
    if not all(0 <= decay < 1 for decay in decays):
        raise UsageError(f"momentum and Adam's betas must be at least 0 and below 1, got {decays}")
