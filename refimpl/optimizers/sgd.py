"""Stochastic gradient descent, with momentum."""

from ..backend import Params, namespace
from .base import Optimizer, State, _check


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
