"""Effective rank, spectral norm and conditioning as terms: what they see, and what they leave alone."""

import math
from itertools import product

import numpy as np
import pytest
from backends import NUMPY
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from strategies import matrices, seeds

from refimpl import UsageError, fcnn
from refimpl.low_rank import LowRank, LowRankNetwork
from refimpl.measures import effective_rank
from refimpl.networks import CNN, FCNN
from refimpl.regularizers import Batch, Conditioning, OperatorNorms, RankMax, RankMin, SpectralNorm, nuclear
from refimpl.regularizers.conditioning import conditioning
from refimpl.regularizers.rank_min import rank
from refimpl.regularizers.spectral_norm import spectral_norm
from refimpl.runs.config import Config
from refimpl.theory import autograd_reference

NOTHING = Batch(np.zeros((1, 2)), np.zeros(1, int))
TERMS = (RankMin(0.3), RankMax(0.2), SpectralNorm(0.5, 0.1), Conditioning(0.4))


def apart(W):
    """With singular values apart from each other and from zero, where the terms are smooth."""
    U, s, Vh = np.linalg.svd(W, full_matrices=False)
    return (U * (1 + np.arange(len(s))[::-1])) @ Vh


@given(matrices(), st.floats(0.01, 100))
def test_the_rank_term_is_the_effective_rank_and_does_not_see_the_scale(W, scale):
    W = apart(W)
    value, gradient = rank(W)
    assert_allclose(value, effective_rank(W), rtol=1e-9)
    assert abs(np.sum(gradient * W)) < 1e-9 * (1 + np.linalg.norm(gradient) * np.linalg.norm(W))
    assert_allclose(rank(scale * W)[0], value, rtol=1e-9)
    assert_allclose(rank(scale * W)[1], gradient / scale, rtol=1e-7, atol=1e-9 / scale)


@given(matrices(), st.sampled_from(["float32", "float64"]))
def test_the_spectral_norm_is_the_largest_singular_value(W, dtype):
    W = apart(W).astype(dtype)
    value, gradient = spectral_norm(W)
    assert (value.dtype, gradient.dtype) == (W.dtype, W.dtype)
    tolerance = 50 * float(np.finfo(dtype).eps)
    assert_allclose(value, np.linalg.norm(W, 2), rtol=tolerance)
    assert_allclose(np.sum(gradient * W), value, rtol=10 * tolerance)  # dual: <u v^T, W> = s_1
    assert_allclose(np.linalg.norm(gradient), 1, rtol=10 * tolerance)


@given(matrices())
def test_conditioning_is_zero_where_all_singular_values_are_equal(W):
    """And the root of r times the variance of their squares."""
    W = apart(W)
    s = np.linalg.svd(W, compute_uv=False)
    assert_allclose(conditioning(W)[0], np.std(s**2) * math.sqrt(len(s)), rtol=1e-9, atol=1e-9)
    U, _, Vh = np.linalg.svd(W, full_matrices=False)
    assert conditioning(3.0 * (U @ Vh))[0] < 1e-12 * 9 * len(s)
    assert_allclose(conditioning(W.T)[1], conditioning(W)[1].T, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("f", [rank, spectral_norm, conditioning])
@given(W=matrices(), seed=seeds)
def test_gradients_are_the_slopes(f, W, seed):
    W = apart(W)
    direction = np.random.default_rng(seed).normal(size=W.shape)
    slope = autograd_reference.directional_derivative(lambda at: f(at)[0], W, direction)
    smooth = f is not conditioning or min(W.shape) > 1  # of one singular value it is 0
    assert_allclose(np.sum(f(W)[1] * direction), slope if smooth else 0, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("f", [rank, spectral_norm, conditioning])
def test_zero_has_no_gradient_and_what_is_not_finite_gives_nan(f):
    for shape in ((2, 3), (3, 2), (1, 4)):
        value, gradient = f(np.zeros(shape))
        assert value == 0
        assert not gradient.any()
        for one, bad in product((np.zeros(shape), np.ones(shape)), (np.nan, np.inf)):
            one[-1, 1] = bad
            with np.errstate(invalid="ignore"):
                value, gradient = f(one)
            assert np.isnan(value)
            assert np.isnan(gradient).all()


@pytest.mark.parametrize("f", [spectral_norm, conditioning, nuclear])
@pytest.mark.parametrize("shape", [(2, 5), (5, 2)])
def test_the_smaller_gram_matrix_is_decomposed_and_no_matrix_that_is_not_finite(monkeypatch, f, shape):
    """With which LAPACK may not come to an end."""
    seen, eigh = [], np.linalg.eigh
    monkeypatch.setattr(np.linalg, "eigh", lambda A: seen.append((A.shape, np.isfinite(A).all())) or eigh(A))
    W = np.ones(shape, np.float32)
    f(W)
    W[1, 1] = np.inf
    with np.errstate(invalid="ignore"):
        f(W)
    assert seen == [((2, 2), True)] * 2


def test_rank_min_lowers_and_rank_max_raises_the_rank_and_the_cap_only_the_norm():
    start = fcnn.init(NUMPY, 0, (6, 5, 4), "float64")
    ranks, norms = {}, {}
    for term in (RankMin(1.0), RankMax(1.0), SpectralNorm(1.0, cap=0.5)):
        params = dict(start)
        for _ in range(100):
            _, grads = term.value_and_grad(params, NOTHING)
            params |= {name: params[name] - 0.05 * g for name, g in grads.items()}
        ranks[term.name], norms[term.name] = float(effective_rank(params["W1"])), np.linalg.norm(params["W1"], 2)
    before = float(effective_rank(start["W1"]))
    assert ranks["rank-min"] < before < ranks["rank-max"]
    assert norms["spectral-norm"] <= 0.55 < np.linalg.norm(start["W1"], 2)


def test_a_layer_below_the_cap_is_left_alone():
    value, grads = SpectralNorm(0.5, cap=1.5).value_and_grad({"W1": np.diag([1.4, 1.0]), "W2": np.diag([2.0])}, NOTHING)
    assert value == pytest.approx(0.25)
    assert not grads["W1"].any()
    assert_allclose(grads["W2"], [[0.5]])
    value, grads = SpectralNorm(0.5, cap=2.0).value_and_grad({"W1": np.diag([2.0, 1.0])}, NOTHING)  # at the cap
    assert value == 0
    assert not grads["W1"].any()


def test_layers_in_factors_are_conditioned_by_their_cores():
    network = LowRankNetwork(FCNN((6, 5, 4)), 0.5)
    params = network.init(NUMPY, 0, "float64")
    value, grads = Conditioning(0.5).value_and_grad(params, NOTHING)
    assert set(grads) == {"S1", "S2"}
    assert value == pytest.approx(0.5 * sum(conditioning(params[name])[0] for name in grads))
    config = Config(regularizers=(Conditioning(0.1),), low_rank=LowRank(0.5, tau=math.inf))
    assert config.method == "low-rank-conditioning"
    with pytest.raises(UsageError, match="but for conditioning, are for full weights"):
        Config(regularizers=(OperatorNorms(0.1),), low_rank=LowRank(0.5))


def test_on_every_backend(be):
    host = fcnn.init(NUMPY, 3, (6, 5, 4), "float64")
    filters = CNN(filters=(2, 3), kernel=3, side=10, hidden_units=4).init(NUMPY, 1, "float64")
    for one in (host, filters):
        params = {name: be.array(p) for name, p in one.items()}
        for term in TERMS:
            value, ours = term.value_and_grad(params, NOTHING)
            expected, theirs = term.value_and_grad(one, NOTHING)
            assert_allclose(be.host(value), expected, rtol=be.tolerance)
            for name, gradient in theirs.items():
                assert be.host(ours[name]).dtype == be.dtype
                assert_allclose(be.host(ours[name]), gradient, rtol=100 * be.tolerance, atol=10 * be.tolerance)
