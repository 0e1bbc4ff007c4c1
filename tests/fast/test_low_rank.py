"""The fast twin of a net in factors: logits, gradients and margins are those of the readable passes."""

import pytest
from backends import NUMPY
from numpy.testing import assert_allclose

from refimpl import CNN, FCNN, LeNet5
from refimpl.fast import accelerate
from refimpl.fast.gradients import FastGradients
from refimpl.low_rank import LowRankNetwork

SMALL = {"filters": (3, 3), "side": 10, "hidden_units": 5, "classes": 4}
NETS = {
    "fcnn": (FCNN((12, 7, 5, 4)), 12),
    "cnn": (CNN(**SMALL), 100),
    "cnn, same, relu": (CNN("same", "relu", **SMALL), 100),
    "lenet5": (LeNet5(**SMALL | {"filters": (3, 4), "side": 16}), 256),
}


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("fraction", [0.2, 0.5, 1.0])
def test_a_net_in_factors_goes_fast_and_gives_the_same(rng, name, fraction):
    whole, pixels = NETS[name]
    network = LowRankNetwork(whole, fraction)
    params, x, y = network.init(NUMPY, 0, "float64"), rng.uniform(size=(6, pixels)), rng.integers(0, 4, 6)
    fast, readable = accelerate(network).gradients(params), network.gradients(params)
    assert isinstance(fast, FastGradients)
    assert_allclose(fast.logits(x), readable.logits(x), rtol=1e-9, atol=1e-12)
    assert_allclose(fast.loss(y)(x), readable.loss(y)(x), rtol=1e-9, atol=1e-12)
    for ours, theirs in zip(fast.margins(y)(x), readable.margins(y)(x), strict=True):
        assert_allclose(ours, theirs, rtol=1e-9, atol=1e-11)
    assert_allclose(fast.least_margin(y)(x), readable.least_margin(y)(x), rtol=1e-9, atol=1e-12)
    (loss, grads), (expected, expected_grads) = fast.weights(x, y), readable.weights(x, y)
    assert_allclose(loss, expected, rtol=1e-12)
    assert set(grads) == set(expected_grads)
    for key, gradient in grads.items():
        assert_allclose(gradient, expected_grads[key], rtol=1e-9, atol=1e-12)
