"""Our attacks on a plain function, which needs no other library."""

import numpy as np
import pytest

import refimpl as ri
from refimpl.attacks.base import Target
from refimpl.interop.external import ExternalNetwork
from refimpl.tape import input_gradient

SHAPE = (2, 3, 3)


def as_function(network, params):
    """A network of ours as a plain function of images and its pullback."""

    def function(images):
        xp = ri.namespace(images)
        logits, tape = network.forward(params, xp.reshape(images, (images.shape[0], -1)))
        return logits, lambda dlogits: xp.reshape(input_gradient(tape, dlogits), images.shape)

    return function


@pytest.fixture
def pair(rng):
    """A network of ours, and the same as a function of somebody else's."""
    network = ri.FCNN((18, 8, 4), image=SHAPE)
    params = network.init(ri.backend("numpy"), 0, "float64")
    return network.gradients(params), ExternalNetwork(as_function(network, params), SHAPE).gradients({})


def test_gradients_are_those_of_the_function(pair, rng):
    ours, theirs = pair
    x, y = rng.random((7, 18)), rng.integers(0, 4, 7)
    assert isinstance(theirs, Target)
    assert np.array_equal(ours.logits(x), theirs.logits(x))
    assert np.array_equal(ours.loss(y)(x), theirs.loss(y)(x))
    assert np.array_equal(ours.least_margin(y)(x), theirs.least_margin(y)(x))
    for mine, other in zip(ours.margins(y)(x), theirs.margins(y)(x), strict=True):
        assert mine == pytest.approx(other, abs=1e-15)
    assert theirs.image_shape(18) == SHAPE


@pytest.mark.parametrize("attack", [ri.attacks.FGSM(), ri.attacks.PGD(), ri.attacks.GNM(), ri.attacks.PGDL2()])
def test_attacks_find_the_same_examples(pair, rng, attack):
    x, y = rng.random((7, 18)), rng.integers(0, 4, 7)
    ours, theirs = (attack.perturb(target, x, y) for target in pair)
    assert ours == pytest.approx(theirs, abs=1e-12)


def test_what_the_function_returns_is_not_overwritten():
    A = np.array([[1.0, -2.0], [0.5, 1.0], [-1.0, 3.0]])
    one = A[:1].reshape(1, 1, 1, 2)
    target = ExternalNetwork(lambda x: (x.reshape(1, 2) @ A.T, lambda dlogits: one), (1, 1, 2)).gradients({})
    assert np.array_equal(ri.attacks.PGD().perturb(target, np.full((1, 2), 0.5), np.array([0])), [[0.55, 0.45]])
    assert np.array_equal(A[0], [1.0, -2.0])


def test_fooling_is_that_of_the_network(rng):
    images, labels = rng.integers(0, 256, (20, 28, 28)).astype(np.uint8), rng.integers(0, 10, 20)
    inputs = ri.LabelledImages(images, labels, ri.backend("numpy"), "float64", chunk=6)
    network = ri.FCNN((784, 6, 10))
    params = network.init(ri.backend("numpy"), 0, "float64")
    external = ExternalNetwork(as_function(network, params), (1, 28, 28))
    ours, theirs = (
        ri.fooling(one, p, inputs, [ri.attacks.PGD(eps=0.3)])[0] for one, p in ((network, params), (external, {}))
    )
    assert ours.summary == theirs.summary
    assert np.array_equal(ours.x_adv, theirs.x_adv)


def test_it_works_where_the_arrays_are(be, rng):
    network = ri.FCNN((18, 5, 3))
    params = network.init(be.backend, 0, be.dtype)
    external = ExternalNetwork(as_function(network, params), SHAPE)
    x, y = be.array(rng.random((4, 18))), be.array([0, 1, 2, 0], "int64")
    found = ri.loss_gradient(external, {}, y)(x)
    assert be.host(found) == pytest.approx(be.host(ri.loss_gradient(network, params, y)(x)), abs=be.tolerance)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda x: (np.zeros((4, 3, 1)), None), "expected logits"),
        (lambda x: (np.zeros((1, 3)), None), "expected logits"),
        (lambda x: (np.zeros((4, 3)), lambda dz: np.zeros((4, 18))), "expected gradients"),
    ],
)
def test_a_function_of_other_shapes_is_refused(function, message):
    y = np.zeros(4, int)
    with pytest.raises(ri.UsageError, match=message):
        ri.loss_gradient(ExternalNetwork(function, SHAPE), {}, y)(np.zeros((4, 18)))


@pytest.mark.parametrize("x", [np.zeros((4, 17)), np.zeros((0, 18)), np.zeros(18)])
def test_inputs_of_other_shapes_are_refused(pair, x, unchecked):
    with pytest.raises(ri.UsageError, match="expected inputs"):
        pair[1].logits(x)
