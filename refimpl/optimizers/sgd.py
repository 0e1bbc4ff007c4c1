"""Stochastic gradient descent, with momentum."""

from dataclasses import dataclass
from typing import ClassVar

from ..backend import Params, namespace
from ..settings import setting
from .base import OPTIMIZERS, Optimizer, State


@OPTIMIZERS.register("sgd")
@dataclass(frozen=True)
class SGD(Optimizer):
    r"""Stochastic gradient descent, the paper's optimizer (Section 5): $\theta \leftarrow \theta - \alpha g$.

    With momentum $\mu$ (Polyak 1964), an assumption that the paper's wording admits: $v \leftarrow \mu v + g$,
    $\theta \leftarrow \theta - \alpha v$.
    """

    name: ClassVar[str] = "sgd"
    elementwise: ClassVar[bool] = True
    uniform_step: ClassVar[bool] = True

    momentum: float = setting(0.0, "Momentum.", usual="0; lenet5 0.3", at_least=0, below=1)

    def init(self, params: Params) -> State:
        return {f"v.{name}": namespace(p).zeros_like(p) for name, p in params.items()} if self.momentum else {}

    def update(self, params: Params, grads: Params, state: State, t: int) -> tuple[Params, State]:
        if not self.momentum:
            return {name: p - self.learning_rate * grads[name] for name, p in params.items()}, state
        state = {f"v.{name}": self.momentum * state[f"v.{name}"] + g for name, g in grads.items()}
        return {name: p - self.learning_rate * state[f"v.{name}"] for name, p in params.items()}, state
