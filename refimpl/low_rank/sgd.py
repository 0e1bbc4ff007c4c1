r"""Robust low-rank training (Savostianova et al. 2023): SGD that keeps U and V orthonormal and S well conditioned.

One step, for a layer $W = U S V^\top$ with Euclidean gradients $g_U, g_S, g_V$:

1. $v \leftarrow \mu v + g$, for every factor;
2. $v_U \leftarrow (I - U U^\top) v_U C$ and $v_V$ likewise, C the preconditioner: the momentum keeps what is tangent;
3. $U \leftarrow \mathrm{qf}(U - \alpha v_U)$, V likewise, the Q of QR with a positive diagonal of R;
4. $S \leftarrow S - \alpha v_S$, followed by the constraint on its singular values.

Where G is the gradient by W, the flow on the manifold of rank r is $\dot U = -(I - U U^\top)\,G V S^{-1}$, and since
$g_U = G V S^\top$ that is $C = (S S^\top)^{-1}$; for V it is $(S^\top S)^{-1}$: the preconditioner `exact`. The
authors' program replaces it by a scalar, the default here: $(s_{min} / s_{max})^2$ of the S that the step before left,
1 at first; in the mode `mean` one over the mean singular value at the start, which it never refreshes.
"""

from dataclasses import dataclass

from ..backend import Array, Params, namespace
from ..errors import UsageError
from ..optimizers.base import Optimizer, State
from ..optimizers.sgd import sgd
from .factorization import as_columns, clamp, orthogonal, rank, retract, singular_values, tangent

MODES = ("clamp", "mean")
PRECONDITIONERS = ("scalar", "exact", "none")


@dataclass(frozen=True)
class LowRank:
    r"""What low-rank training is told: the share of the full rank that is kept, and how the factors are held.

    `tau` None is 0.1 in the mode `clamp`, and 0 in `mean`, which has no other. Infinite, it leaves S free. Raises
    `UsageError` for settings that are none.
    """

    share: float
    tau: float | None = None
    mode: str = "clamp"
    preconditioner: str = "scalar"

    def __post_init__(self) -> None:
        rank((1, 1), self.share)
        if self.mode not in MODES:
            raise UsageError(f"the mode of low-rank training must be one of {', '.join(MODES)}, got {self.mode!r}")
        if self.preconditioner not in PRECONDITIONERS:
            raise UsageError(
                f"the preconditioner must be one of {', '.join(PRECONDITIONERS)}, got {self.preconditioner!r}"
            )
        if self.tau is None:
            object.__setattr__(self, "tau", 0.1 if self.mode == "clamp" else 0.0)
        elif self.mode == "mean" and self.tau != 0:
            raise UsageError(f"the mode mean has condition number 1, a tau of 0: it cannot be {self.tau:g}")
        elif self.mode == "clamp" and not self.tau > 0:
            raise UsageError(f"tau must be above 0, got {self.tau:g}; a condition number of 1 is the mode mean")


def low_rank_sgd(how: LowRank, learning_rate: float = 0.001, momentum: float = 0.0) -> Optimizer:
    r"""Steps after which $\kappa(S) \le 1 + \tau$: `low_rank.clamp`; in the mode `mean`, 1: `low_rank.orthogonal`.

    Parameters that are no factors, the biases, take the steps of plain SGD.
    """
    mode, tau = how.mode, how.tau or 0.0
    plain = sgd(learning_rate, momentum)

    def init(params: Params) -> State:
        scalars = {}
        if how.preconditioner == "scalar":
            scalars = {f"c.{name}": _first_scalar(S, mode) for name, S in params.items() if name[0] == "S"}
        return plain.init(params) | scalars

    def update(params: Params, grads: Params, state: State, t: int) -> tuple[Params, State]:
        steps = {name: momentum * state[f"v.{name}"] + g for name, g in grads.items()} if momentum else dict(grads)
        for name in steps:
            if name[0] in "UV":
                U, S = params[name], f"S{name[1:]}"
                d = tangent(as_columns(U), as_columns(steps[name]))
                if how.preconditioner == "scalar":
                    d = d * state[f"c.{S}"]
                elif how.preconditioner == "exact":
                    d = d @ _inverse_gram(params[S], transposed=name[0] == "V")
                steps[name] = namespace(U).reshape(d, U.shape)
        new: Params = {}
        scalars = {name: c for name, c in state.items() if name[0] == "c"}
        for name, p in params.items():
            p = p - learning_rate * steps[name]
            if name[0] in "UV":
                p = namespace(p).reshape(retract(as_columns(p)), p.shape)
            elif name[0] == "S" and mode == "mean":
                p = orthogonal(p)
            elif name[0] == "S":
                p, s = clamp(p, tau)
                if scalars:
                    scalars[f"c.{name}"] = namespace(p).astype((s[-1:] / s[:1]) ** 2, p.dtype)
            new[name] = p
        return new, ({f"v.{name}": d for name, d in steps.items()} if momentum else {}) | scalars

    return Optimizer(init, update)


def _first_scalar(S: Array, mode: str) -> Array:
    """Of shape (1,), for a file."""
    xp = namespace(S)
    s = singular_values(S)
    return xp.astype(xp.ones_like(s[:1]) / xp.mean(s) if mode == "mean" else xp.ones_like(s[:1]), S.dtype)


def _inverse_gram(S: Array, transposed: bool) -> Array:
    r"""$(S S^\top)^{-1}$, or $(S^\top S)^{-1}$."""
    xp = namespace(S)
    A = xp.astype(xp.matrix_transpose(S) if transposed else S, xp.float64)
    return xp.astype(xp.linalg.inv(A @ xp.matrix_transpose(A)), S.dtype)
