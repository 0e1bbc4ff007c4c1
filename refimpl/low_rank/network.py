r"""A net whose layers are kept as $W = U S V^\top$: parameters `U1 S1 V1 b1 ...` instead of `W1 b1 ...`."""

import math
from collections.abc import Callable

import numpy as np

from ..backend import Array, Backend, Params, namespace
from ..parameters import as_matrix
from ..rng import stream
from ..tape import Pullback, Tape
from .factorization import Factors, as_columns, product, rank, truncated

Primitive = Callable[[Array, Array, Array], tuple[Array, Pullback]]
FACTORS = "USV"


def ranks(weights: Params, share: float) -> dict[str, int]:
    """The rank of each of the weights `W1 ...`; the last keeps its full rank, as the authors have it."""
    names = [name for name in weights if name.startswith("W")]
    return {name: rank(weights[name].shape, 1.0 if name == names[-1] else share) for name in names}


def factorised(params: Params, share: float) -> Params:
    """`U1 S1 V1 b1 ...` for the dense `W1 b1 ...`, each weight but the last truncated to its share of the full rank."""
    found: Params = {}
    r = ranks(params, share)
    for name, p in params.items():
        found |= _named(name[1:], truncated(p, r[name])) if name in r else {name: p}
    return found


def init(backend: Backend, seed: int, weights: Params, share: float, dtype: str) -> Params:
    r"""The authors' first factors of a net with such `weights`, of which only the shapes count; biases are theirs.

    Dense: the truncation of $W \sim U(-1/\sqrt n, 1/\sqrt n)$. Convolutional: U and V from the singular vectors of
    Gaussian matrices, S diagonal with the sorted absolute values of r standard Gaussians. Condition numbers are
    not yet bounded; the first step sees to it.
    """
    rng = stream(seed, "init")
    params: Params = {}
    r = ranks(weights, share)
    for name, p in weights.items():
        if name not in r:
            params[name] = p
            continue
        m, *inputs = p.shape
        n = math.prod(inputs)
        if len(inputs) == 1:
            drawn = truncated(rng.uniform(-1 / math.sqrt(n), 1 / math.sqrt(n), (m, n)), r[name])
        else:
            U, V = (np.linalg.svd(rng.normal(size=(size, r[name])), full_matrices=False)[0] for size in (m, n))
            s = np.sort(np.abs(rng.normal(size=r[name])))[::-1]
            drawn = Factors(U, np.diag(s), V.reshape(*inputs, r[name]))
        params |= {key: backend.asarray(x, dtype) for key, x in _named(name[1:], drawn).items()}
    return params


def _named(i: str, factors: Factors) -> Params:
    return {f"{kind}{i}": x for kind, x in zip(FACTORS, factors, strict=True)}


def is_low_rank(params: Params) -> bool:
    return any(name.startswith("S") for name in params)


def factors(params: Params, i: int | str) -> Factors:
    """Those of layer i."""
    return Factors(*(params[f"{kind}{i}"] for kind in FACTORS))


def dense(params: Params) -> Params:
    """`W1 b1 ...` with every product formed: the same net, for whoever looks at its weights or passes through it often.

    Weights that are no factors stay as they are.
    """
    found: Params = {}
    for name, p in params.items():
        if name[0] == "U":
            found[f"W{name[1:]}"] = product(*factors(params, name[1:]))
        elif name[0] not in "SV":
            found[name] = p
    return found


def n_weights(params: Params) -> int:
    """How many numbers the weights are, m n each, or r (m + n + r) in factors; biases are not counted."""
    return sum(math.prod(p.shape) for name, p in params.items() if not name.startswith("b"))


def inputs(params: Params, i: int) -> tuple[int, ...]:
    """The shape of what layer i takes of one example: (n,), or (C, k, k) of a patch."""
    return tuple(params[f"W{i}"].shape[1:] if f"W{i}" in params else params[f"V{i}"].shape[:-1])


def layer(primitive: Primitive, params: Params, i: int, x: Array) -> tuple[Array, Tape]:
    r"""Layer i by `affine` or `conv2d`, with its weight full or in factors, and its part of the tape.

    $y = x V S^\top U^\top + b$ is the layer $V^\top$ followed by the layer $A = U S$, at r (m + n) products an input
    instead of m n; $W$ is formed only where that is not fewer. With $dA$ the gradient by A,
    $dU = dA\,S^\top$ and $dS = U^\top dA$; where W was formed $dA = dW\,V$ and $dV = dW^\top U S$.
    """
    if f"W{i}" in params:
        names = (f"W{i}", f"b{i}")
        y, pull = primitive(x, *(params[name] for name in names))
        return y, [(names, pull)]
    xp, (U, S, V), b = namespace(x), factors(params, i), params[f"b{i}"]
    (m, r), columns, A = U.shape, as_columns(V), U @ S

    def through_A(dA: Array) -> tuple[Array, Array]:
        return dA @ xp.matrix_transpose(S), xp.matrix_transpose(U) @ dA

    if r * (m + columns.shape[0]) >= m * columns.shape[0]:
        y, pull = primitive(x, product(U, S, V), b)

        def by_W(dy: Array) -> tuple[Array, ...]:
            dW, db = pull.params(dy)
            dW = as_matrix(dW)
            return *through_A(dW @ columns), xp.reshape(xp.matrix_transpose(dW) @ A, V.shape), db

        return y, [((f"U{i}", f"S{i}", f"V{i}", f"b{i}"), Pullback(pull.x, by_W))]
    h, into = primitive(x, xp.reshape(xp.matrix_transpose(columns), (r, *V.shape[:-1])), xp.zeros_like(S[0, ...]))
    y, out = primitive(h, xp.reshape(A, (m, r, *(1 for _ in V.shape[2:]))), b)

    def by_V(dh: Array) -> tuple[Array]:
        return (xp.reshape(xp.matrix_transpose(as_matrix(into.params(dh)[0])), V.shape),)

    def by_rest(dy: Array) -> tuple[Array, ...]:
        dA, db = out.params(dy)
        return *through_A(as_matrix(dA)), db

    return y, [((f"V{i}",), Pullback(into.x, by_V)), ((f"U{i}", f"S{i}", f"b{i}"), Pullback(out.x, by_rest))]
