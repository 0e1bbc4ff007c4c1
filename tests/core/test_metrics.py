"""Effective sparsity and rank as mathematics: bounds, invariances, closed cases (Eqs. (2) and (3))."""

import inspect
import math

import fakecupy
import naive
import numpy as np
import pytest
from backends import FAKE, NUMPY
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy.stats import binomtest
from strategies import logits_and_labels, matrices, seeds

from refimpl import FCNN, UsageError, accuracy, effective_rank, effective_sparsity, interval
from refimpl.backend import to_host
from refimpl.low_rank.factorization import singular_values
from refimpl.measures import condition_number
from refimpl.measures.accuracy import n_correct
from refimpl.measures.per_layer import layers
from refimpl.networks import CNN, fcnn
from refimpl.parameters import as_matrix


@given(matrices())
def test_they_are_the_naive_loops(W):
    assert_allclose(effective_sparsity(W), naive.effective_sparsity(W), rtol=1e-12)
    assert_allclose(effective_rank(W), naive.effective_rank(W), rtol=1e-6)


@given(matrices())
def test_their_bounds(W):
    assert 1 - 1e-12 <= effective_sparsity(W) <= math.sqrt(W.size) * (1 + 1e-12)
    assert 1 - 1e-12 <= effective_rank(W) <= math.sqrt(np.linalg.matrix_rank(W)) * (1 + 1e-12)


@pytest.mark.parametrize("measure", [effective_rank, condition_number, singular_values], ids=lambda f: f.__name__)
def test_on_a_device_no_singular_vector_is_computed(rng, monkeypatch, measure):
    W = rng.normal(size=(4, 6))
    expected = measure(W)

    def svd(A, full_matrices=True, compute_uv=True):
        assert not compute_uv, "the vectors are dropped"
        return fakecupy.FakeArray(np.linalg.svd(A.get(), compute_uv=False))

    monkeypatch.setattr(fakecupy.cupy.linalg, "svd", svd, raising=False)
    assert_allclose(to_host(measure(FAKE.asarray(W))), expected, rtol=1e-12)


@given(matrices(), st.floats(-300, 300), seeds)
def test_their_invariances(W, exponent, seed):
    rng = np.random.default_rng(seed)
    for measure in (effective_sparsity, effective_rank):
        assert_allclose(measure(W * 10.0**exponent), measure(W), rtol=1e-9)
        assert_allclose(measure(-W.T), measure(W), rtol=1e-9)
        assert_allclose(measure(rng.permutation(W)), measure(W), rtol=1e-9)
    Q = np.linalg.qr(rng.normal(size=(len(W), len(W))))[0]
    assert_allclose(effective_rank(Q @ W), effective_rank(W), rtol=1e-9)


@pytest.mark.parametrize(("scale", "dtype"), [(1e300, "f8"), (1e-300, "f8"), (1e-30, "f4"), (5e37, "f4")])
def test_no_square_of_an_entry_over_or_underflows(scale, dtype):
    """By hand: 3 + 4 by 5, and 4 by 3."""
    W = np.array([[3 * scale, 0.0], [0.0, -4 * scale]], dtype)
    with np.errstate(all="raise"):
        assert_allclose(effective_sparsity(W), 1.4, rtol=1e-6)
        assert_allclose(effective_rank(W), 1.4, rtol=1e-6)
        assert_allclose(condition_number(W), 4 / 3, rtol=1e-6)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_a_condition_number_leaves_out_what_is_rounding_of_the_largest(dtype):
    assert_allclose(condition_number(np.ones((100, 100), dtype)), 1)  # of rank one
    assert_allclose(condition_number(np.ones((100, 100), dtype) + 100 * np.eye(100, dtype=dtype)), 2, rtol=1e-5)


@pytest.mark.parametrize("k", [1, 2, 5])
def test_k_equal_values_give_the_root_of_k(k):
    W = np.zeros((6, 7))
    W[range(k), range(k)] = -3.0
    assert_allclose(effective_rank(W), math.sqrt(k))
    assert_allclose(effective_sparsity(W), math.sqrt(k))


def test_glorot_weights_have_the_values_theory_gives():
    """Uniform entries: s -> sqrt(3)/2 sqrt(N); 20 x 784 is nearly orthogonal: r just below sqrt(20)."""
    W = fcnn.init(NUMPY, dtype="float64")["W1"]
    assert_allclose(effective_sparsity(W), math.sqrt(3) / 2 * math.sqrt(W.size), rtol=0.01)
    assert 0.98 * math.sqrt(20) < effective_rank(W) < math.sqrt(20)


def test_a_uniform_and_a_gaussian_matrix(rng):
    root = math.sqrt(1e6)
    assert_allclose(effective_sparsity(rng.uniform(-1, 1, (1000, 1000))), math.sqrt(3) / 2 * root, rtol=0.01)
    assert_allclose(effective_sparsity(rng.normal(size=(1000, 1000))), math.sqrt(2 / math.pi) * root, rtol=0.01)


@pytest.mark.parametrize("value", [0.0, np.nan, np.inf])
def test_the_zero_matrix_and_one_that_is_not_finite_have_neither(value):
    assert math.isnan(effective_rank(np.full((3, 4), value)))
    assert math.isnan(effective_sparsity(np.full((3, 4), value)))


def test_a_stack_is_measured_matrix_by_matrix(rng):
    stack = rng.normal(size=(3, 4, 5))
    for measure in (effective_rank, effective_sparsity):
        assert_allclose(measure(stack), [measure(W) for W in stack])


def test_metrics_run_on_every_backend(be, rng):
    W, logits, y = rng.normal(size=(4, 6)), rng.normal(size=(9, 5)), rng.integers(0, 5, 9)
    here = be.array(W)
    assert_allclose(be.host(effective_rank(here)), effective_rank(W), rtol=be.tolerance)
    assert_allclose(be.host(effective_sparsity(here)), effective_sparsity(W), rtol=be.tolerance)
    assert be.host(n_correct(be.array(logits), be.array(y, "int64"))) == n_correct(logits, y)


@given(logits_and_labels())
def test_accuracy_is_the_naive_count(inputs):
    logits, y = inputs
    assert accuracy(logits, y) == naive.n_correct(logits, y) / len(y)


def test_equal_logits_are_given_the_first_class():
    assert accuracy(np.zeros((2, 3)), np.array([0, 1])) == 0.5


@given(st.integers(1, 200), st.floats(0, 1))
def test_the_interval_is_scipys_exact_one(trials, fraction):
    successes = round(fraction * trials)
    low, high = interval(successes, trials)
    expected = binomtest(successes, trials).proportion_ci(method="exact")
    assert_allclose([low, high], [expected.low, expected.high], rtol=1e-8, atol=1e-12)
    assert low <= successes / trials <= high


def test_no_trials_no_interval():
    assert all(math.isnan(end) for end in interval(0, 0))


def test_layers_names_every_weight_matrix_and_no_bias():
    network = FCNN()
    rows = layers(network, network.init(NUMPY))
    assert [row["name"] for row in rows] == [f"W{i}" for i in range(1, 7)]
    assert rows[0]["shape"] == [20, 784]


@given(st.integers(1, 30), seeds)
def test_a_vector_has_the_sparsity_of_the_definition_and_rank_one(n, seed):
    v = np.random.default_rng(seed).normal(size=n)
    assert_allclose(effective_sparsity(v), np.abs(v).sum() / np.linalg.norm(v), rtol=1e-12)
    assert_allclose(effective_rank(v), 1.0, rtol=1e-12)
    assert_allclose(condition_number(v), 1.0, rtol=1e-12)
    assert effective_sparsity(np.ones(9)) == 3


@given(seeds)
def test_the_filters_of_a_convolution_are_their_matrix_of_appendix_b(seed):
    """Not one matrix k x k for each pair of channels."""
    W = np.random.default_rng(seed).normal(size=(5, 2, 3, 3))
    for measure in (effective_rank, effective_sparsity, condition_number):
        assert_allclose(measure(W), measure(as_matrix(W)), rtol=1e-12)
        assert measure(W).shape == ()
    network = CNN(filters=(3, 4), hidden_units=5)
    params = network.init(NUMPY, seed=0)
    for row in layers(network, params):
        assert_allclose(row["effective_rank"], effective_rank(params[row["name"]]), rtol=1e-6)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((0, 3)), r"got the shape \(0, 3\)"),
        (np.zeros((2, 3, 0)), r"got the shape \(2, 3, 0\)"),
        (np.zeros(()), r"got the shape \(\)"),
        (np.zeros((1, 1, 1, 1, 1)), "expected a matrix, a stack of matrices, filters or a vector"),
        (np.ones((2, 2), int), "expected weights as floating-point numbers, got int64"),
        ([[1.0, 2.0]], "expected an array, got list"),
    ],
)
def test_what_has_neither_rank_nor_sparsity_is_refused_in_words(array, message):
    for measure in (effective_rank, effective_sparsity, condition_number):
        with pytest.raises(UsageError, match=message):
            bare(measure)(array)


def bare(function):
    """Without the checks of types that only the tests make."""
    return inspect.unwrap(function)


@pytest.mark.parametrize(
    ("logits", "y", "message"),
    [
        (np.zeros((0, 3)), np.zeros(0, int), "an accuracy needs at least one row of logits, got none"),
        (np.zeros((4, 3)), np.zeros(3, int), r"expected labels of whole numbers \(4,\), got int64\(3,\)"),
        (np.zeros((2, 3)), np.array([0, 3]), "labels must be from 0 to 2, got 0 to 3"),
        (np.zeros((2, 3)), np.array([-1, 0]), "labels must be from 0 to 2, got -1 to 0"),
    ],
)
def test_an_accuracy_of_nothing_or_of_labels_that_do_not_fit_is_refused(logits, y, message):
    with pytest.raises(UsageError, match=message):
        bare(accuracy)(logits, y)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ((11, 10), "successes must be from 0 to the 10 trials, got 11"),
        ((-1, 10), "successes must be from 0 to the 10 trials, got -1"),
        ((0, -1), "successes must be from 0 to the -1 trials"),
        ((1, 0), "successes must be from 0 to the 0 trials, got 1"),
        ((1, 2, 0.0), "a confidence must be between 0 and 1, got 0"),
        ((1, 2, 1.5), "a confidence must be between 0 and 1, got 1.5"),
        ((1, 2, math.nan), "a confidence must be between 0 and 1, got nan"),
    ],
)
def test_intervals_of_what_cannot_be_counted_are_refused(settings, message):
    with pytest.raises(UsageError, match=message):
        interval(*settings)
