"""The net as a whole: initial weights, forward, tape, and the saving of weight gradients in an attack."""

import math

import naive
import numpy as np
import pytest
from backends import NUMPY
from numpy.testing import assert_allclose, assert_array_equal

from refimpl import UsageError, cross_entropy, gradients, input_gradient
from refimpl.networks import FCNN, fcnn, loss_gradient, margin_gradients
from refimpl.tape import Pullback
from refimpl.theory import autograd_reference

WIDTHS = (12, 7, 5, 4)


@pytest.fixture
def net(rng):
    params = fcnn.init(NUMPY, seed=1, widths=WIDTHS, dtype="float64")
    return {name: p + 0.1 * rng.normal(size=p.shape) for name, p in params.items()}


def test_the_papers_shapes():
    params = fcnn.init(NUMPY)
    assert [params[f"W{i}"].shape for i in range(1, 7)] == [(20, 784), *[(20, 20)] * 4, (10, 20)]
    assert [params[f"b{i}"].shape for i in range(1, 7)] == [*[(20,)] * 5, (10,)]
    assert list(params) == [f"{kind}{i}" for i in range(1, 7) for kind in "Wb"]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_glorot_uniform_and_zero_biases(dtype):
    for name, p in fcnn.init(NUMPY, seed=3, dtype=dtype).items():
        assert p.dtype == dtype
        if name.startswith("b"):
            assert not p.any()
        else:
            m, n = p.shape
            a = math.sqrt(6 / (m + n))
            assert np.abs(p).max() <= a
            assert np.abs(p).max() > 0.9 * a
            assert_allclose(p.std(), a / math.sqrt(3), rtol=0.1)


def test_the_seed_decides_the_weights_and_the_dtype_only_rounds_them():
    a, b, c = (fcnn.init(NUMPY, seed=s, dtype=d) for s, d in ((5, "float32"), (5, "float64"), (6, "float32")))
    assert_array_equal(a["W1"], b["W1"].astype(np.float32))
    assert (a["W1"] != c["W1"]).all()


@pytest.mark.parametrize("widths", [(784,), (784, 0, 10)])
def test_widths_that_make_no_net_are_refused(widths):
    with pytest.raises(UsageError, match="widths"):
        fcnn.init(NUMPY, widths=widths)
    with pytest.raises(UsageError, match="widths"):
        FCNN(widths)


def test_forward_is_the_naive_loop(net, rng):
    x = rng.normal(size=(3, 12))
    assert_allclose(fcnn.forward(net, x)[0], naive.fcnn(net, x), rtol=1e-12)


def test_hidden_representations_are_the_naive_ones(net, rng):
    x = rng.normal(size=(3, 12))
    first, second = fcnn.hidden(net, x)
    assert_allclose(first, np.tanh(naive.affine(x, net["W1"], net["b1"])), rtol=1e-12)
    assert_allclose(second, np.tanh(naive.affine(first, net["W2"], net["b2"])), rtol=1e-12)
    assert_allclose(fcnn.forward(net, x)[0], naive.affine(second, net["W3"], net["b3"]), rtol=1e-12)


def test_gradients_are_autograds(net, rng):
    x, y = rng.normal(size=(6, 12)), rng.integers(0, 4, 6)
    logits, tape = fcnn.forward(net, x)
    dz = cross_entropy(logits, y)[1].x(1.0)
    names = list(net)

    def loss(x, *values):
        return cross_entropy(fcnn.forward(dict(zip(names, values, strict=True)), x)[0], y)[0]

    dx, *expected = autograd_reference.vjp(loss, (x, *net.values()), np.ones(()))
    assert_allclose(input_gradient(tape, dz), dx, rtol=1e-9, atol=1e-14)
    found = gradients(tape, dz)
    assert list(found) == names
    for name, value in zip(names, expected, strict=True):
        assert_allclose(found[name], value, rtol=1e-9, atol=1e-14)


def test_gradients_are_the_finite_difference_at_the_papers_sizes(rng):
    net = fcnn.init(NUMPY, dtype="float64")
    x, y = rng.uniform(size=(8, 784)), rng.integers(0, 10, 8)
    logits, tape = fcnn.forward(net, x)
    found = gradients(tape, cross_entropy(logits, y)[1].x(1.0))
    for name, p in net.items():
        direction = rng.normal(size=p.shape)
        slope = autograd_reference.directional_derivative(
            lambda at, name=name: cross_entropy(fcnn.forward({**net, name: at}, x)[0], y)[0], p, direction
        )
        assert_allclose(np.sum(found[name] * direction), slope, rtol=1e-6, atol=1e-9)


def test_a_stack_of_cotangents_gives_a_stack_of_gradients(net, rng):
    x, dz = rng.normal(size=(5, 12)), rng.normal(size=(3, 5, 4))
    _, tape = fcnn.forward(net, x)
    stacked = input_gradient(tape, dz)
    for one, alone in zip(stacked, dz, strict=True):
        assert_allclose(one, input_gradient(tape, alone), rtol=1e-12)


def test_an_input_gradient_computes_no_weight_gradient(net, rng):
    _, tape = fcnn.forward(net, rng.normal(size=(2, 12)))

    def forbidden(dy):
        raise AssertionError("a weight gradient was computed")

    tape = [(names, Pullback(pull.x, forbidden)) for names, pull in tape]
    assert input_gradient(tape, np.ones((2, 4))).shape == (2, 12)


def test_weight_gradients_compute_no_gradient_by_the_input(net, rng):
    _, tape = fcnn.forward(net, rng.normal(size=(2, 12)))

    def forbidden(dy):
        raise AssertionError("the gradient by the input was computed")

    tape[0] = (tape[0][0], Pullback(forbidden, tape[0][1].params))
    assert list(gradients(tape, np.ones((2, 4)))) == list(net)


def test_gradients_differentiate_what_they_say(net, rng):
    x, y = rng.normal(size=(4, 12)), rng.integers(0, 4, 4)
    direction = rng.normal(size=x.shape)

    def summed(at):
        return 4 * cross_entropy(fcnn.forward(net, at)[0], y)[0]

    found = np.sum(loss_gradient(fcnn, net, y)(x) * direction)
    assert_allclose(found, autograd_reference.directional_derivative(summed, x, direction), rtol=1e-6)

    M, dM = margin_gradients(fcnn, net, y)(x)
    assert_allclose(M, naive.margins(fcnn.forward(net, x)[0], y), rtol=1e-12)
    for j in range(3):
        slope = autograd_reference.directional_derivative(
            lambda at, j=j: naive.margins(fcnn.forward(net, at)[0], y)[:, j].sum(), x, direction
        )
        assert_allclose(np.sum(dM[:, j] * direction), slope, rtol=1e-6)
    assert_array_equal(FCNN(WIDTHS).gradients(net).least_margin(y)(x), M.min(axis=-1))


def test_the_net_runs_on_every_backend(be, rng):
    params = fcnn.init(be.backend, widths=WIDTHS, dtype=be.dtype)
    x, y = rng.normal(size=(5, 12)), rng.integers(0, 4, 5)
    logits, tape = fcnn.forward(params, be.array(x))
    dz = cross_entropy(logits, be.array(y, "int64"))[1].x(1.0)
    reference = fcnn.init(NUMPY, widths=WIDTHS, dtype="float64")
    expected_logits, expected_tape = fcnn.forward(reference, x)
    expected_dz = cross_entropy(expected_logits, y)[1].x(1.0)
    tolerance = {"rtol": be.tolerance, "atol": be.tolerance}
    assert_allclose(be.host(logits), expected_logits, **tolerance)
    assert_allclose(be.host(input_gradient(tape, dz)), input_gradient(expected_tape, expected_dz), **tolerance)
    expected = gradients(expected_tape, expected_dz)
    for name, gradient in gradients(tape, dz).items():
        assert_allclose(be.host(gradient), expected[name], **tolerance)
