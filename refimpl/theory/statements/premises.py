"""Examples to try statements on: sizes first, then small whole numbers, which shrink well, or random ones.

Ties and degenerate subspaces are drawn where the arithmetic is exact. Elsewhere `_decided` sees to it that no
comparison hangs on the last bit, for then its outcome would say nothing of the statement.
"""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ...backend import backend
from ...networks import fcnn
from ..linear import subspace
from .statement import Case

Draw = Callable[..., Any]

seeds = st.integers(0, 2**32 - 1)
sizes = st.integers(1, 6)
scales = st.sampled_from([0, -200, 200]).map(lambda power: 2.0**power)
shares = st.sampled_from([1.0, 0.0, 0.5]) | st.floats(0, 1.2)
entries = st.integers(-9, 9).map(float) | st.floats(0.01, 9) | st.floats(-9, -0.01)
labels = st.sampled_from([1.0, -1.0])
coordinates = st.integers(-20, 20).map(float)
NUMPY = backend("numpy")
DECIDED = 1e-9


def whole(shape: tuple[int, ...], largest: int = 9) -> st.SearchStrategy[np.ndarray]:
    return arrays(np.float64, shape, elements=st.integers(-largest, largest).map(float))


@st.composite
def normal(draw: Draw, shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(draw(seeds)).normal(size=shape)


def numbers(shape: tuple[int, ...]) -> st.SearchStrategy[np.ndarray]:
    return arrays(np.float64, shape, elements=entries)


@st.composite
def matrices(draw: Draw) -> Case:
    """A matrix W that is not zero, of any rank, tiny, huge or neither."""
    W = draw(numbers((draw(sizes), draw(sizes))))
    assume(W.any())
    return Case(W=draw(scales) * W)


@st.composite
def _columns(draw: Draw, *kinds: st.SearchStrategy[float]) -> np.ndarray:
    """(n, kinds) numbers, 1 <= n <= 6: drawn as a list of rows, for a list shrinks by leaving rows out."""
    return np.array(draw(st.lists(st.tuples(*kinds), min_size=1, max_size=6)))


@st.composite
def _vectors(draw: Draw) -> tuple[np.ndarray, np.ndarray]:
    """w (n,), half the time a multiple of a unit vector, the sparsest there is, and k others, (n, k)."""
    drawn = draw(_columns(*[entries] * (1 + draw(st.just(1) | sizes))))
    w, others = drawn[:, 0], drawn[:, 1:]
    return (np.where(np.arange(len(w)) == len(w) - 1, w, 0.0) if draw(st.booleans()) else w), others


@st.composite
def projections(draw: Draw) -> Case:
    """A vector w and a subspace V of any dimension."""
    w, A = draw(_vectors())
    V = _span(A) if draw(st.booleans()) else draw(_exact_bases(len(w)))
    return Case(w=draw(scales) * w, V=V)


@st.composite
def classifications(draw: Draw, inside: bool = False) -> Case:
    """A classifier w, a subspace V of any dimension, N examples x in it with labels y, and a budget eps.

    With `inside` w lies in V too.
    """
    w, A = draw(_vectors())
    exact = draw(st.booleans())
    if exact:
        w, A = np.round(w), draw(_exact_bases(len(w)))
    V = A if exact else _span(A)
    if inside:
        w = A @ draw(whole((A.shape[1],)))
    examples = draw(_columns(labels, *[coordinates] * A.shape[1]))
    y, x = examples[:, 0], examples[:, 1:] @ A.T
    largest, length = np.abs(x @ w).max(), (np.abs(w).sum() + np.abs(V @ V.T @ w).sum()) / 2
    eps = draw(shares) * (largest / length if length else 1.0)  # 1: between the reaches of the attacks on w and Qw
    if exact:
        eps = np.round(4 * eps) / 4
    else:
        _decided(w, V, x, eps)
    scale = draw(scales)
    return Case(w=draw(scales) * w, V=V, x=scale * x, y=y, eps=float(scale * eps))


def _span(A: np.ndarray) -> np.ndarray:
    """`subspace` without the zero columns, unless there are no others."""
    V = subspace(A)
    return V[:, V.any(axis=0)] if V.any() else V[:, :1]


@st.composite
def _exact_bases(draw: Draw, n: int) -> np.ndarray:
    """Orthonormal vectors with entries 0, 1 or ±1/2, so that projecting whole numbers is exact."""
    first = []
    if n >= 4 and draw(st.booleans()):
        first = [[0.5 * sign for sign in draw(st.tuples(*[labels] * 4))] + [0.0] * (n - 4)]
    rest = np.eye(n)[4 * len(first) :]
    kept = draw(arrays(np.bool_, len(rest)))
    V = np.array([*first, *rest[kept]]).reshape(-1, n).T
    return V if V.size else np.zeros((n, 1))


def _decided(w: np.ndarray, V: np.ndarray, x: np.ndarray, eps: float) -> None:
    """No score is within rounding of 0, of another, or of the reach of the attack on w or on Qw."""
    scores = np.sort(x @ w)
    size = np.abs(x) @ np.abs(w)
    assume(w.any() and np.all(np.diff(scores) > DECIDED * size.max()))
    for threshold in (0.0, eps * np.abs(w).sum(), eps * np.abs(V @ V.T @ w).sum()):
        assume(np.all(np.abs(np.abs(scores) - threshold) > DECIDED * (size.max() + threshold)))


@st.composite
def coordinate_subspaces(draw: Draw) -> Case:
    """A whole-numbered w, one entry often the largest by far, and a subspace V spanned by some of the unit vectors."""
    n = draw(sizes)
    w, kept = draw(whole((n,))), draw(arrays(np.bool_, n))
    w = w + draw(st.sampled_from([0.0, 20.0])) * np.eye(n)[draw(st.integers(0, n - 1))]
    assume(w[kept].any())
    return Case(w=w, V=np.eye(n)[:, kept])


@st.composite
def linear_models(draw: Draw) -> Case:
    """w not zero, examples x with labels y, a budget eps, and another perturbation within the budget for each."""
    N, directions = draw(st.integers(1, 4)), st.sampled_from([1.0, -1.0, 0.0, 0.5])
    drawn = draw(_columns(*[entries] * (1 + N), *[directions] * N))
    w, x, other = drawn[:, 0], drawn[:, 1 : 1 + N].T, drawn[:, 1 + N :].T
    assume(w.any())
    y, eps = draw(arrays(np.float64, N, elements=labels)), draw(st.sampled_from([1.0, 0.0, 0.5]) | st.floats(0, 2))
    return Case(w=w, x=x, y=y, eps=float(eps), other=other)


@st.composite
def gaussian_classes(draw: Draw) -> Case:
    """w, and N(y mu, Sigma) on a subspace V: mu = V m, Sigma = V C V^T; a budget, a share of positives, a seed."""
    n = draw(sizes)
    k = draw(st.integers(1, n))
    rng = np.random.default_rng(draw(seeds))
    V = np.linalg.qr(rng.normal(size=(n, k)))[0]
    root = V @ rng.normal(size=(k, k))
    positive = draw(st.sampled_from([0.5, 0.25, 0.9, 1.0]))
    return Case(
        w=rng.normal(size=n), V=V, mean=V @ rng.normal(size=k), root=root, positive=positive,
        eps=draw(st.floats(0, 1)), seed=draw(seeds),
    )  # fmt: skip


@st.composite
def linear_nets(draw: Draw) -> Case:
    """Layers that chain, square first and last w, a subspace V of n dimensions and examples x in it."""
    n, depth = draw(sizes), draw(st.integers(1, 3))
    widths = [n, *(draw(sizes) for _ in range(depth))]
    V = _span(draw(numbers((n, draw(st.integers(1, n))))))
    layers = [draw(normal((m, h))) for m, h in pairwise(widths)]
    return Case(V=V, layers=layers, w=draw(normal((widths[-1],))), x=draw(normal((3, V.shape[1]))) @ V.T)


@st.composite
def nets(draw: Draw) -> Case:
    """A fully connected net of random weights, inputs x, and radii around both."""
    widths = [draw(sizes) for _ in range(draw(st.integers(2, 4)))]
    params = fcnn.init(NUMPY, draw(seeds), widths, "float64")
    radii = {name: draw(st.sampled_from([0.0, 0.01, 0.1, 1.0])) for name in params if name.startswith("W")}
    x, eps = draw(normal((2, widths[0]))), draw(st.sampled_from([0.0, 0.01, 0.1, 1.0]))
    return Case(params=params, x=x, eps=eps, eps_weights=radii, seed=draw(seeds))


@st.composite
def filters(draw: Draw) -> Case:
    """Filters W (O, C, k, k), and an image of `across` x `across` patches that do not overlap."""
    k, across = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    shape = (draw(st.integers(1, 3)), draw(st.integers(1, 3)), k, k)
    W = draw(numbers(shape))
    assume(W.any())
    return Case(W=W, image=draw(numbers((shape[1], k * across, k * across))), across=across)


@st.composite
def clouds(draw: Draw) -> Case:
    """Hidden representations h of some examples, and a variance of the noise."""
    shape = draw(st.integers(1, 8)), draw(st.integers(1, 4))
    return Case(h=draw(st.sampled_from([1.0, 0.01, 100.0])) * draw(numbers(shape)), sigma2=draw(st.floats(0.01, 10)))


@st.composite
def widths(draw: Draw) -> Case:
    """The widths of a dense net, inputs first."""
    return Case(widths=draw(st.lists(st.integers(1, 10) | st.integers(1, 800), min_size=3, max_size=7)))
