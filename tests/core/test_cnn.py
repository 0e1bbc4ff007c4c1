"""The convolutional net as a whole: shapes, initial weights, forward, tape, and what it refuses."""

import math

import naive
import numpy as np
import pytest
from backends import NUMPY
from numpy.testing import assert_allclose, assert_array_equal

from refimpl import UsageError, cross_entropy, gradients, input_gradient
from refimpl.networks import CNN, LeNet5
from refimpl.parameters import as_matrix
from refimpl.tape import Pullback
from refimpl.theory import autograd_reference

OPTIONS = [(padding, activation) for padding in ("valid", "same") for activation in ("relu", "tanh", "identity")]
OPTIONS += [("valid", "leaky-relu"), ("same", "leaky-relu")]
SIDE = 10
LENET_SIDE = 17


def small(padding="valid", activation="tanh"):
    return CNN(padding, activation, filters=(3, 3), side=SIDE, hidden_units=5, classes=4)


SMALL_LENET = LeNet5(filters=(2, 3), side=LENET_SIDE, hidden_units=5, classes=4)
"""Filters of 5 x 5, more in the second block: 17-13-6-2-1 pixels a side."""


def init(network, dtype="float64", backend=NUMPY):
    """Initial weights, and biases that are not 0."""
    return {name: p + 0.1 for name, p in network.init(backend, 1, dtype).items()}


@pytest.fixture
def x(rng):
    return rng.uniform(size=(3, SIDE * SIDE))


@pytest.mark.parametrize(("padding", "features"), [("valid", 800), ("same", 1568)])
def test_the_papers_shapes(padding, features):
    """28-26-13-11-5 without padding, 28-14-7 with it; the reshaped filters are those of Appendix B."""
    network = CNN(padding)
    params = network.init(NUMPY)
    assert [params[f"W{i}"].shape for i in range(1, 5)] == [(32, 1, 3, 3), (32, 32, 3, 3), (128, features), (10, 128)]
    assert [as_matrix(params[f"W{i}"]).shape for i in (1, 2)] == [(32, 9), (32, 288)]
    assert [params[f"b{i}"].shape for i in range(1, 5)] == [(32,), (32,), (128,), (10,)]
    assert network.forward(params, np.zeros((2, 784), np.float32))[0].shape == (2, 10)


def test_glorot_uniform_and_zero_biases():
    for name, p in CNN().init(NUMPY, seed=3).items():
        assert p.dtype == np.float32
        if name.startswith("b"):
            assert not p.any()
        else:
            fan_out, fan_in = (n * math.prod(p.shape[2:]) for n in p.shape[:2])
            a = math.sqrt(6 / (fan_in + fan_out))
            assert np.abs(p).max() <= a
            assert_allclose(p.std(), a / math.sqrt(3), rtol=0.1)


@pytest.mark.parametrize(("padding", "activation"), OPTIONS)
def test_forward_is_the_naive_loop_which_pools_after_the_activation(x, padding, activation):
    network = small(padding, activation)
    params = init(network)
    logits, _ = network.forward(params, x)
    assert_allclose(logits, naive.cnn(params, x, padding, activation), rtol=1e-10)


def test_lenet_5_has_the_authors_shapes():
    """28-24-12-8-4 pixels a side, hence 50 * 4 * 4 = 800 features."""
    params = LeNet5().init(NUMPY)
    assert [params[f"W{i}"].shape for i in range(1, 5)] == [(20, 1, 5, 5), (50, 20, 5, 5), (500, 800), (10, 500)]
    assert [t.shape for t in LeNet5().hidden(params, np.zeros((2, 784), np.float32))] == [(2, 2880), (2, 800), (2, 500)]
    assert LeNet5().forward(params, np.zeros((2, 784), np.float32))[0].shape == (2, 10)


def test_lenet_5_is_the_naive_loop(rng):
    params, x = init(SMALL_LENET), rng.uniform(size=(3, LENET_SIDE**2))
    expected = naive.cnn(params, x, "valid", "leaky-relu", "leaky-relu")
    assert_allclose(SMALL_LENET.forward(params, x)[0], expected, rtol=1e-10)
    assert np.abs(expected - naive.cnn(params, x, "valid", "leaky-relu", "tanh")).max() > 1e-3


@pytest.mark.parametrize(("padding", "activation"), OPTIONS)
def test_gradients_are_autograds_and_the_finite_differences(x, rng, padding, activation):
    check_gradients(small(padding, activation), x, rng)


def test_so_are_lenet_5s(rng):
    check_gradients(SMALL_LENET, rng.uniform(size=(3, LENET_SIDE**2)), rng)


def check_gradients(network, x, rng):
    params = {name: p + 0.1 * rng.normal(size=p.shape) for name, p in network.init(NUMPY, 1, "float64").items()}
    y, names = rng.integers(0, 4, 3), list(params)

    def loss(x, *values):
        logits, _ = network.forward(dict(zip(names, values, strict=True)), x)
        return cross_entropy(logits, y)[0]

    logits, tape = network.forward(params, x)
    dz = cross_entropy(logits, y)[1].x(1.0)
    found = gradients(tape, dz)
    assert list(found) == names
    ours, arguments = (input_gradient(tape, dz), *found.values()), (x, *params.values())
    for i, theirs in enumerate(autograd_reference.vjp(loss, arguments, np.ones(()))):
        assert_allclose(ours[i], theirs, rtol=1e-9, atol=1e-12)
        direction = rng.normal(size=theirs.shape)

        def value(at, i=i):
            return loss(*arguments[:i], at, *arguments[i + 1 :])

        assert_allclose(
            np.sum(ours[i] * direction),
            autograd_reference.directional_derivative(value, arguments[i], direction),
            rtol=1e-4,
            atol=1e-7,
        )


def test_hidden_representations_are_rows_and_lead_to_the_logits(x):
    network = small()
    params = init(network)
    first, second, dense = network.hidden(params, x)
    assert first.shape == (3, 3 * 4 * 4)
    assert second.shape == (3, 3 * 1 * 1)
    assert_allclose(dense, np.tanh(naive.affine(second, params["W3"], params["b3"])), rtol=1e-10)
    assert_allclose(network.forward(params, x)[0], naive.affine(dense, params["W4"], params["b4"]), rtol=1e-10)


def test_an_input_gradient_computes_no_weight_gradient_and_the_reverse(x):
    network = small()
    params = init(network)
    logits, tape = network.forward(params, x)

    def forbidden(dy):
        raise AssertionError("a gradient nobody asked for")

    dz = np.ones_like(logits)
    assert input_gradient([(names, Pullback(pull.x, forbidden)) for names, pull in tape], dz).shape == x.shape
    first = next(i for i, (names, _) in enumerate(tape) if names)
    stopped = [(n, Pullback(forbidden, p.params)) if i <= first else (n, p) for i, (n, p) in enumerate(tape)]
    assert list(gradients(stopped, dz)) == list(params)


@pytest.mark.parametrize("network", [small(), small(activation="relu"), SMALL_LENET], ids=["cnn", "relu", "lenet5"])
def test_the_net_runs_on_every_backend(be, rng, network):
    x, y = rng.uniform(size=(3, network.side**2)), rng.integers(0, 4, 3)
    params, reference = init(network, be.dtype, be.backend), init(network)
    logits, tape = network.forward(params, be.array(x))
    dz = cross_entropy(logits, be.array(y, "int64"))[1].x(1.0)
    expected_logits, expected_tape = network.forward(reference, x)
    expected_dz = cross_entropy(expected_logits, y)[1].x(1.0)
    tolerance = {"rtol": be.tolerance, "atol": be.tolerance}
    assert_allclose(be.host(logits), expected_logits, **tolerance)
    assert_allclose(be.host(input_gradient(tape, dz)), input_gradient(expected_tape, expected_dz), **tolerance)
    expected = gradients(expected_tape, expected_dz)
    for name, gradient in gradients(tape, dz).items():
        assert_allclose(be.host(gradient), expected[name], **tolerance)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.zeros((0, 100)), r"expected inputs float64\(1 or more, 100\), got float64\(0, 100\)"),
        (np.zeros((2, 99)), r"got float64\(2, 99\)"),
        (np.zeros((2, 300)), r"got float64\(2, 300\)"),  # three channels
        (np.zeros((2, 100), np.float32), r"expected inputs float64.*got float32\(2, 100\)"),
        (np.zeros((2, 400)), r"got float64\(2, 400\)"),
    ],
)
def test_bad_images_are_refused_with_both_shapes(x, message):
    network = small()
    params = init(network)
    for passes in (network.forward, network.hidden, lambda params, x: network.gradients(params).logits(x)):
        with pytest.raises(UsageError, match=message):
            passes(params, x)


def test_weights_of_another_net_are_refused(x):
    with pytest.raises(UsageError, match=r"cnn with these settings has W3 \(5, 27\), got \(5, 3\)"):
        CNN(filters=(3, 3), side=20, hidden_units=5, classes=4).forward(init(small()), np.zeros((2, 400)))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"padding": "full"}, "padding must be one of valid, same, got 'full'"),
        ({"activation": "gelu"}, r"cnn activation must be one of tanh, relu, leaky-relu, identity, got 'gelu'"),
        ({"dense_activation": "gelu"}, r"dense_activation must be one of .*, leaky-relu, .*, got 'gelu'"),
        ({"side": 15, "kernel": 5}, "15 x 15 pixels are too small for two blocks"),
        ({"side": 9}, "too small for two blocks"),
        ({"filters": (0, 3)}, r"filters must be .*, got"),
        ({"classes": 1}, "classes must be finite and at least 2, got 1"),
    ],
)
def test_options_that_are_none_are_refused(settings, message):
    with pytest.raises(UsageError, match=message):
        CNN(**settings)
    if "side" not in settings:
        with pytest.raises(UsageError, match=message.replace("cnn ", "lenet5 ")):
            LeNet5(**settings)


def test_the_smallest_images_there_are():
    assert_array_equal(CNN(side=10).init(NUMPY)["W3"].shape, (128, 32))
    assert CNN(side=15, kernel=5, padding="same").features == 32 * 3 * 3
