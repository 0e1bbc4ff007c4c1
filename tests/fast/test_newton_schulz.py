"""The polar factor from step to step: the definition, whatever the matrix does between two calls."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from strategies import seeds, sizes

from refimpl.fast import newton_schulz
from refimpl.fast.newton_schulz import NewtonSchulzPolar
from refimpl.regularizers.nuclear import nuclear, nuclear_by_svd


@st.composite
def walks(draw):
    """A matrix and small changes of it: of full rank, deficient or zero; wide or tall; tiny or huge."""
    m, n = draw(sizes), draw(sizes)
    rng = np.random.default_rng(draw(seeds))
    rank = draw(st.integers(0, min(m, n)))
    scale = draw(st.sampled_from([1e-30, 1e-3, 1.0, 1e3, 1e30]))
    left, right = rng.normal(size=(m, rank)), rng.normal(size=(rank, n))
    walk = [left @ right]
    for _ in range(4):
        left = left + draw(st.sampled_from([0.0, 1e-4, 1e-2])) * rng.normal(size=left.shape)
        walk.append(left @ right)
    return [(scale * W).astype(np.float32) for W in walk]


@given(walks(), seeds)
def test_it_stays_a_subgradient_along_the_way(walk, seed):
    """<G, W> = |W|_*, |G|_2 <= 1, and the inequality that defines a subgradient, at another matrix."""
    W = np.zeros_like(walk[0])
    polar = NewtonSchulzPolar(W)
    for now in walk:
        W[...] = now
        G, exact = polar().astype(np.float64), W.astype(np.float64)
        value = np.linalg.norm(exact, "nuc")
        assert_allclose(np.sum(G * exact), value, rtol=2e-5)
        assert np.linalg.norm(G, 2) <= 1 + 2e-5
        Z = np.random.default_rng(seed).normal(size=W.shape) * np.abs(exact).max()
        bound = np.linalg.norm(Z, "nuc")
        assert bound >= value + np.sum(G * (Z - exact)) - 1e-4 * bound


@pytest.mark.parametrize("shape", [(20, 784), (784, 20), (20, 20)])
def test_it_is_the_definition_on_the_papers_shapes(rng, shape):
    U, _, Vh = np.linalg.svd(rng.normal(size=shape), full_matrices=False)
    W = ((U * np.linspace(1, 1.6, 20)) @ Vh).astype(np.float32)
    polar = NewtonSchulzPolar(W)
    for _ in range(20):
        exact = nuclear_by_svd(W.astype(np.float64))[1]
        assert_allclose(polar(0.5), 0.5 * exact, atol=1e-6)
        W -= np.float32(1e-3) * (exact + rng.normal(size=shape) / 20).astype(np.float32)


@pytest.mark.parametrize("condition", [1.1, 2.0, 3.0, 4.5])
def test_singular_values_far_apart_cost_no_accuracy(rng, condition):
    """A step that turns the singular vectors, which the iteration does not correct at once."""
    U, _, Vh = np.linalg.svd(rng.normal(size=(6, 9)), full_matrices=False)
    W = ((U * np.geomspace(1, condition, 6)) @ Vh).astype(np.float32)
    polar = NewtonSchulzPolar(W)
    polar()
    for _ in range(10):
        W += np.float32(2e-4) * rng.normal(size=W.shape).astype(np.float32)
        assert_allclose(polar(), nuclear_by_svd(W.astype(np.float64))[1], atol=1e-5)


@pytest.mark.parametrize("wide", [True, False])
def test_one_eigenproblem_an_epoch_and_one_more_after_a_jump(rng, monkeypatch, wide):
    solved = []
    original = newton_schulz.inverse_sqrt
    monkeypatch.setattr(newton_schulz, "inverse_sqrt", lambda W: solved.append(W) or original(W))
    tall = np.linalg.qr(rng.normal(size=(50, 8)))[0].astype(np.float32)
    W = tall.T.copy() if wide else tall.T
    polar = NewtonSchulzPolar(W if wide else tall)
    for _ in range(10):
        polar()
        W += np.float32(1e-4) * rng.normal(size=W.shape).astype(np.float32)
    assert len(solved) == 1
    W[...] = np.linalg.qr(rng.normal(size=(50, 8)))[0].T * np.linspace(1, 3, 8)[:, None]
    assert_allclose(polar() if wide else polar().T, nuclear(W)[1], atol=1e-6)
    assert len(solved) == 2
    assert all(A.shape == (8, 50) for A in solved)


def test_it_ends_where_it_leaves_no_more_than_is_accurate():
    """Between singular values of the ratio k, a residual leaves (k - 1)^2 / 4k of itself; far apart it is not tried."""
    for k in (1.5, 2.0, 4.9):
        polar = NewtonSchulzPolar(3 * np.diag([1.0, k, 1.2]).astype(np.float32))
        polar()
        assert polar.close * (k - 1) ** 2 / (4 * k) == pytest.approx(newton_schulz.ACCURATE, rel=1e-5)
    polar = NewtonSchulzPolar(np.eye(3, dtype=np.float32))
    polar()
    assert polar.close == newton_schulz.CLOSE


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
@pytest.mark.parametrize(("condition", "problems"), [(4.9, 1), (5.1, 3), (5.9, 3)])
def test_an_eigenproblem_a_call_where_singular_values_are_far_apart(monkeypatch, condition, problems, scale):
    solved = []
    original = newton_schulz.inverse_sqrt
    monkeypatch.setattr(newton_schulz, "inverse_sqrt", lambda W: solved.append(W) or original(W))
    polar = NewtonSchulzPolar(scale * np.diag([condition, 1.0]).astype(np.float32))
    for _ in range(3):
        polar()
    assert len(solved) == problems


@pytest.mark.parametrize(("factor", "problems"), [(1.05, 1), (1.09, 1), (1.12, 2), (1.3, 2)])
def test_an_eigenproblem_where_the_matrix_has_gone_far(monkeypatch, factor, problems):
    """After a matrix with equal singular values became f times as large, I - Z A Z is (1 - f^2) I."""
    solved = []
    original = newton_schulz.inverse_sqrt
    monkeypatch.setattr(newton_schulz, "inverse_sqrt", lambda W: solved.append(W) or original(W))
    W = np.eye(2, dtype=np.float32)
    polar = NewtonSchulzPolar(W)
    polar()
    W *= np.float32(factor)
    assert_allclose(polar(), np.eye(2), atol=1e-6)
    assert len(solved) == problems  # one more from a norm of 0.3 on


def test_after_forgetting_nothing_of_before_is_left(rng):
    W = rng.normal(size=(4, 9)).astype(np.float32)
    polar, other = NewtonSchulzPolar(W), NewtonSchulzPolar(W)
    for _ in range(3):
        polar()
        W += np.float32(1e-3)
    polar.forget()
    assert_array_equal(polar(), other())


def test_what_is_not_finite_stays_that_way(rng):
    W = rng.normal(size=(4, 9)).astype(np.float32)
    polar = NewtonSchulzPolar(W)
    polar()
    W[0, 0] = np.nan
    with np.errstate(invalid="ignore"):
        assert np.isnan(polar()).any()
