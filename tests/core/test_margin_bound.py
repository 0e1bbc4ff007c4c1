"""The loss built on the bound of the margins: its value is the bound's, its gradient that of its value."""

import math

import numpy as np
import pytest
from backends import NUMPY
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from strategies import matrices, seeds

from refimpl import UsageError, margin_bound
from refimpl.measures.certificates import certified, label_bound
from refimpl.networks import CNN, FCNN, fcnn
from refimpl.regularizers import Batch, MarginBound, OperatorNorms, mean_margin_bound, row_and_column_sums
from refimpl.regularizers.margin_bound import movements
from refimpl.theory import autograd_reference

radii = st.sampled_from([0.0, 0.01, 0.3])


@st.composite
def problems(draw):
    """A net of random weights and biases, inputs, labels, and radii around inputs and each layer's weights."""
    widths = [draw(st.integers(1, 5)) for _ in range(draw(st.integers(1, 4)))] + [draw(st.integers(2, 5))]
    rng = np.random.default_rng(draw(seeds))
    params = {name: rng.normal(size=p.shape) for name, p in fcnn.init(NUMPY, 0, widths).items()}
    x, y = rng.normal(size=(3, widths[0])), rng.integers(0, widths[-1], 3)
    perturbed = [i for i in range(1, len(widths)) if draw(st.booleans())] or [len(widths) - 1]
    return params, x, y, draw(radii), {f"W{i}": draw(radii) for i in perturbed}


def outputs(params, x):
    return [x, *fcnn.hidden(params, x)]


@given(problems())
def test_the_labels_bound_is_a_row_of_that_of_all_margins(problem):
    params, x, y, eps, eps_weights = problem
    ours = label_bound(params, outputs(params, x), y, eps, eps_weights)
    all_pairs = margin_bound(FCNN(), params, x, eps, eps_weights)
    for i, label in enumerate(y):
        others = np.arange(ours.shape[1]) != label
        assert_allclose(ours[i, others], all_pairs[i, label, others], rtol=1e-12)
        assert ours[i, label] == 0


@given(problems())
def test_the_value_is_the_mean_over_examples_of_the_worst_class(problem):
    params, x, y, eps, eps_weights = problem
    worst = label_bound(params, outputs(params, x), y, eps, eps_weights).max(axis=-1)
    assert_allclose(mean_margin_bound(params, x, y, eps, eps_weights)[0], worst.mean(), rtol=1e-12)


@given(problems(), seeds)
def test_the_gradient_is_the_slope_of_the_value_and_autograd_s(problem, seed):
    params, x, y, eps, eps_weights = problem
    names, rng = list(params), np.random.default_rng(seed)

    def value(x, *arrays):
        return mean_margin_bound(dict(zip(names, arrays, strict=True)), x, y, eps, eps_weights)[0]

    value_here, grads = mean_margin_bound(params, x, y, eps, eps_weights)
    _, *theirs = autograd_reference.vjp(value, (x, *params.values()), np.ones(()))
    for i, name in enumerate(names):
        assert grads[name].shape == params[name].shape
        assert_allclose(grads[name], theirs[i], rtol=1e-9, atol=1e-9 * (1 + value_here))
        direction = rng.normal(size=params[name].shape)
        slope = autograd_reference.directional_derivative(
            lambda at, name=name: value(x, *(params | {name: at}).values()), params[name], direction
        )
        assert_allclose(np.sum(grads[name] * direction), slope, rtol=1e-4, atol=1e-5 * (1 + value_here))


def test_where_units_and_weights_are_zero_so_is_the_subgradient():
    """No hidden unit is on, and none could be but by its own weights: only the last layer has a slope."""
    params = {name: 0 * p for name, p in fcnn.init(NUMPY, 0, (2, 3, 3, 2), "float64").items()}
    params["W3"] = np.array([[1.0, 2.0, 3.0], [0.0, 0.0, 0.0]])
    x, y = np.array([[0.5, -0.25]]), np.array([0])
    value, grads = mean_margin_bound(params, x, y, 0.25, 0.1)
    d1 = 0.1 * (0.75 + 2 * 0.25)
    d2 = 0.1 * 3 * d1
    assert_allclose(value, (1 + 2 + 3) * d2 + 2 * 0.1 * 3 * d2, rtol=1e-12)
    assert_allclose(grads["W3"], np.outer([1, -1], [d2] * 3), rtol=1e-12)
    assert not any(grads[name].any() for name in params if name != "W3")


@given(matrices())
def test_row_and_column_sums(W):
    value, gradient = row_and_column_sums(W)
    assert_allclose(value, np.linalg.norm(W, np.inf) + np.linalg.norm(W, 1))
    assert_allclose(np.sum(gradient * W), value)  # homogeneous of degree one: Euler
    assert set(np.unique(np.abs(gradient))) <= {0, 1, 2}


def test_the_operator_norms_of_all_layers_are_added_up():
    """By hand: the largest rows are 7 and 1.5, the largest columns 6 and 1; a filter is one row."""
    value, gradient = row_and_column_sums(np.array([[1.0, -2.0, 0.0], [3.0, 0.0, 0.0]]))
    assert value == 3 + 4
    assert_array_equal(gradient, [[2, -1, 0], [1, 0, 0]])  # of rows of equal sums the first
    batch = Batch(np.zeros((1, 2)), np.zeros(1, int))
    params = {
        "W1": np.array([[1.0, -2.0], [3.0, 4.0]]),
        "b1": np.ones(2),
        "W2": np.array([[-1.0, 0.5]]),
        "b2": np.ones(1),
    }
    assert OperatorNorms(0.5).value_and_grad(params, batch)[0] == 0.5 * (7 + 6 + 1.5 + 1)
    assert OperatorNorms(0.5).value_and_grad({"W1": np.array([[[[2.0, 3.0]]]])}, batch)[0] == 0.5 * (5 + 3)


def test_on_every_backend(be, rng):
    host = fcnn.init(NUMPY, 3, (6, 5, 4), "float64")
    x, y = rng.normal(size=(7, 6)), rng.integers(0, 4, 7)
    params = {name: be.array(p) for name, p in host.items()}
    for term in (MarginBound(0.5, 0.1, 0.02), OperatorNorms(0.3)):
        value, ours = term.value_and_grad(params, Batch(be.array(x), be.array(y, "int64")))
        expected_value, theirs = term.value_and_grad(host, Batch(x, y))
        assert_allclose(be.host(value), expected_value, rtol=be.tolerance)
        assert list(ours) == list(theirs)
        for name, gradient in ours.items():
            assert be.host(gradient).dtype == be.dtype
            assert_allclose(be.host(gradient), theirs[name], rtol=10 * be.tolerance, atol=be.tolerance)
    sure = certified(FCNN(), params, be.array(x), be.array(y, "int64"), 0.01, 0.0)
    assert_array_equal(be.host(sure), certified(FCNN(), host, x, y, 0.01, 0.0))


@given(problems(), seeds)
def test_what_is_certified_keeps_its_label_at_every_corner(problem, seed):
    params, x, _, eps, eps_weights = problem
    rng = np.random.default_rng(seed)
    y = fcnn.forward(params, x)[0].argmax(axis=-1)
    small = {name: radius / 100 for name, radius in eps_weights.items()}
    sure = certified(FCNN(), params, x, y, eps / 100, small)
    for _ in range(8):
        moved = {name: p + small.get(name, 0.0) * rng.choice([-1.0, 1.0], p.shape) for name, p in params.items()}
        z = fcnn.forward(moved, x + eps / 100 * rng.choice([-1.0, 1.0], x.shape))[0]
        assert (z.argmax(axis=-1) == y)[sure].all()
    assert certified(FCNN(), params, x, y, 0.0, 0.0).all()  # without ties, what is not perturbed is not changed


@pytest.mark.parametrize(
    ("term", "settings"),
    [
        (MarginBound, (-1.0, 0.1, 0.1)),
        (MarginBound, (1.0, math.nan, 0.1)),
        (MarginBound, (1.0, 0.1, math.inf)),
        (OperatorNorms, (-1.0,)),
        (OperatorNorms, (math.nan,)),
    ],
)
def test_numbers_that_mean_nothing_are_refused(term, settings):
    with pytest.raises(UsageError, match="must be finite and at least 0"):
        term(*settings)


def test_the_bound_is_refused_where_there_is_none():
    network = CNN(filters=(2, 2), side=10, hidden_units=3)
    params, x = network.init(NUMPY), np.zeros((1, 100), "f4")
    for refused in (margin_bound, lambda *a: certified(*a[:3], np.zeros(1, int), *a[3:])):
        with pytest.raises(UsageError, match=r"supports dense networks.*cnn is none: take fcnn"):
            refused(network, params, x, 0.1, 0.1)
    with pytest.raises(UsageError, match="dense networks only, and W1 is a convolution"):
        movements(params, [x], 0.1, 0.1)
    for bad in (-0.1, math.nan):
        with pytest.raises(UsageError, match=f"eps must be finite and at least 0, got {bad}"):
            mean_margin_bound(fcnn.init(NUMPY, 0, (2, 2)), np.ones((1, 2), "f4"), np.zeros(1, int), bad, 0.1)
    with pytest.raises(UsageError, match="derived for fcnn, whose activation is tanh, not for cnn"):
        MarginBound(1.0).check(network)
    MarginBound(1.0).check(FCNN())
    OperatorNorms(1.0).check(network)
    dense = fcnn.init(NUMPY, 0, (2, 2))
    for bad, message in (({"W2": 0.1}, "no layer is called W2"), ({"W1": -0.1}, "W1 must be finite and at least 0")):
        with pytest.raises(UsageError, match=message):
            margin_bound(FCNN(), dense, np.ones((1, 2), "f4"), 0.1, bad)
