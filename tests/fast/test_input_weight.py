"""Gradients with respect to weights, and steps against perturbed weights, are the readable ones."""

import pytest
from backends import NUMPY
from numpy.testing import assert_allclose

from refimpl import CNN, FCNN, SGD
from refimpl.attacks import FGSM, InputWeight
from refimpl.fast import accelerate
from refimpl.regularizers import Batch, MarginBound, OperatorNorms
from refimpl.training import AdversarialInputs, AdversarialWeights, CrossEntropy, Regularized, Step

NETS = {
    "fcnn": FCNN((100, 5, 4)),
    "cnn": CNN(filters=(3, 3), side=10, hidden_units=5, classes=4),
}


@pytest.mark.parametrize("network", NETS.values(), ids=NETS)
def test_the_fast_gradient_with_respect_to_the_weights_is_the_taped_one(rng, network):
    params, x, y = network.init(NUMPY, 1, "float64"), rng.random((7, 100)), rng.integers(0, 4, 7)
    ours = accelerate(network).gradients(params).weights(x, y)[1]
    theirs = network.gradients(params).weights(x, y)[1]
    assert list(ours) == list(theirs)
    for name, gradient in ours.items():
        assert_allclose(gradient, theirs[name], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("network", NETS.values(), ids=NETS)
def test_the_fast_attack_on_inputs_and_weights_is_the_readable_one(rng, network):
    """The first steps, so that no sign hangs on rounding."""
    params, x, y = network.init(NUMPY, 1, "float64"), rng.random((7, 100)), rng.integers(0, 4, 7)
    attack = InputWeight(eps=0.1, eps_weights=0.02, steps=2)
    ours, theirs = (attack.perturb_all(net.gradients, params, x, y, 4) for net in (accelerate(network), network))
    assert_allclose(ours[0], theirs[0], atol=1e-12)
    for name, p in ours[1].items():
        assert_allclose(p, theirs[1][name], atol=1e-12)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("network", NETS.values(), ids=NETS)
def test_the_fast_step_against_weights_and_with_the_bound_is_the_readable_step(rng, dtype, network):
    x, y = rng.random((50, 100)).astype(dtype), rng.integers(0, 4, 50)
    params = network.init(NUMPY, 2, dtype)
    inner = AdversarialWeights(CrossEntropy(network), 0.01)
    objective = AdversarialInputs(inner, network, FGSM(eps=0.01), fraction=0.5)
    if isinstance(network, FCNN):
        objective = Regularized(objective, (MarginBound(0.01, 0.001, 0.002), OperatorNorms(0.03)))
    readable = Step(objective, SGD(0.1), params, {})
    fast = accelerate(Step(objective, SGD(0.1), params, {}))
    assert type(fast) is not Step
    tolerance = {"float64": 1e-9, "float32": 2e-4}[dtype]
    for t in range(1, 4):
        index = rng.permutation(50)[:16]
        batch = Batch(x[index], y[index], t)
        assert_allclose(fast(batch), readable(batch), rtol=tolerance)
    for name, p in fast.snapshot()[0].items():
        assert p.dtype == dtype
        assert_allclose(p, readable.params[name], atol=tolerance)
