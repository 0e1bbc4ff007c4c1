r"""A net whose layers are kept as $W = U S V^\top$: parameters `U1 S1 V1 b1 ...` instead of `W1 b1 ...`."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from ..backend import Array, Backend, Params, backend, namespace
from ..errors import UsageError
from ..layers.activations import tanh
from ..layers.dense import affine
from ..layers.images import Shape, as_rows
from ..networks.base import Network
from ..networks.cnn import CNN, Apply, Primitive
from ..networks.fcnn import FCNN
from ..parameters import as_matrix, depth, number, weights
from ..rng import stream
from ..tape import Pullback, Tape, record
from ..validation import check_inputs
from .factorization import Factors, as_columns, product, rank, singular_values, truncated

FACTORS = "USV"


def ranks(params: Params, fraction: float) -> dict[str, int]:
    """The rank of each weight; the last keeps its full rank, as the authors have it."""
    *names, last = weights(params)
    return {name: rank(params[name].shape, fraction) for name in names} | {last: rank(params[last].shape, 1.0)}


def factorised(params: Params, fraction: float) -> Params:
    """`U1 S1 V1 b1 ...` for `W1 b1 ...`, each weight but the last truncated to a fraction of its full rank."""
    found: Params = {}
    r = ranks(params, fraction)
    for name, p in params.items():
        found |= _named(number(name), truncated(p, r[name])) if name in r else {name: p}
    return found


def init(backend: Backend, seed: int, full: Params, fraction: float, dtype: str) -> Params:
    r"""The authors' first factors of a net with weights shaped like those of `full`, whose biases are kept.

    Dense: the truncation of $W \sim U(-1/\sqrt n, 1/\sqrt n)$. Convolutional: U and V from the singular vectors of
    Gaussian matrices, S diagonal with the sorted absolute values of r standard Gaussians. Condition numbers are
    not yet bounded; the first step sees to it.
    """
    params: Params = {}
    r, drawn = ranks(full, fraction), dict(_drawn(seed, full, fraction))
    for name, p in full.items():
        if name not in r:
            params[name] = p
            continue
        first = drawn[name]
        cut = first if isinstance(first, Factors) else truncated(first, r[name])
        params |= {key: backend.asarray(x, dtype) for key, x in _named(number(name), cut).items()}
    return params


def first_means(seed: int, full: Params, fraction: float) -> dict[str, float]:
    """The mean singular value of each weight that `init` draws, before truncation, by name."""
    drawn = {name: W.S if isinstance(W, Factors) else W for name, W in _drawn(seed, full, fraction)}
    return mean_singular_values(drawn)


def mean_singular_values(params: Params) -> dict[str, float]:
    """The mean of all singular values of each weight, by name; nan where one is not finite."""
    return {name: float(namespace(W).mean(singular_values(as_matrix(W)))) for name, W in weights(params).items()}


def _drawn(seed: int, full: Params, fraction: float) -> Iterator[tuple[str, np.ndarray | Factors]]:
    """What `init` draws of each weight, by name: a dense one whole, a convolution in factors."""
    rng, r = stream(seed, "init"), ranks(full, fraction)
    for name, p in full.items():
        if name not in r:
            continue
        m, *inputs = p.shape
        n = math.prod(inputs)
        if len(inputs) == 1:
            yield name, rng.uniform(-1 / math.sqrt(n), 1 / math.sqrt(n), (m, n))
        else:
            U, V = (np.linalg.svd(rng.normal(size=(size, r[name])), full_matrices=False)[0] for size in (m, n))
            s = np.sort(np.abs(rng.normal(size=r[name])))[::-1]
            yield name, Factors(U, np.diag(s), V.reshape(*inputs, r[name]))


def _named(i: int, factors: Factors) -> Params:
    return {f"{kind}{i}": x for kind, x in zip(FACTORS, factors, strict=True)}


def factors(params: Params, i: int) -> Factors:
    """Those of layer i."""
    return Factors(*(params[f"{kind}{i}"] for kind in FACTORS))


def dense(params: Params) -> Params:
    """`W1 b1 ...` with every product formed: the same net, to look at its weights or to pass through it often.

    Weights that are no factors stay as they are.
    """
    found: Params = {}
    for name, p in params.items():
        if name[0] == "U":
            found[f"W{number(name)}"] = product(*factors(params, number(name)))
        elif name[0] not in "SV":
            found[name] = p
    return found


def is_low_rank(params: Params) -> bool:
    return any(name.startswith("S") for name in params)


def n_weights(params: Params) -> int:
    """How many numbers the weights are, m n each, or r (m + n + r) in factors; biases are not counted."""
    return sum(math.prod(p.shape) for name, p in params.items() if not name.startswith("b"))


@dataclass(frozen=True)
class LowRankNetwork(Network):
    """`network` with all of its layers in factors, each but the last of a fraction of its full rank.

    Raises `UsageError` for a network with another forward pass than `fcnn`, `cnn` and `lenet5`, and for a fraction not
    in (0, 1].
    """

    network: Network
    fraction: float

    def __post_init__(self) -> None:
        if type(self.network).forward not in (FCNN.forward, CNN.forward):
            raise UsageError(f"low-rank training supports fcnn, cnn and lenet5, not {self.network.name}")
        rank((1, 1), self.fraction)

    def init(self, backend: Backend, seed: int = 0, dtype: str = "float32") -> Params:
        return init(backend, seed, self.network.init(backend, seed, dtype), self.fraction, dtype)

    def first_means(self, seed: int = 0) -> dict[str, float]:
        """Of the weights that `init` draws with this seed: what the mode `mean` of `LowRankSGD` starts from."""
        return first_means(seed, self.network.init(backend("numpy"), seed, "float64"), self.fraction)

    def forward(self, params: Params, x: Float[Array, "batch n"]) -> tuple[Float[Array, "batch classes"], Tape]:
        tape: Tape = []
        return self._layers(tape, params, x)[-1], tape

    def hidden(self, params: Params, x: Float[Array, "batch n"]) -> list[Float[Array, "batch _"]]:
        return [as_rows(t)[0] for t in self._layers([], params, x)[:-1]]

    def image_shape(self, n: int) -> Shape:
        return self.network.image_shape(n)

    def full(self, params: Params) -> Params:
        return dense(params)

    def core(self, params: Params, name: str) -> Float[Array, "r r"]:
        """S, whose singular values are those of the product, without its rounding."""
        return factors(params, number(name)).S

    def _layers(self, tape: Tape, params: Params, x: Float[Array, "batch n"]) -> list[Array]:
        if isinstance(self.network, CNN):
            check_inputs(params, x, self.network.channels * self.network.side**2)
            return self.network.layers(tape, factored(params), x)
        check_inputs(params, x, params["V1"].shape[0])
        outputs, apply = [], factored(params)
        for i in range(1, depth(params) + 1):
            x = apply(tape, affine, i, x)
            if i < depth(params):
                x = record(tape, tanh(x))
            outputs.append(x)
        return outputs


def factored(params: Params) -> Apply:
    r"""Layer i by `affine` or `conv2d`, with its weight in factors.

    $y = x V S^\top U^\top + b$ is the layer $V^\top$ followed by the layer $A = U S$, at r (m + n) products an input
    instead of m n; $W$ is formed only where that is not fewer. With $dA$ the gradient with respect to A,
    $dU = dA\,S^\top$ and $dS = U^\top dA$; where W was formed $dA = dW\,V$ and $dV = dW^\top U S$.
    """

    def apply(tape: Tape, primitive: Primitive, i: int, x: Array) -> Array:
        xp, (U, S, V), b = namespace(x), factors(params, i), params[f"b{i}"]
        (m, r), columns, A = U.shape, as_columns(V), U @ S

        def through_A(dA: Array) -> tuple[Array, Array]:
            return dA @ xp.matrix_transpose(S), xp.matrix_transpose(U) @ dA

        if r * (m + columns.shape[0]) >= m * columns.shape[0]:
            y, pull = primitive(x, product(U, S, V), b)

            def of_W(dy: Array) -> tuple[Array, ...]:
                dW, db = pull.params(dy)
                dW = as_matrix(dW)
                return *through_A(dW @ columns), xp.reshape(xp.matrix_transpose(dW) @ A, V.shape), db

            return record(tape, (y, Pullback(pull.x, of_W)), f"U{i}", f"S{i}", f"V{i}", f"b{i}")
        h, into = primitive(x, xp.reshape(xp.matrix_transpose(columns), (r, *V.shape[:-1])), xp.zeros_like(S[0, ...]))
        y, out = primitive(h, xp.reshape(A, (m, r, *(1 for _ in V.shape[2:]))), b)

        def of_V(dh: Array) -> tuple[Array]:
            return (xp.reshape(xp.matrix_transpose(as_matrix(into.params(dh)[0])), V.shape),)

        def of_rest(dy: Array) -> tuple[Array, ...]:
            dA, db = out.params(dy)
            return *through_A(as_matrix(dA)), db

        record(tape, (h, Pullback(into.x, of_V)), f"V{i}")
        return record(tape, (y, Pullback(out.x, of_rest)), f"U{i}", f"S{i}", f"b{i}")

    return apply
