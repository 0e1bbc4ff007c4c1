"""The fast gradients of the dense net are the readable ones: float64 to 1e-12, float32 to a few roundings."""

import numpy as np
import pytest
from backends import FAKE, NUMPY
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from strategies import seeds, sizes

from refimpl import UsageError
from refimpl.fast import accelerate
from refimpl.layers.loss import one_hot
from refimpl.networks import FCNN, Gradients, fcnn, loss_gradient, margin_gradients

TOLERANCE = {"float64": 1e-12, "float32": 2e-5}
NET = FCNN((12, 6, 5, 4))
FAST = accelerate(NET)


@given(seeds, sizes, st.sampled_from(["float64", "float32"]))
def test_the_fast_input_gradient_is_the_taped_one(seed, batch, dtype):
    rng = np.random.default_rng(seed)
    params = fcnn.init(NUMPY, seed=seed, widths=NET.widths, dtype=dtype)
    x, y = rng.normal(size=(batch, 12)).astype(dtype), rng.integers(0, 4, batch)
    fast, taped = FAST.gradients(params).loss(y), loss_gradient(NET, params, y)
    first = fast(x)
    assert first.dtype == dtype
    assert_allclose(first, taped(x), rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])
    kept = first.copy()
    fast(x + 1)
    assert_array_equal(first, kept)


def weighted(logits, y, other):
    """A loss of two labels: half the squared logit of the one minus the logit of the other, of each example."""
    t, o = (one_hot(one, logits.shape[1], logits.dtype) for one in (y, other))
    return ((0.5 * t * logits**2) - o * logits).sum(axis=1), t * logits - o


@given(seeds, sizes, st.sampled_from(["float64", "float32"]))
def test_everything_else_is_the_taped_one(seed, batch, dtype):
    rng = np.random.default_rng(seed)
    params = fcnn.init(NUMPY, seed=seed, widths=NET.widths, dtype=dtype)
    x, y = rng.normal(size=(batch, 12)).astype(dtype), rng.integers(0, 4, batch)
    fast, taped = FAST.gradients(params), Gradients(NET, params)
    close = {"rtol": TOLERANCE[dtype], "atol": TOLERANCE[dtype]}
    assert_allclose(fast.logits(x), taped.logits(x), **close)
    assert_allclose(fast.least_margin(y)(x), taped.least_margin(y)(x), **close)
    for ours, theirs in zip(fast.margins(y)(x), margin_gradients(NET, params, y)(x), strict=True):
        assert_allclose(ours, theirs, **close)
    for ours, theirs in zip(
        fast.value_and_grad(weighted, y, y[::-1])(x), taped.value_and_grad(weighted, y, y[::-1])(x), strict=True
    ):
        assert_allclose(ours, theirs, **close)
    (loss, grads), (expected_loss, expected) = fast.weights(x, y), taped.weights(x, y)
    assert_allclose(loss, expected_loss, **close)
    assert list(grads) == list(expected)
    for name, gradient in grads.items():
        assert gradient.dtype == dtype
        assert_allclose(gradient, expected[name], **close)


@pytest.mark.parametrize("label", range(4))
def test_logits_of_thousands_neither_overflow_nor_vanish(rng, label):
    """The loss is the distance of the largest logit, that of the gradients the difference of two rows of weights."""
    params = NET.init(NUMPY, 1, "float64")
    params["b3"][:] = (2000.0, -2000.0, 0.0, 500.0)
    x, y = rng.uniform(size=(3, 12)), np.full(3, label)
    fast, taped = FAST.gradients(params), Gradients(NET, params)
    z = taped.logits(x)
    assert_allclose(fast.weights(x, y)[0], np.mean(z[:, 0] - z[:, label]), rtol=1e-12)
    assert_allclose(fast.loss(y)(x), taped.loss(y)(x), rtol=1e-12)


def test_other_arrays_than_numpys_get_the_readable_gradients():
    assert type(FAST.gradients(NET.init(FAKE))) is Gradients
    assert type(FAST.gradients(NET.init(NUMPY))) is not Gradients


def test_it_is_the_network_that_it_speeds_up(rng):
    params, x = NET.init(NUMPY, 3), rng.uniform(size=(2, 12)).astype("f4")
    assert_array_equal(FAST.init(NUMPY, 3)["W1"], params["W1"])
    assert_array_equal(FAST.init(NUMPY)["W1"], NET.init(NUMPY)["W1"])
    assert_array_equal(FAST.forward(params, x)[0], NET.forward(params, x)[0])
    for ours, theirs in zip(FAST.hidden(params, x), NET.hidden(params, x), strict=True):
        assert_array_equal(ours, theirs)
    assert FAST.full(params) is params
    assert_array_equal(FAST.core(params, "W1"), params["W1"])
    assert FAST.image_shape(9) == (1, 3, 3)
    assert FAST.certifiable


def test_the_fast_input_gradient_says_what_it_expects():
    gradient = accelerate(FCNN()).gradients(fcnn.init(NUMPY)).loss(np.zeros(2, int))
    with pytest.raises(UsageError, match=r"expected inputs float32\(1 or more, 784\), got float64\(2, 784\)"):
        gradient(np.zeros((2, 784)))


def test_inputs_of_another_shape_than_the_first_are_refused(rng):
    gradient = FAST.gradients(NET.init(NUMPY)).loss(np.zeros(3, int))
    gradient(np.zeros((3, 12), np.float32))
    for bad in (np.zeros((2, 12), np.float32), np.zeros((3, 12))):
        with pytest.raises(UsageError, match=r"expected inputs float32\(3, 12\), got"):
            gradient(bad)
