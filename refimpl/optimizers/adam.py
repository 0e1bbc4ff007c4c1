"""Adam."""

from dataclasses import dataclass
from typing import ClassVar

from ..backend import Params, namespace
from ..settings import setting
from .base import OPTIMIZERS, Optimizer, State


@OPTIMIZERS.register("adam")
@dataclass(frozen=True)
class Adam(Optimizer):
    r"""Adam (Kingma and Ba 2015, Algorithm 1).

    $\theta \leftarrow \theta - \alpha\,\hat m / (\sqrt{\hat v} + \varepsilon)$ with $m \leftarrow \beta_1 m + (1 -
    \beta_1) g$, $v \leftarrow \beta_2 v + (1 - \beta_2) g^2$, $\hat m = m / (1 - \beta_1^t)$, $\hat v = v / (1 -
    \beta_2^t)$.
    """

    name: ClassVar[str] = "adam"
    elementwise: ClassVar[bool] = True

    beta1: float = setting(0.9, "Decay of the first moment.", at_least=0, below=1)
    beta2: float = setting(0.999, "Decay of the second moment.", at_least=0, below=1)
    epsilon: float = setting(1e-8, "Added to the root of the second moment.", at_least=0)

    def init(self, params: Params) -> State:
        return {f"{moment}.{name}": namespace(p).zeros_like(p) for moment in "mv" for name, p in params.items()}

    def update(self, params: Params, grads: Params, state: State, t: int) -> tuple[Params, State]:
        m = {name: self.beta1 * state[f"m.{name}"] + (1 - self.beta1) * g for name, g in grads.items()}
        v = {name: self.beta2 * state[f"v.{name}"] + (1 - self.beta2) * g * g for name, g in grads.items()}
        correct1, correct2 = 1 - self.beta1**t, 1 - self.beta2**t
        params = {
            name: p - self.learning_rate * (m[name] / correct1) / (namespace(p).sqrt(v[name] / correct2) + self.epsilon)
            for name, p in params.items()
        }
        return params, {f"m.{n}": x for n, x in m.items()} | {f"v.{n}": x for n, x in v.items()}
