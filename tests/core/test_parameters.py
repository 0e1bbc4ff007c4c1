"""The names of parameters: the order of a dictionary means nothing."""

import numpy as np
import pytest
from backends import NUMPY
from numpy.testing import assert_array_equal

from refimpl import SGD, UsageError, accuracy
from refimpl.networks import CNN, FCNN
from refimpl.parameters import as_matrix, depth, in_order, n_classes, number, weights
from refimpl.regularizers import Batch, Joint, MarginBound
from refimpl.training import AdversarialWeights, CrossEntropy, Regularized, Step

DEEP = FCNN((12, 5, 6, 5, 6, 5, 6, 5, 6, 5, 6, 4))
NAMES = [f"{kind}{i}" for i in range(1, 12) for kind in "Wb"]


def orders(rng, params):
    """As files sort names, W10 before W2; backwards; and shuffled."""
    yield sorted(params)
    yield list(params)[::-1]
    yield list(rng.permutation(list(params)))


@pytest.mark.parametrize(
    "network", [DEEP, CNN(filters=(2, 3), side=14, hidden_units=5, classes=4)], ids=["fcnn", "cnn"]
)
def test_no_order_changes_a_bit(rng, network):
    params = network.init(NUMPY, 1, "float64")
    x, y = rng.uniform(size=(6, 12 if network is DEEP else 196)), rng.integers(0, 4, 6)
    terms = (Joint(0.01), MarginBound(0.01)) if network is DEEP else ()
    objective = AdversarialWeights(Regularized(CrossEntropy(network), terms), 0.01)

    def found(params):
        at = network.gradients(params)
        loss, grads = at.weights(x, y)
        step = Step(objective, SGD(0.1, 0.9), params, SGD(0.1, 0.9).init(params))
        step(Batch(x, y))
        numbers = [at.logits(x), at.loss(y)(x), *at.margins(y)(x), loss, np.array(accuracy(at.logits(x), y))]
        return numbers, grads, step.params

    expected = found(params)
    for names in orders(rng, params):
        ours = found({name: params[name] for name in names})
        for one, same in zip(ours[0], expected[0], strict=True):
            assert_array_equal(one, same)
        for one, same in zip(ours[1:], expected[1:], strict=True):
            assert set(one) == set(same)
            for name, x_ in one.items():
                assert_array_equal(x_, same[name])


def test_in_order_is_that_of_the_layers(rng):
    params = DEEP.init(NUMPY)
    for names in orders(rng, params):
        shuffled = {name: params[name] for name in names}
        assert list(in_order(shuffled)) == NAMES
        assert list(weights(shuffled)) == NAMES[::2]
        assert depth(shuffled) == 11
        assert n_classes(shuffled) == 4
    assert number("W12") == 12


@pytest.mark.parametrize("names", [("W1",), ("W1", "b1", "W3", "b3"), ("W1", "b1", "extra"), ()])
def test_parameters_that_are_missing_or_too_many_are_refused(names):
    with pytest.raises(UsageError, match=r"expected parameters W1, b1, W2, b2, \.\.\., got"):
        in_order({name: np.zeros(1) for name in names})


def test_a_batch_is_the_first_step_of_no_new_epoch_unless_it_says_otherwise(rng):
    assert Batch(rng.normal(size=(2, 3)), np.zeros(2, int))[2:] == (1, False)


def test_filters_are_rows_of_one_matrix():
    W = np.arange(24.0).reshape(2, 3, 2, 2)
    assert_array_equal(as_matrix(W), W.reshape(2, 12))
    assert as_matrix(W[:, :, 0, 0]).shape == (2, 3)
