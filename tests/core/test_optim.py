"""Optimizers against the update written out step by step, and against what they must do on a quadratic."""

import numpy as np
import pytest
from hypothesis import given
from numpy.testing import assert_allclose
from strategies import affine_inputs

from refimpl import SGD, Adam, UsageError


@given(affine_inputs())
def test_sgd_is_one_subtraction(inputs):
    _, W, b = inputs
    optimizer = SGD(0.1)
    params, state = optimizer.update({"W": W, "b": b}, {"W": 2 * W, "b": b}, {}, 1)
    assert_allclose(params["W"], 0.8 * W, rtol=1e-12)
    assert_allclose(params["b"], 0.9 * b, rtol=1e-12)
    assert state == {}


def test_momentum_by_hand():
    optimizer = SGD(0.1, momentum=0.5)
    params = {"w": np.array([1.0])}
    state = optimizer.init(params)
    velocity = 0.0
    expected = 1.0
    for t, g in enumerate((1.0, -2.0, 3.0), start=1):
        params, state = optimizer.update(params, {"w": np.array([g])}, state, t)
        velocity = 0.5 * velocity + g
        expected -= 0.1 * velocity
        assert_allclose(params["w"], [expected])


def test_adam_by_hand():
    """Scalars, the algorithm's lines one by one."""
    optimizer = Adam(0.1)
    params = {"w": np.array([1.0])}
    state = optimizer.init(params)
    m = v = 0.0
    expected = 1.0
    for t, g in enumerate((1.0, -2.0, 3.0, 0.5), start=1):
        params, state = optimizer.update(params, {"w": np.array([g])}, state, t)
        m = 0.9 * m + 0.1 * g
        v = 0.999 * v + 0.001 * g**2
        expected -= 0.1 * (m / (1 - 0.9**t)) / ((v / (1 - 0.999**t)) ** 0.5 + 1e-8)
        assert_allclose(params["w"], [expected], rtol=1e-12)


def test_adams_first_step_has_the_length_of_the_learning_rate():
    optimizer = Adam(0.01)
    params = {"w": np.array([1.0, -5.0])}
    moved, _ = optimizer.update(params, {"w": np.array([1e-3, -1e3])}, optimizer.init(params), 1)
    assert_allclose(params["w"] - moved["w"], [0.01, -0.01], rtol=1e-4)


@pytest.mark.parametrize("optimizer", [SGD(0.1), SGD(0.05, momentum=0.9), Adam(0.05)])
def test_they_find_the_bottom_of_a_bowl(optimizer):
    params = {"w": np.array([3.0, -2.0])}
    state = optimizer.init(params)
    for t in range(1, 1001):
        params, state = optimizer.update(params, {"w": params["w"] - 1.0}, state, t)
    assert_allclose(params["w"], 1.0, atol=1e-3)


@pytest.mark.parametrize("make", [lambda: SGD(0.1), lambda: SGD(0.1, 0.9), lambda: Adam(0.1)])
def test_they_run_on_every_backend_and_keep_the_dtype(be, make):
    optimizer = make()
    params = {"w": be.array([1.0, 2.0])}
    state = optimizer.init(params)
    for t in (1, 2):
        params, state = optimizer.update(params, {"w": be.array([0.5, -0.5])}, state, t)
    for x in (*params.values(), *state.values()):
        assert str(be.host(x).dtype) == be.dtype


@pytest.mark.parametrize(
    "make", [lambda: SGD(0.0), lambda: SGD(float("nan")), lambda: SGD(0.1, 1.0), lambda: Adam(-1.0)]
)
def test_they_refuse_what_makes_no_sense(make):
    with pytest.raises(UsageError, match="must be"):
        make()
