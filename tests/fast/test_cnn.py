"""The fast convolutional net is the readable one, whatever its options, its batch and its threads."""

import tracemalloc

import numpy as np
import pytest
from backends import NUMPY
from numpy.testing import assert_allclose, assert_array_equal

from refimpl import UsageError, cross_entropy, gradients, input_gradient
from refimpl.fast import accelerate
from refimpl.fast.cnn import MICROBATCH, CNNBuffers
from refimpl.fast.dense import one_hot
from refimpl.layers.activations import ACTIVATIONS
from refimpl.networks import CNN, LeNet5, loss_gradient, margin_gradients

OPTIONS = [(padding, activation) for padding in ("valid", "same") for activation in ACTIVATIONS]
TOLERANCE = {"float64": 1e-11, "float32": 5e-5}


def small(padding="valid", activation="relu", side=15, **settings):
    return CNN(padding, activation, **{"filters": (5, 5), "side": side, "hidden_units": 6, "classes": 4, **settings})


def problem(rng, network, dtype="float64", batch=7):
    params = network.init(NUMPY, 2, dtype)
    params = {name: (p + 0.1 * rng.normal(size=p.shape)).astype(dtype) for name, p in params.items()}
    inputs = network.channels * network.side**2
    return params, rng.uniform(size=(batch, inputs)).astype(dtype), rng.integers(0, 4, batch)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(("padding", "activation"), OPTIONS)
@pytest.mark.parametrize("side", [14, 15])
def test_it_is_the_readable_net(rng, padding, activation, dtype, side):
    network = small(padding, activation, side)
    check_passes(network, *problem(rng, network, dtype))


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("dense_activation", ACTIVATIONS)
@pytest.mark.parametrize(("padding", "kernel"), [("valid", 5), ("same", 5), ("valid", 2)])
def test_so_it_is_with_other_filters_and_another_dense_layer(rng, dtype, dense_activation, padding, kernel):
    """Filters of another side, of which the blocks have different numbers."""
    network = small(padding, "leaky-relu", 18, dense_activation=dense_activation, filters=(4, 6), kernel=kernel)
    check_passes(network, *problem(rng, network, dtype))


def test_so_it_is_with_more_channels_and_lenet_5(rng):
    for network in (small(channels=3), LeNet5(filters=(2, 3), side=17, hidden_units=5, classes=4)):
        check_passes(network, *problem(rng, network))


def check_passes(network, params, x, y):
    dtype = str(x.dtype)
    logits, tape = network.forward(params, x)
    loss, pull = cross_entropy(logits, y)
    passes = CNNBuffers(len(x), params, network, threads=1)
    fast = accelerate(network).gradients(params)
    grads = {name: np.empty_like(p) for name, p in params.items()}
    close = {"rtol": TOLERANCE[dtype], "atol": TOLERANCE[dtype]}
    for _ in range(2):  # the arrays are used again
        assert_allclose(passes.value_and_grad(x, one_hot(y, params), grads), loss, **close)
        for name, expected in gradients(tape, pull.x(1.0)).items():
            assert grads[name].dtype == dtype
            assert_allclose(grads[name], expected, **close)
        assert_allclose(fast.logits(x), logits, **close)
        expected = input_gradient(tape, pull.x(float(len(y))))
        assert_allclose(fast.loss(y)(x), expected, **close)


def test_no_thread_changes_a_bit(rng):
    network = small()
    params, x, y = problem(rng, network, "float32", 2 * MICROBATCH + 5)
    found = []
    for threads in (1, 2, 3):
        fast = accelerate(network, threads).gradients(params)
        loss, grads = fast.weights(x, y)
        found.append([loss, *grads.values(), fast.loss(y)(x), *fast.margins(y)(x), fast.logits(x)])
    for other in found[1:]:
        for one, same in zip(found[0], other, strict=True):
            assert_array_equal(one, same)


def test_a_batch_of_several_microbatches_is_its_parts(rng):
    network = small()
    params, x, y = problem(rng, network, batch=2 * MICROBATCH + 3)
    fast = accelerate(network).gradients(params)
    (loss, grads), (expected_loss, expected) = fast.weights(x, y), network.gradients(params).weights(x, y)
    assert_allclose(loss, expected_loss, rtol=1e-12)
    for name, gradient in grads.items():
        assert_allclose(gradient, expected[name], rtol=1e-10, atol=1e-14)
    whole = fast.loss(y)(x)
    for part in (slice(0, MICROBATCH), slice(MICROBATCH, 2 * MICROBATCH), slice(2 * MICROBATCH, None)):
        assert_allclose(fast.loss(y[part])(x[part]), whole[part], rtol=1e-10, atol=1e-14)


def squares(logits, y):
    """The sum of the squared logits of each example, those after its label."""
    later = np.arange(logits.shape[1]) > y[:, None]
    return np.sum(later * logits**2, axis=1), 2 * later * logits


def test_the_fast_gradients_are_the_taped_ones(rng):
    network = small(activation="tanh")
    params, x, y = problem(rng, network)
    fast, taped = accelerate(network).gradients(params), network.gradients(params)
    assert_allclose(fast.loss(y)(x), loss_gradient(network, params, y)(x), rtol=1e-10, atol=1e-13)
    for ours, theirs in zip(fast.margins(y)(x), margin_gradients(network, params, y)(x), strict=True):
        assert_allclose(ours, theirs, rtol=1e-10, atol=1e-13)
    assert_allclose(fast.least_margin(y)(x), taped.least_margin(y)(x), rtol=1e-10)
    for ours, theirs in zip(fast.value_and_grad(squares, y)(x), taped.value_and_grad(squares, y)(x), strict=True):
        assert_allclose(ours, theirs, rtol=1e-10, atol=1e-13)
    assert_allclose(fast.logits(x), network.forward(params, x)[0], rtol=1e-10)
    for (loss, grads), (expected_loss, expected) in [(fast.weights(x, y), taped.weights(x, y))]:
        assert_allclose(loss, expected_loss, rtol=1e-12)
        for name, gradient in grads.items():
            assert_allclose(gradient, expected[name], rtol=1e-10, atol=1e-13)


def test_logits_of_many_images_take_the_memory_of_a_microbatch():
    network = CNN()
    params = network.init(NUMPY)
    peaks = []
    for n in (512, 4096):
        x = np.zeros((n, 784), np.float32)
        tracemalloc.start()
        accelerate(network).gradients(params).logits(x)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 4096 * 100  # the results, and small change


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_pixels_that_are_not_finite_are_refused(rng, bad):
    network = small()
    params, x, y = problem(rng, network)
    x[1, 5] = bad
    with pytest.raises(UsageError, match=r"expected finite images, got 1 pixels of \(7, 225\) that are not"):
        accelerate(network).gradients(params).loss(y)(x)


def test_inputs_of_another_shape_than_the_first_are_refused(rng):
    network = small()
    params, x, y = problem(rng, network)
    gradient = accelerate(network).gradients(params).loss(y)
    gradient(x)
    with pytest.raises(UsageError, match=r"expected inputs float64\(7, 225\), got float64\(6, 225\)"):
        gradient(x[1:])


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.zeros((0, 225)), r"expected inputs float64\(1 or more, 225\), got float64\(0, 225\)"),
        (np.zeros((2, 224)), r"got float64\(2, 224\)"),
        (np.zeros((2, 675)), r"got float64\(2, 675\)"),  # three channels
        (np.zeros((2, 225), np.float32), r"expected inputs float64.*got float32\(2, 225\)"),
    ],
)
def test_bad_images_are_refused_with_both_shapes(rng, x, message):
    network = small()
    fast = accelerate(network).gradients(problem(rng, network)[0])
    y = np.zeros(len(x), int)
    for passes in (fast.logits, fast.loss(y), fast.margins(y), lambda x: fast.weights(x, y)):
        with pytest.raises(UsageError, match=message):
            passes(x)


def test_weights_of_another_net_are_refused(rng):
    params, *_ = problem(rng, small())
    with pytest.raises(UsageError, match=r"cnn with these settings has W3 \(6, 45\), got \(6, 20\)"):
        accelerate(small(side=20)).gradients(params).logits(np.zeros((2, 400)))


@pytest.mark.parametrize("rows", [(0, 1), (1, 0)])
def test_of_equal_entries_the_first_is_the_largest_in_either_row_of_a_window(rows):
    """Filters of one pixel on images whose rows differ and whose columns do not: exact ties within a row."""
    network = CNN(filters=(1, 1), kernel=1, side=4, hidden_units=2, classes=2, activation="identity")
    params = network.init(NUMPY, 0, "float64")
    params = {name: np.ones_like(p) if p.ndim == 4 else p for name, p in params.items()}
    image = np.tile(np.array(rows, float).repeat(4).reshape(2, 4), (2, 1))
    x, y = image.reshape(1, 16), np.array([1])
    gradient = accelerate(network).gradients(params).loss(y)(x)
    assert_allclose(gradient, loss_gradient(network, params, y)(x), rtol=1e-12)
    assert_array_equal(
        gradient.reshape(4, 4) != 0, [[False] * 4] * 4 + np.outer(np.eye(4)[rows.index(1)], np.eye(4)[0]) > 0
    )
