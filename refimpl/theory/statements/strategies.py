"""Strategies that draw examples: sizes first, then small whole numbers, which shrink well, or random ones.

Ties and degenerate subspaces are drawn where the arithmetic is exact. Elsewhere `_assume_decided` rejects examples in
which a comparison depends on rounding, because its outcome would say nothing about the statement.

Numbers are decoded from bytes, two for each number: hypothesis spends far longer on many small draws than on one.
"""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st

from ...backend import backend
from ...networks import fcnn
from ...parameters import weights
from ..linear import subspace
from .statement import Example

Draw = Callable[..., Any]
Decoder = Callable[[np.ndarray], np.ndarray]

NUMPY = backend("numpy")
DECIDED = 1e-9

seeds = st.integers(0, 2**32 - 1)
sizes = st.integers(1, 6)
scales = st.sampled_from([0, -200, 200]).map(lambda power: 2.0**power)
fractions = st.sampled_from([1.0, 0.0, 0.5]) | st.floats(0, 1.2)


def whole_numbers(largest: int) -> Decoder:
    """Decoder of 0, 1, 2, ... to 0, 1, -1, 2, -2, ..., `largest`, -`largest`, 0, 1, ..."""

    def decode(codes: np.ndarray) -> np.ndarray:
        code = codes % (2 * largest + 1)
        return np.where(code % 2, (code + 1) // 2, -code // 2).astype(float)

    return decode


def entries(codes: np.ndarray) -> np.ndarray:
    """Whole numbers from -9 to 9 for a third of the codes; else numbers of magnitude 0.01 to 9, of either sign."""
    magnitudes = 0.01 + 8.99 * (codes - 2**16 // 3) / (2**16 - 1 - 2**16 // 3)
    return np.where(codes < 2**16 // 3, whole_numbers(9)(codes), np.where(codes % 2, -1.0, 1.0) * magnitudes)


def choice(*values: float) -> Decoder:
    return lambda codes: np.array(values)[codes % len(values)]


signs = choice(1.0, -1.0)
coordinates = whole_numbers(20)


@st.composite
def numbers(draw: Draw, shape: tuple[int, ...], decode: Decoder = entries) -> np.ndarray:
    """Codes begin at 1, for hypothesis tries zero bytes where a shape shrinks, and a matrix of zeros shows little."""
    return decode(_codes(draw(_bytes(int(np.prod(shape))))) + 1).reshape(shape)


@st.composite
def columns(draw: Draw, *decoders: Decoder) -> list[np.ndarray]:
    """A column (n,) for each decoder, 1 <= n <= 6: drawn as a list of rows, which shrinks by leaving rows out."""
    rows = np.array([_codes(row) for row in draw(st.lists(_bytes(len(decoders)), min_size=1, max_size=6))])
    return [decode(column) for decode, column in zip(decoders, rows.T, strict=True)]


def _bytes(count: int) -> st.SearchStrategy[bytes]:
    return st.binary(min_size=2 * count, max_size=2 * count)


def _codes(drawn: bytes) -> np.ndarray:
    return np.frombuffer(drawn, ">u2").astype(np.int64)


@st.composite
def normal(draw: Draw, shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(draw(seeds)).normal(size=shape)


@st.composite
def subsets(draw: Draw, n: int) -> np.ndarray:
    """A boolean mask (n,)."""
    return draw(st.integers(0, 2**n - 1)) >> np.arange(n) & 1 > 0


@st.composite
def matrices(draw: Draw) -> Example:
    """A matrix W that is not zero, of any rank, tiny, huge or neither."""
    W = draw(numbers((draw(sizes), draw(sizes))))
    assume(W.any())
    return Example(W=draw(scales) * W)


@st.composite
def _vectors(draw: Draw) -> tuple[np.ndarray, np.ndarray]:
    """w (n,), half the time a multiple of a unit vector, the sparsest there is, and k others, (n, k)."""
    k = draw(st.just(1) | sizes)
    w, *others = draw(columns(*[entries] * (1 + k)))
    return (np.where(np.arange(len(w)) == len(w) - 1, w, 0.0) if draw(st.booleans()) else w), np.stack(others, axis=1)


@st.composite
def projections(draw: Draw) -> Example:
    """A vector w and a subspace V of any dimension."""
    w, A = draw(_vectors())
    V = _span(A) if draw(st.booleans()) else draw(_exact_bases(len(w)))
    return Example(w=draw(scales) * w, V=V)


@st.composite
def longer_projections(draw: Draw) -> Example:
    """A vector w and a subspace V with |Qw|_1 > |w|_1: as drawn, or else with w the unit vector of the longest Qw."""
    example = draw(projections())
    lengths = np.abs(example.V @ example.V.T).sum(axis=0)
    if np.abs(example.V @ example.V.T @ example.w).sum() <= np.abs(example.w).sum():
        example.w = np.eye(len(lengths))[lengths.argmax()]
        assume(lengths.max() > 1 + 1e-6)
    return example


@st.composite
def classifications(draw: Draw, inside: bool = False) -> Example:
    """A classifier w, a subspace V of any dimension, N examples x in it with labels y, and a budget eps.

    With `inside` w lies in V too.
    """
    w, A = draw(_vectors())
    exact = draw(st.booleans())
    if exact:
        w, A = np.round(w), draw(_exact_bases(len(w)))
    V = A if exact else _span(A)
    if inside:
        w = A @ draw(numbers((A.shape[1],), whole_numbers(9)))
    y, *xs = draw(columns(signs, *[coordinates] * A.shape[1]))
    x = np.stack(xs, axis=1) @ A.T
    largest, length = np.abs(x @ w).max(), (np.abs(w).sum() + np.abs(V @ V.T @ w).sum()) / 2
    eps = draw(fractions) * (largest / length if length else 1.0)  # 1: between the reaches of the attacks on w and Qw
    if exact:
        eps = np.round(4 * eps) / 4
    else:
        _assume_decided(w, V, x, eps)
    scale = draw(scales)
    return Example(w=draw(scales) * w, V=V, x=scale * x, y=y, eps=float(scale * eps))


def _span(A: np.ndarray) -> np.ndarray:
    """`subspace` without the zero columns, unless there are no others."""
    V = subspace(A)
    return V[:, V.any(axis=0)] if V.any() else V[:, :1]


@st.composite
def _exact_bases(draw: Draw, n: int) -> np.ndarray:
    """Orthonormal vectors with entries 0, 1 or ±1/2, so that projecting whole numbers is exact."""
    first = []
    if n >= 4 and draw(st.booleans()):
        first = [np.concatenate([0.5 * draw(numbers((4,), signs)), np.zeros(n - 4)])]
    rest = np.eye(n)[4 * len(first) :]
    V = np.array([*first, *rest[draw(subsets(len(rest)))]]).reshape(-1, n).T
    return V if V.size else np.zeros((n, 1))


def _assume_decided(w: np.ndarray, V: np.ndarray, x: np.ndarray, eps: float) -> None:
    """No score is within rounding of 0, of another, or of the reach of the attack on w or on Qw."""
    scores = np.sort(x @ w)
    size = np.abs(x) @ np.abs(w)
    assume(w.any() and np.all(np.diff(scores) > DECIDED * size.max()))
    for threshold in (0.0, eps * np.abs(w).sum(), eps * np.abs(V @ V.T @ w).sum()):
        assume(np.all(np.abs(np.abs(scores) - threshold) > DECIDED * (size.max() + threshold)))


@st.composite
def coordinate_subspaces(draw: Draw) -> Example:
    """A whole-numbered w, one entry often the largest by far, and a subspace V spanned by some of the unit vectors."""
    n = draw(sizes)
    w, kept = draw(numbers((n,), whole_numbers(9))), draw(subsets(n))
    w = w + draw(st.sampled_from([0.0, 20.0])) * np.eye(n)[draw(st.integers(0, n - 1))]
    assume(w[kept].any())
    return Example(w=w, V=np.eye(n)[:, kept])


@st.composite
def linear_models(draw: Draw) -> Example:
    """w not zero, examples x with labels y, a budget eps, and another perturbation within the budget for each."""
    N = draw(st.integers(1, 4))
    w, *drawn = draw(columns(*[entries] * (1 + N), *[choice(1.0, -1.0, 0.0, 0.5)] * N))
    assume(w.any())
    y, eps = draw(numbers((N,), signs)), draw(st.sampled_from([1.0, 0.0, 0.5]) | st.floats(0, 2))
    return Example(w=w, x=np.stack(drawn[:N]), y=y, eps=float(eps), other=np.stack(drawn[N:]))


@st.composite
def gaussian_classes(draw: Draw) -> Example:
    """w, and N(y mu, Sigma) on a subspace V: mu = V m, Sigma = V C V^T; a budget, a fraction of positives, a seed."""
    n = draw(sizes)
    k = draw(st.integers(1, n))
    rng = np.random.default_rng(draw(seeds))
    V = np.linalg.qr(rng.normal(size=(n, k)))[0]
    root = V @ rng.normal(size=(k, k))
    positive = draw(st.sampled_from([0.5, 0.25, 0.9, 1.0]))
    return Example(
        w=rng.normal(size=n), V=V, mean=V @ rng.normal(size=k), root=root, positive=positive,
        eps=draw(st.floats(0, 1)), seed=draw(seeds),
    )  # fmt: skip


@st.composite
def linear_nets(draw: Draw) -> Example:
    """Layers that chain, square first and last w, a subspace V of n dimensions and examples x in it."""
    n, depth = draw(sizes), draw(st.integers(1, 3))
    widths = [n, *(draw(sizes) for _ in range(depth))]
    V = _span(draw(numbers((n, draw(st.integers(1, n))))))
    layers = [draw(normal((m, h))) for m, h in pairwise(widths)]
    return Example(V=V, layers=layers, w=draw(normal((widths[-1],))), x=draw(normal((3, V.shape[1]))) @ V.T)


@st.composite
def nets(draw: Draw) -> Example:
    """A fully connected net of random weights, inputs x, and radii around both."""
    widths = [draw(sizes) for _ in range(draw(st.integers(2, 4)))]
    params = fcnn.init(NUMPY, draw(seeds), widths, "float64")
    radii = {name: draw(st.sampled_from([0.0, 0.01, 0.1, 1.0])) for name in weights(params)}
    x, eps = draw(normal((2, widths[0]))), draw(st.sampled_from([0.0, 0.01, 0.1, 1.0]))
    return Example(params=params, x=x, eps=eps, eps_weights=radii, seed=draw(seeds))


@st.composite
def filters(draw: Draw) -> Example:
    """Filters W (O, C, k, k), and an image of `across` x `across` patches that do not overlap."""
    k, across = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    shape = (draw(st.integers(1, 3)), draw(st.integers(1, 3)), k, k)
    W = draw(numbers(shape))
    assume(W.any())
    return Example(W=W, image=draw(numbers((shape[1], k * across, k * across))), across=across)


@st.composite
def clouds(draw: Draw) -> Example:
    """Hidden representations h of some examples, and a variance of the noise."""
    shape = draw(st.integers(1, 8)), draw(st.integers(1, 4))
    return Example(h=draw(st.sampled_from([1.0, 0.01, 100.0])) * draw(numbers(shape)), sigma2=draw(st.floats(0.01, 10)))


@st.composite
def widths(draw: Draw, largest: int) -> Example:
    """The widths of a dense net, inputs first."""
    return Example(widths=draw(st.lists(st.integers(1, 10) | st.integers(1, largest), min_size=3, max_size=7)))
