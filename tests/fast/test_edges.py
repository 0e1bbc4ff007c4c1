"""What both paths refuse alike, in any order of the parameters, from several threads, and after a fork."""

import os
import signal
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from backends import NUMPY
from numpy.testing import assert_allclose, assert_array_equal

from refimpl import SGD, Adam, UsageError, accuracy
from refimpl.attacks import PGD
from refimpl.fast import accelerate
from refimpl.networks import CNN, FCNN
from refimpl.regularizers import Batch, Nuclear
from refimpl.training import CrossEntropy, Regularized, Step

DEEP = FCNN((12, 5, 6, 5, 6, 5, 6, 5, 6, 5, 6, 4))
SMALL_CNN = CNN(filters=(2, 3), side=14, hidden_units=5, classes=4)
NETWORKS = pytest.mark.parametrize("network", [DEEP, SMALL_CNN], ids=["fcnn", "cnn"])


def inputs(rng, network, n):
    return rng.uniform(size=(n, 12 if network is DEEP else 196)), rng.integers(0, 4, n)


@NETWORKS
def test_one_closure_serves_several_threads(rng, network):
    """160 gradients and four attacks by eight threads, each the bits of one thread alone."""
    params = network.init(NUMPY, 1, "float64")
    x, y = inputs(rng, network, 20)
    at = accelerate(network).gradients(params)
    gradient, margins, attack = at.loss(y), at.margins(y), PGD(steps=5)
    batches = [x + 0.01 * i for i in range(160)]
    expected = [at.loss(y)(batch) for batch in batches]
    of_margins = [at.margins(y)(batch)[1] for batch in batches[:8]]
    attacked = attack.perturb(at, x, y)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(gradient, batches))
        found_margins = list(pool.map(lambda batch: margins(batch)[1], batches[:8]))
        found_attacked = list(pool.map(lambda _: attack.perturb(at, x, y), range(4)))
    for ours, theirs in zip(found + found_margins, expected + of_margins, strict=True):
        assert_array_equal(ours, theirs)
    for ours in found_attacked:
        assert_array_equal(ours, attacked)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:This process.*is multi-threaded")
def test_a_child_does_not_wait_for_its_parents_threads(rng):
    params = SMALL_CNN.init(NUMPY)
    x, y = rng.uniform(size=(40, 196)).astype(np.float32), rng.integers(0, 4, 40)
    network = accelerate(SMALL_CNN, threads=2)
    expected = network.gradients(params).loss(y)(x)
    child = os.fork()
    if not child:
        signal.alarm(20)  # ends the child where it hangs
        os._exit(0 if np.array_equal(network.gradients(params).loss(y)(x), expected) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@NETWORKS
def test_no_order_of_the_parameters_changes_a_result(rng, network):
    params, (x, y) = network.init(NUMPY, 1, "float64"), inputs(rng, network, 6)
    at = accelerate(network).gradients(params)
    for names in (sorted(params), list(params)[::-1], list(rng.permutation(list(params)))):
        other = accelerate(network).gradients({name: params[name] for name in names})
        assert_array_equal(other.logits(x), at.logits(x))
        assert_array_equal(other.loss(y)(x), at.loss(y)(x))
        assert accuracy(other.logits(x), y) == accuracy(network.gradients(params).logits(x), y)
        for name, gradient in other.weights(x, y)[1].items():
            assert_array_equal(gradient, at.weights(x, y)[1][name])


@NETWORKS
@pytest.mark.parametrize("optimizer", [SGD(0.1), SGD(0.1, 0.9), Adam(0.01)], ids=["sgd", "momentum", "adam"])
def test_no_order_changes_a_step_nor_its_continuation(rng, network, optimizer):
    """As a checkpoint has it: names sorted, those of the state in an order of their own."""
    params, (x, y) = network.init(NUMPY, 1, "float64"), inputs(rng, network, 6)
    objective = Regularized(CrossEntropy(network), (Nuclear({"W1": 0.1}),))
    readable = Step(objective, optimizer, params, optimizer.init(params))
    readable(Batch(x, y, 1, True))
    state = {name: readable.state[name] for name in list(readable.state)[::-1]}
    began = {name: readable.params[name] for name in sorted(readable.params)}
    fast = accelerate(Step(objective, optimizer, began, state))
    for t in (2, 3):
        assert_allclose(fast(Batch(x, y, t)), readable(Batch(x, y, t)), rtol=1e-11)
    for ours, theirs in zip(fast.snapshot(), readable.snapshot(), strict=True):
        assert set(ours) == set(theirs)
        for name, p in ours.items():
            assert_allclose(p, theirs[name], rtol=1e-9, atol=1e-11)


@pytest.mark.usefixtures("unchecked")
@NETWORKS
@pytest.mark.parametrize(
    "y",
    [np.array([0, 1, 4]), np.array([0, -1, 3]), np.zeros(3), np.zeros((3, 1), int), np.array([0, 1]), np.ones(3, bool)],
    ids=["large", "negative", "floating", "column", "short", "bool"],
)
def test_labels_are_refused_in_the_same_words(rng, network, y):
    params, (x, _) = network.init(NUMPY, 1, "float64"), inputs(rng, network, 3)
    readable, fast = network.gradients(params), accelerate(network).gradients(params)
    for use in (
        lambda at: at.loss(y)(x),
        lambda at: at.margins(y)(x),
        lambda at: at.least_margin(y)(x),
        lambda at: at.weights(x, y),
    ):
        said = [refusal(use, at) for at in (readable, fast)]
        assert said[0] == said[1] or y.shape == (2,)  # the fast closures expect as many inputs as labels
    step = Step(CrossEntropy(network), SGD(0.1), params, {})
    assert refusal(accelerate(step), Batch(x, y)) == refusal(step, Batch(x, y))


@pytest.mark.usefixtures("unchecked")
@NETWORKS
def test_labels_are_refused_before_any_input_is_seen(network):
    at = accelerate(network).gradients(network.init(NUMPY, 1))
    for y in (np.array([0, 4]), np.array([0, -1]), np.zeros(2), np.zeros((2, 1), int)):
        for closure in (at.loss, at.margins):
            assert "labels" in refusal(closure, y)


@NETWORKS
def test_types_and_empty_inputs_are_refused_in_the_same_words(rng, network):
    params, (x, y) = network.init(NUMPY, 1, "float64"), inputs(rng, network, 3)
    mixed = params | {"W2": params["W2"].astype(np.float32)}
    for at, bad, labels in (
        (params, x.astype(np.float32), y),
        (mixed, x, y),
        (params, x[:0], y[:0]),
        (params, x[:, 1:], y),
    ):
        readable, fast = network.gradients(at), accelerate(network).gradients(at)
        for use in (
            lambda one, bad=bad: one.logits(bad),
            lambda one, bad=bad, labels=labels: one.loss(labels)(bad),
            lambda one, bad=bad, labels=labels: one.margins(labels)(bad),
            lambda one, bad=bad, labels=labels: one.weights(bad, labels),
        ):
            assert refusal(use, readable) == refusal(use, fast)


def refusal(use, *arguments) -> str:
    with pytest.raises(UsageError) as caught:
        use(*arguments)
    return str(caught.value)
