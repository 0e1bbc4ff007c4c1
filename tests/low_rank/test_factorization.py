"""Factors U S Vᵀ as matrices: rank, truncation, retraction, and the two constraints on S."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from strategies import matrices, seeds, sizes

from refimpl import UsageError
from refimpl.low_rank import factorization, mean_singular_values
from refimpl.low_rank.factorization import (
    as_columns,
    orthogonal,
    product,
    rank,
    retract,
    singular_values,
    tangent,
    truncated,
)
from refimpl.measures.rank_sparsity import condition_number
from refimpl.parameters import as_matrix
from refimpl.regularizers import Nuclear, nuclear, singular_value_threshold

taus = st.floats(1e-3, 10)
dtypes = st.sampled_from(["float32", "float64"])


@st.composite
def square(draw):
    """S (r, r), its scale anything, in either precision."""
    r, rng = draw(sizes), np.random.default_rng(draw(seeds))
    return (rng.normal(size=(r, r)) * draw(st.sampled_from([1e-6, 1.0, 1e6]))).astype(draw(dtypes))


@st.composite
def tall(draw):
    """X (n, r), n at least r."""
    r, rng = draw(sizes), np.random.default_rng(draw(seeds))
    return rng.normal(size=(r + draw(st.integers(0, 30)), r)).astype(draw(dtypes))


def kappa(S) -> float:
    s = np.linalg.svd(S.astype(np.float64))[1]
    return s[0] / s[-1]


def clamp(S, tau):
    return factorization.clamp(S, tau)[0]


def gap(Q) -> float:
    Q = Q.astype(np.float64)
    return np.linalg.norm(Q.T @ Q - np.eye(Q.shape[1]))


@pytest.mark.parametrize(
    ("shape", "fraction", "expected"),
    [
        ((20, 1, 5, 5), 0.5, 10), ((50, 20, 5, 5), 0.5, 25), ((500, 800), 0.5, 250), ((10, 500), 1.0, 10),
        ((20, 1, 5, 5), 1 - 0.8, 4), ((50, 20, 5, 5), 1 - 0.8, 10), ((500, 800), 1 - 0.8, 100),
        ((7, 3), 0.5, 2), ((100, 200), 0.07, 7), ((100, 200), 0.07 + 3e-12, 7), ((3, 9), 1e-9, 1),
    ],
)  # fmt: skip
def test_the_rank_is_the_fraction_of_the_smaller_side_rounded_up(shape, fraction, expected):
    """Among them LeNet-5's, as the authors' program has them."""
    assert rank(shape, fraction) == expected


@pytest.mark.parametrize("fraction", [0.0, -0.1, 1.2, math.nan])
def test_a_fraction_that_is_none_is_refused(fraction):
    with pytest.raises(UsageError, match="above 0 % and at most 100 %"):
        rank((3, 4), fraction)


@given(matrices(), st.data())
def test_truncation_is_the_nearest_of_its_rank(W, data):
    """Its distance is what the left-out singular values make, and no other matrix of that rank is nearer."""
    r = data.draw(st.integers(1, min(W.shape)))
    U, S, V = truncated(W, r)
    s = np.linalg.svd(W)[1]
    best = math.sqrt((s[r:] ** 2).sum())
    assert gap(U) < 1e-12
    assert gap(V) < 1e-12
    assert_allclose(np.linalg.norm(W - product(U, S, V)), best, atol=1e-10)
    rng = np.random.default_rng(data.draw(seeds))
    other = product(U + 0.1 * rng.normal(size=U.shape), S, V + 0.1 * rng.normal(size=V.shape))
    assert np.linalg.norm(W - other) >= best - 1e-10


@given(seeds)
def test_filters_are_truncated_as_their_matrix(seed):
    W = np.random.default_rng(seed).normal(size=(5, 2, 3, 3))
    factors, flat = truncated(W, 3), truncated(W.reshape(5, 18), 3)
    assert factors.V.shape == (2, 3, 3, 3)
    assert_allclose(as_columns(factors.V), flat.V)
    assert_allclose(product(*factors).reshape(5, 18), product(*flat))


@given(tall())
def test_retraction_is_orthonormal_to_1e6_and_spans_what_it_was_given_in_order(X):
    Q = retract(X)
    assert Q.dtype == X.dtype
    assert gap(Q) < 1e-6
    R = Q.T.astype(float) @ X
    tolerance = 300 * np.finfo(X.dtype).eps * np.linalg.norm(X)
    assert_allclose(Q @ R, X, atol=tolerance)
    assert_allclose(np.tril(R, -1), 0, atol=tolerance)
    assert (np.diag(R) > -tolerance).all()


@given(tall())
def test_retraction_of_what_is_orthonormal_changes_nothing(X):
    Q = retract(X)
    assert_allclose(retract(Q), Q, atol=30 * np.finfo(X.dtype).eps)


@given(tall(), seeds)
def test_a_tangent_direction_has_no_component_along_U(X, seed):
    U = retract(X.astype(np.float64))
    dU = np.random.default_rng(seed).normal(size=U.shape)
    found = tangent(U, dU)
    assert_allclose(U.T @ found, 0, atol=1e-12)
    assert_allclose(tangent(U, found), found, atol=1e-12)
    assert_allclose(tangent(U, U @ dU[: U.shape[1]]), 0, atol=1e-11)


@given(tall(), seeds)
def test_retraction_is_of_first_order(X, seed):
    """qf(U + t d) = U + t d + O(t²) for a tangent d: halving t quarters the difference."""
    U = retract(X.astype(np.float64))
    d = tangent(U, np.random.default_rng(seed).normal(size=U.shape))
    size = np.linalg.norm(d)
    for t in (1e-2, 1e-3):
        assert np.linalg.norm(retract(U + t * d) - U - t * d) <= 2 * (t * size) ** 2 + 1e-14


@given(square(), taus)
def test_clamping_bounds_the_condition_number_and_is_idempotent_in_the_bound(S, tau):
    found, values = factorization.clamp(S, tau)
    assert found.dtype == S.dtype
    assert_allclose(values, np.linalg.svd(found.astype(float))[1], rtol=1e-5)
    assert kappa(found) <= (1 + tau) * (1 + 1e-6)
    s = np.linalg.svd(S.astype(float))[1]
    e = s.mean() * tau / (2 + tau)
    assert_allclose(np.linalg.svd(found.astype(float))[1], np.clip(s, s.mean() - e, s.mean() + e), rtol=1e-5)


@given(square())
def test_clamping_keeps_singular_vectors_and_what_obeys_already(S):
    """The polar factor of S is that of the clamped S, and a matrix within the bound is left alone."""
    S = S.astype(np.float64)
    P, s, Qh = np.linalg.svd(S)
    Pc, sc, Qhc = np.linalg.svd(clamp(S, 0.1))
    assert_allclose(Pc @ Qhc, P @ Qh, atol=1e-6 * s[0] / s[-1])
    assert_allclose(clamp(sc.mean() * P @ Qh, 0.1), sc.mean() * P @ Qh, rtol=1e-9, atol=1e-12 * s[0])
    assert clamp(S, math.inf) is S


@given(square())
def test_both_constraints_of_condition_number_1_are_orthogonal_and_differ(S):
    """Polar factor times mean singular value, against QR factor times root mean square."""
    r, S = len(S), S.astype(np.float64)
    P, s, Qh = np.linalg.svd(S)
    polar, qr = clamp(S, 0.0), orthogonal(S)
    assert_allclose(polar, s.mean() * P @ Qh, atol=1e-9 * s[0])
    rms = math.sqrt((S**2).sum() / r)
    assert gap(polar / s.mean()) < 1e-9
    assert gap(qr / rms) < 1e-9
    R = qr.T @ S
    assert_allclose(np.tril(R, -1), 0, atol=1e-9 * s[0] ** 2)
    assert (np.diag(R) >= 0).all()
    assert rms >= s.mean() * (1 - 1e-12)
    if r > 1 and s[0] > 1.01 * s[-1]:
        assert np.linalg.norm(polar - qr) > 1e-9 * s[0]


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("constraint", [lambda S: clamp(S, 0.1), orthogonal, retract])
def test_what_is_not_finite_gives_nan_and_no_crash(value, constraint):
    S = np.eye(3)
    S[1, 1] = value
    assert np.isnan(constraint(S)).any()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(4, 6), (5, 2, 3, 3)])
def test_no_decomposition_of_what_is_not_finite_crashes_or_hangs(value, dtype, shape):
    """Not of a layer, nor in the nuclear norm and its proximal step: nan, which training reports."""
    W = np.ones(shape, dtype)
    W.reshape(-1)[3] = value
    assert np.isnan(product(*truncated(W, 2))).any()
    assert np.isnan(singular_values(as_matrix(W))).all()
    assert np.isnan(mean_singular_values({"W1": W})["W1"])
    for found in (*nuclear(as_matrix(W)), singular_value_threshold(as_matrix(W), 0.1)):
        assert np.isnan(found).all()
    term = Nuclear({"W1": 0.1})
    assert np.isnan(term.prox({"W1": W}, 0.1)["W1"]).all()


@given(square())
def test_the_condition_number_is_that_of_the_singular_values_not_zero(S):
    S = S.astype(np.float64)
    assert_allclose(condition_number(S), kappa(S), rtol=1e-9)
    wide = np.hstack([S, np.zeros_like(S)])
    assert_allclose(condition_number(wide), kappa(S), rtol=1e-9)
    assert_allclose(condition_number(np.vstack([wide, wide])), kappa(S), rtol=1e-6)


def test_the_condition_number_of_nothing_is_nan():
    assert np.isnan(condition_number(np.zeros((2, 3))))
    assert np.isnan(condition_number(np.full((2, 3), np.nan)))


def test_the_constraints_run_on_every_backend(be, rng):
    X, S = rng.normal(size=(9, 4)), rng.normal(size=(4, 4))
    for found, expected in (
        (retract(be.array(X)), retract(X)),
        (tangent(retract(be.array(X)), be.array(X)), tangent(retract(X), X)),
        (clamp(be.array(S), 0.1), clamp(S, 0.1)),
        (orthogonal(be.array(S)), orthogonal(S)),
        (condition_number(be.array(S)), condition_number(S)),
    ):
        assert_allclose(be.host(found), expected, rtol=10 * be.tolerance, atol=be.tolerance)
