r"""Robust low-rank training (Savostianova et al. 2023): SGD that keeps U and V orthonormal and S well conditioned.

One step, for a layer $W = U S V^\top$ with Euclidean gradients $g_U, g_S, g_V$:

1. $v \leftarrow \mu v + g$, for every factor;
2. $v_U \leftarrow (I - U U^\top) v_U C$ and $v_V$ likewise, C the preconditioner: the momentum keeps what is tangent;
3. $U \leftarrow \mathrm{qf}(U - \alpha v_U)$, V likewise, the Q of QR with a positive diagonal of R;
4. $S \leftarrow S - \alpha v_S$, followed by the constraint on its singular values.

Where G is the gradient with respect to W, the flow on the manifold of rank r is
$\dot U = -(I - U U^\top)\,G V S^{-1}$, and since $g_U = G V S^\top$ that is $C = (S S^\top)^{-1}$; for V it is
$(S^\top S)^{-1}$: the preconditioner `exact`. The authors' program replaces it by a scalar, the default here:
$(s_{min} / s_{max})^2$ of the S that the step before left, 1 at first; in the mode `mean` one over the mean singular
value of the weight that was drawn, before a dense one is truncated, which it never refreshes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from ..backend import Array, Params, namespace
from ..errors import UsageError
from ..optimizers import SGD, Optimizer, State
from ..settings import Settings, setting
from .factorization import as_columns, clamp, orthogonal, retract, singular_values, tangent

MODES = ("clamp", "mean")
PRECONDITIONERS = ("scalar", "exact", "none")


@dataclass(frozen=True)
class LowRank(Settings):
    r"""The fraction of the full rank that is kept, and how the factors are held.

    `tau` None is 0.1 in the mode `clamp`, and 0 in `mean`, which has no other. Infinite, it leaves S free. Raises
    `UsageError` for settings that mean nothing.
    """

    name: ClassVar[str] = "low-rank"

    fraction: float = setting(
        1.0, "Keep layers as U S V^T of this fraction of the full rank, 50% or 0.5; the last keeps its full rank.",
        usual="layers are full", above=0, at_most=1,
    )  # fmt: skip
    tau: float | None = setting(None, "Condition numbers are at most 1 + tau.", usual="0.1", at_least=0, infinite=True)
    mode: str = setting(
        "clamp", "Bound the condition numbers by clamping singular values, or make them all the same.", choices=MODES
    )
    preconditioner: str = setting(
        "scalar", "Of the steps of U and V: the authors' program's, their theory's, or none.", choices=PRECONDITIONERS
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.tau is None:
            object.__setattr__(self, "tau", 0.1 if self.mode == "clamp" else 0.0)
        elif self.mode == "mean" and self.tau != 0:
            raise UsageError(f"the mode mean has condition number 1, a tau of 0: it cannot be {self.tau:g}")
        elif self.mode == "clamp" and not self.tau > 0:
            raise UsageError(f"tau must be above 0, got {self.tau:g}; a condition number of 1 is the mode mean")


@dataclass(frozen=True)
class LowRankSGD:
    r"""Steps after which $\kappa(S) \le 1 + \tau$: `factorization.clamp`; in the mode `mean`, 1: `orthogonal`.

    Parameters that are no factors, the biases, take the steps of plain SGD. Raises `UsageError` for another optimizer.
    """

    optimizer: Optimizer
    how: LowRank

    def __post_init__(self) -> None:
        if not isinstance(self.optimizer, SGD):
            raise UsageError(
                f"low-rank training has sgd's steps, with momentum if you like; not {self.optimizer.name}'s"
            )

    def init(self, params: Params, means: Mapping[str, float] | None = None) -> State:
        """The state before the first step.

        `means` has, for the mode `mean`, the mean singular value of each full weight by its name W1, W2, ...
        (`LowRankNetwork.first_means`, `mean_singular_values`); of a layer without one it is that of S.
        """
        scalars, means = {}, means or {}
        if self.how.preconditioner == "scalar":
            for name, S in params.items():
                if name[0] == "S":
                    scalars[f"c.{name}"] = _first_scalar(S, self.how.mode, means.get(f"W{name[1:]}"))
        return self.optimizer.init(params) | scalars

    def update(self, params: Params, grads: Params, state: State, t: int) -> tuple[Params, State]:
        assert isinstance(self.optimizer, SGD), "checked at the start"
        momentum, learning_rate = self.optimizer.momentum, self.optimizer.learning_rate
        steps = {name: momentum * state[f"v.{name}"] + g for name, g in grads.items()} if momentum else dict(grads)
        for name in steps:
            if name[0] in "UV":
                steps[name] = self._tangent(name, params, steps[name], state)
        new: Params = {}
        scalars = {name: c for name, c in state.items() if name[0] == "c"}
        for name, p in params.items():
            p = p - learning_rate * steps[name]
            if name[0] in "UV":
                p = namespace(p).reshape(retract(as_columns(p)), p.shape)
            elif name[0] == "S" and self.how.mode == "mean":
                p = orthogonal(p)
            elif name[0] == "S":
                p, s = clamp(p, self.how.tau or 0.0)
                if scalars:
                    scalars[f"c.{name}"] = namespace(p).astype((s[-1:] / s[:1]) ** 2, p.dtype)
            new[name] = p
        return new, ({f"v.{name}": d for name, d in steps.items()} if momentum else {}) | scalars

    def _tangent(self, name: str, params: Params, step: Array, state: State) -> Array:
        """What of a step of U or V is tangent, preconditioned."""
        U, S = params[name], f"S{name[1:]}"
        d = tangent(as_columns(U), as_columns(step))
        if self.how.preconditioner == "scalar":
            d = d * state[f"c.{S}"]
        elif self.how.preconditioner == "exact":
            d = d @ _inverse_gram(params[S], transposed=name[0] == "V")
        return namespace(U).reshape(d, U.shape)


def _first_scalar(S: Array, mode: str, mean: float | None) -> Array:
    """Of shape (1,), for a file."""
    xp = namespace(S)
    s = singular_values(S)
    of_mean = xp.ones_like(s[:1]) / (xp.mean(s) if mean is None else mean)
    return xp.astype(of_mean if mode == "mean" else xp.ones_like(s[:1]), S.dtype)


def _inverse_gram(S: Array, transposed: bool) -> Array:
    r"""$(S S^\top)^{-1}$, or $(S^\top S)^{-1}$."""
    xp = namespace(S)
    A = xp.astype(xp.matrix_transpose(S) if transposed else S, xp.float64)
    return xp.astype(xp.linalg.inv(A @ xp.matrix_transpose(A)), S.dtype)
