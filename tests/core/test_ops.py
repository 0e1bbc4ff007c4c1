"""The primitives: forward against loops, pullbacks against autograd and finite differences, on every backend."""

import naive
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from strategies import affine_inputs, seeds

from refimpl import UsageError
from refimpl.layers.activations import LEAK, leaky_relu, relu, tanh
from refimpl.layers.dense import affine
from refimpl.layers.images import as_images, as_rows, scale, square
from refimpl.tape import Pullback, gradients
from refimpl.theory import autograd_reference


@given(affine_inputs())
def test_affine_is_the_naive_loop(inputs):
    assert_allclose(affine(*inputs)[0], naive.affine(*inputs), rtol=1e-12, atol=1e-12)


@given(affine_inputs(), seeds)
def test_affine_pullback_is_autograds(inputs, seed):
    y, pull = affine(*inputs)
    dy = np.random.default_rng(seed).normal(size=y.shape)
    dx, dW, db = autograd_reference.vjp(lambda x, W, b: affine(x, W, b)[0], inputs, dy)
    assert_allclose(pull.x(dy), dx, rtol=1e-9, atol=1e-12)
    for ours, theirs in zip(pull.params(dy), (dW, db), strict=True):
        assert_allclose(ours, theirs, rtol=1e-9, atol=1e-12)


@given(affine_inputs(), seeds)
def test_affine_pullback_is_the_finite_difference(inputs, seed):
    rng = np.random.default_rng(seed)
    y, pull = affine(*inputs)
    dy = rng.normal(size=y.shape)
    for i, gradient in enumerate((pull.x(dy), *pull.params(dy))):
        direction = rng.normal(size=inputs[i].shape)

        def value(at, i=i):
            return np.sum(dy * affine(*inputs[:i], at, *inputs[i + 1 :])[0])

        expected = autograd_reference.directional_derivative(value, inputs[i], direction)
        assert_allclose(np.sum(gradient * direction), expected, rtol=1e-6, atol=1e-6)


@given(affine_inputs(), seeds)
def test_tanh_pullback_is_autograds_and_the_finite_difference(inputs, seed):
    x, rng = inputs[0], np.random.default_rng(seed)
    y, pull = tanh(x)
    assert_allclose(y, np.sinh(x) / np.cosh(x), rtol=1e-12)
    dy, direction = rng.normal(size=y.shape), rng.normal(size=y.shape)
    assert_allclose(pull.x(dy), autograd_reference.vjp(lambda x: tanh(x)[0], (x,), dy)[0], rtol=1e-9, atol=1e-12)
    expected = autograd_reference.directional_derivative(lambda at: np.sum(dy * tanh(at)[0]), x, direction)
    assert_allclose(np.sum(pull.x(dy) * direction), expected, rtol=1e-6, atol=1e-6)
    assert pull.params(dy) == ()


def test_square_images_have_as_many_numbers_as_there_are():
    assert square(784) == (1, 28, 28)
    assert square(3072, 3) == (3, 32, 32)
    for n, channels in ((0, 1), (783, 1), (785, 1), (784, 3), (3071, 3)):
        with pytest.raises(UsageError, match=f"{n} inputs are no square images of {channels} channel"):
            square(n, channels)


def test_rows_are_images_row_by_row_and_back(rng):
    x = np.arange(24.0).reshape(2, 12)
    images, pull = as_images(x, (3, 2, 2))
    assert images[1, 2, 1, 0] == x[1, 2 * 4 + 2]
    assert_array_equal(pull.x(images), x)
    rows, back = as_rows(images)
    assert_array_equal(rows, x)
    assert_array_equal(back.x(rows), images)
    stacked = rng.normal(size=(5, 2, 12))  # a gradient for each of five outputs
    assert_array_equal(as_images(stacked, (3, 2, 2))[1].x(stacked.reshape(5, 2, 3, 2, 2)), stacked)
    assert_array_equal(back.x(stacked), stacked.reshape(5, 2, 3, 2, 2))


def test_the_derivative_at_a_kink_is_the_one_below():
    x, dy = np.array([-1.0, 0.0, 1.0]), np.array([2.0, 3.0, 4.0])
    assert_array_equal(relu(x)[1].x(dy), [0, 0, 4])
    assert_array_equal(leaky_relu(x)[1].x(dy), [2 * LEAK, 3 * LEAK, 4])


@given(affine_inputs(), seeds, st.floats(-3, 3))
def test_pullbacks_are_linear(inputs, seed, a):
    rng = np.random.default_rng(seed)
    for y, pull in (affine(*inputs), tanh(inputs[0])):
        u, v = rng.normal(size=y.shape), rng.normal(size=y.shape)
        assert_allclose(pull.x(a * u + v), a * pull.x(u) + pull.x(v), rtol=1e-9, atol=1e-9)


def test_primitives_stay_on_their_backend(be, rng):
    x, W, b, dy = (rng.normal(size=shape) for shape in ((5, 4), (3, 4), (3,), (5, 3)))
    y, pull = affine(be.array(x), be.array(W), be.array(b))
    h, pull_tanh = tanh(y)
    results = [y, h, pull.x(be.array(dy)), *pull.params(be.array(dy)), pull_tanh.x(be.array(dy))]
    expected_y = x @ W.T + b
    slope = 1 - np.tanh(expected_y) ** 2
    expected = [expected_y, np.tanh(expected_y), dy @ W, dy.T @ x, dy.sum(axis=0), dy * slope]
    for result, value in zip(results, expected, strict=True):
        assert type(result) is type(be.array(x))
        assert str(be.host(result).dtype) == be.dtype
        assert_allclose(be.host(result), value, rtol=be.tolerance, atol=be.tolerance)


def test_a_stack_of_models_is_many_models(rng):
    x, W, b, dy = (rng.normal(size=shape) for shape in ((2, 5, 4), (2, 3, 4), (2, 3), (2, 5, 3)))
    y, pull = affine(x, W, b)
    dW, db = pull.params(dy)
    for i in range(2):
        yi, pulli = affine(x[i], W[i], b[i])
        assert_allclose(y[i], yi, rtol=1e-12)
        assert_allclose(pull.x(dy)[i], pulli.x(dy[i]), rtol=1e-12)
        assert_allclose(dW[i], pulli.params(dy[i])[0], rtol=1e-12)
        assert_allclose(db[i], pulli.params(dy[i])[1], rtol=1e-12)


def test_scale_is_the_nearest_float_to_grey_over_255(be):
    grey = np.arange(256, dtype=np.uint8).reshape(1, 16, 16)
    dtype = be.backend.dtype(be.dtype)
    pixels = be.host(scale(be.backend.asarray(grey), dtype))
    assert pixels.shape == (1, 256)
    assert_array_equal(pixels[0], (np.arange(256) / 255).astype(be.dtype))


@pytest.mark.usefixtures("unchecked")
def test_inputs_of_another_width_than_the_weights_are_refused():
    with pytest.raises(UsageError, match=r"weights \(3, 4\) need 4 inputs, got \(3, 5\)"):
        affine(np.zeros((3, 5)), np.zeros((3, 4)), np.zeros(3))


def test_gradients_by_parameters_ask_for_no_gradient_by_the_input(rng):
    x, W, b = rng.normal(size=(5, 4)), rng.normal(size=(3, 4)), rng.normal(size=3)
    y, pull = affine(x, W, b)

    def unwanted(dy):
        raise AssertionError("the gradient by the input was asked for")

    tape = [((), Pullback(x=unwanted)), (("W", "b"), Pullback(x=unwanted, params=pull.params))]
    found = gradients(tape, np.ones_like(y))
    assert list(found) == ["W", "b"]
    assert_array_equal(found["W"], pull.params(np.ones_like(y))[0])
