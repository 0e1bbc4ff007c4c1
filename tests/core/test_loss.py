"""Cross-entropy and margins: loops, autograd, finite differences, and the corners where naive code fails."""

import naive
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from strategies import logits_and_labels, seeds

from refimpl.layers.loss import cross_entropy, margin_directions, margins
from refimpl.theory import autograd_reference


@given(logits_and_labels())
def test_cross_entropy_is_the_naive_loop(inputs):
    assert_allclose(cross_entropy(*inputs)[0], naive.cross_entropy(*inputs), rtol=1e-10, atol=1e-14)


@given(logits_and_labels(), seeds)
def test_its_gradient_is_autograds_and_the_finite_difference(inputs, seed):
    logits, y = inputs
    gradient = cross_entropy(logits, y)[1].x(1.0)
    (expected,) = autograd_reference.vjp(lambda z: cross_entropy(z, y)[0], (logits,), np.ones(()))
    assert_allclose(gradient, expected, rtol=1e-9, atol=1e-12)
    direction = np.random.default_rng(seed).normal(size=logits.shape)
    slope = autograd_reference.directional_derivative(lambda z: cross_entropy(z, y)[0], logits, direction)
    assert_allclose(np.sum(gradient * direction), slope, rtol=1e-5, atol=1e-7)


@given(logits_and_labels())
def test_its_gradient_sums_to_zero_over_the_classes(inputs):
    assert_allclose(cross_entropy(*inputs)[1].x(1.0).sum(axis=-1), 0, atol=1e-15)


@given(logits_and_labels(), st.floats(-1e3, 1e3))
def test_a_common_shift_of_the_logits_changes_nothing(inputs, shift):
    logits, y = inputs
    assert_allclose(cross_entropy(logits + shift, y)[0], cross_entropy(logits, y)[0], rtol=1e-9, atol=1e-11)


def test_equal_logits_cost_log_k():
    assert_allclose(cross_entropy(np.zeros((4, 10)), np.arange(4))[0], np.log(10))


def test_confident_float32_gradients_keep_their_digits():
    """p_y - 1 is 0 or a multiple of 6e-8 in float32; the sum of the others is exact to the last place."""
    logits = np.array([[20.0, 0.0, 1.0]])
    exact = cross_entropy(logits, np.array([0]))[1].x(1.0)
    single = cross_entropy(logits.astype(np.float32), np.array([0]))[1].x(1.0)
    assert_allclose(single, exact, rtol=1e-6)


def test_large_logits_neither_overflow_nor_underflow_the_loss():
    logits = 1000 * np.array([[1.0, 0.0], [0.0, 1.0]], np.float32)
    loss, pull = cross_entropy(logits, np.array([1, 1]))
    assert_allclose(loss, 500)
    assert_allclose(pull.x(1.0)[0], [0.5, -0.5])


def test_a_stack_of_models_has_a_loss_each(rng):
    logits, y = rng.normal(size=(3, 5, 4)), rng.integers(0, 4, (3, 5))
    loss, pull = cross_entropy(logits, y)
    assert loss.shape == (3,)
    gradient = pull.x(np.array([1.0, 2.0, 3.0]))
    for i in range(3):
        alone, pull_alone = cross_entropy(logits[i], y[i])
        assert_allclose(loss[i], alone)
        assert_allclose(gradient[i], (i + 1) * pull_alone.x(1.0))


@given(logits_and_labels())
def test_margins_are_the_naive_loop(inputs):
    assert_allclose(margins(*inputs)[0], naive.margins(*inputs), rtol=1e-12, atol=1e-12)


@given(logits_and_labels(), seeds)
def test_margin_pullback_is_autograds(inputs, seed):
    logits, k = inputs
    M, pull = margins(logits, k)
    dM = np.random.default_rng(seed).normal(size=M.shape)
    (expected,) = autograd_reference.vjp(lambda z: margins(z, k)[0], (logits,), dM)
    assert_allclose(pull.x(dM), expected, rtol=1e-9, atol=1e-12)
    assert_allclose(M, np.sum(margin_directions(k, logits.shape[-1], logits.dtype) * logits[:, None, :], axis=-1))


@given(logits_and_labels())
def test_all_margins_are_positive_exactly_where_the_class_is_the_largest(inputs):
    logits, k = inputs
    assert_array_equal((margins(logits, k)[0] > 0).all(axis=-1), logits.argmax(axis=-1) == k)


def test_losses_stay_on_their_backend(be, rng):
    logits, y = rng.normal(size=(6, 4)), rng.integers(0, 4, 6)
    loss, pull = cross_entropy(be.array(logits), be.array(y, "int64"))
    M, pull_margins = margins(be.array(logits), be.array(y, "int64"))
    dM = rng.normal(size=(6, 3))
    results = (loss, pull.x(1.0), M, pull_margins.x(be.array(dM)))
    expected_loss, expected_pull = cross_entropy(logits, y)
    expected_M, expected_margins = margins(logits, y)
    expected = (expected_loss, expected_pull.x(1.0), expected_M, expected_margins.x(dM))
    for result, value in zip(results, expected, strict=True):
        assert str(be.host(result).dtype) == be.dtype
        assert_allclose(be.host(result), value, rtol=be.tolerance, atol=be.tolerance)


def test_shapes_are_checked_in_the_test_run(rng):
    with pytest.raises(TypeError, match="batch"):
        cross_entropy(rng.normal(size=(3, 4)), np.zeros(2, int))
