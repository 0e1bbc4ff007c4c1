"""Adam."""

from ..backend import Params, namespace
from .base import Optimizer, State, _check


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
