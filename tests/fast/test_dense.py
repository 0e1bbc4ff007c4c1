"""The fast step and the fast input gradient are the readable ones: float64 to 1e-12, float32 to a few roundings."""

import numpy as np
import pytest
from backends import NUMPY
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from refimpl.fast.step import FusedStep, flatten, unflatten
from refimpl.regularizers.penalty import Penalty
from strategies import seeds, sizes

from refimpl import Attack, UsageError, adam, sgd
from refimpl.networks import fcnn
from refimpl.networks.gradients import loss_gradient, taped_loss_gradient
from refimpl.training.adversarial import Adversary
from refimpl.training.step import Step

TOLERANCE = {"float64": 1e-12, "float32": 2e-5}
OPTIMIZERS = [sgd(0.1), sgd(0.05, 0.9), adam(0.01)]


def problem(rng, n=50, classes=4):
    return rng.integers(0, 256, (n, 3, 4), np.uint8), rng.integers(0, classes, n)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=["sgd", "momentum", "adam"])
@pytest.mark.parametrize("widths", [(12, 4), (12, 7, 4), (12, 5, 6, 4)])
def test_the_fast_step_is_the_readable_step(rng, dtype, optimizer, widths):
    images, labels = problem(rng)
    params = fcnn.init(NUMPY, seed=2, widths=widths, dtype=dtype)
    readable = Step(fcnn, params, optimizer.init(params), optimizer, images, labels)
    fast = FusedStep(fcnn, params, optimizer.init(params), optimizer, images, labels)
    for t in range(1, 8):
        index = rng.permutation(50)[: 16 if t % 3 else 5]  # a short batch now and then
        assert_allclose(fast(index, t), readable(index, t), rtol=TOLERANCE[dtype])
        for ours, theirs in ((fast.params, readable.params), (fast.state, readable.state)):
            assert list(ours) == list(theirs)
            for name, x in ours.items():
                assert x.dtype == dtype
                assert_allclose(x, theirs[name], rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("proximal", [None, 0.1])
def test_the_fast_step_is_the_readable_step_with_every_regularizer(rng, dtype, proximal):
    images, labels = problem(rng)
    penalty = Penalty(l1={"W1": 0.01, "W2": 0.02}, nuclear={"W1": 0.03}, joint=0.001, proximal=proximal)
    params = fcnn.init(NUMPY, seed=2, widths=(12, 5, 6, 4), dtype=dtype)
    readable = Step(fcnn, params, {}, sgd(0.1), images, labels, penalty)
    fast = FusedStep(fcnn, params, {}, sgd(0.1), images, labels, penalty)
    for t in range(1, 6):
        index = rng.permutation(50)[:16]
        assert_allclose(fast(index, t), readable(index, t), rtol=TOLERANCE[dtype])
    for name, p in fast.params.items():
        assert p.dtype == dtype
        assert_allclose(p, readable.params[name], rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])
        assert (p != params[name]).any()


@pytest.mark.parametrize(
    "adversary",
    [
        Adversary(Attack(name="fgsm")),
        Adversary(Attack(name="pgd", eps=0.1, clip=(0.0, 1.0))),
        Adversary(Attack(name="pgd", random_start=True, steps=2)),
        Adversary(Attack(name="fgsm"), share=0.3),
    ],
    ids=str,
)
def test_the_fast_step_is_the_readable_step_under_attack(rng, adversary):
    images, labels = problem(rng)
    params = fcnn.init(NUMPY, seed=2, widths=(12, 5, 6, 4), dtype="float64")
    readable = Step(fcnn, params, {}, sgd(0.1), images, labels, adversary=adversary)
    fast = FusedStep(fcnn, params, {}, sgd(0.1), images, labels, adversary=adversary)
    natural = FusedStep(fcnn, params, {}, sgd(0.1), images, labels)
    for t in range(1, 6):
        index = rng.permutation(50)[:16]
        loss = fast(index, t)
        assert_allclose(loss, readable(index, t), rtol=1e-12)
        if t == 1:
            assert loss > natural(index, t)
    for name, p in fast.params.items():
        assert_allclose(p, readable.params[name], rtol=1e-10, atol=1e-12)


@given(seeds, sizes, st.sampled_from(["float64", "float32"]))
def test_the_fast_input_gradient_is_the_taped_one(seed, batch, dtype):
    rng = np.random.default_rng(seed)
    params = fcnn.init(NUMPY, seed=seed, widths=(12, 6, 5, 4), dtype=dtype)
    x, y = rng.normal(size=(batch, 12)).astype(dtype), rng.integers(0, 4, batch)
    fast, taped = loss_gradient(fcnn, params, y), taped_loss_gradient(fcnn, params, y)
    first = fast(x)
    assert first.dtype == dtype
    assert_allclose(first, taped(x), rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])
    kept = first.copy()
    fast(x + 1)
    assert_array_equal(first, kept)


def test_the_fast_input_gradient_says_what_it_expects(rng):
    gradient = loss_gradient(fcnn, fcnn.init(NUMPY), np.zeros(2, int))
    with pytest.raises(UsageError, match=r"expected inputs float32\(batch, 784\), got float64\(2, 784\)"):
        gradient(np.zeros((2, 784)))


def test_parameters_handed_out_do_not_change_with_the_next_step(rng):
    images, labels = problem(rng)
    params = fcnn.init(NUMPY, widths=(12, 4))
    step = FusedStep(fcnn, params, {}, sgd(0.1), images, labels)
    before = step.params
    copy = {name: p.copy() for name, p in before.items()}
    step(np.arange(10), 1)
    for name, p in before.items():
        assert_array_equal(p, copy[name])
        assert (step.params[name] != p).any()


def test_flatten_and_unflatten_are_inverse_and_unflatten_gives_views(rng):
    params = {"W": rng.normal(size=(2, 3)), "b": rng.normal(size=2)}
    flat = flatten(params)
    views = unflatten(flat, {name: p.shape for name, p in params.items()})
    for name, p in params.items():
        assert_array_equal(views[name], p)
    flat[:] = 0
    assert not views["W"].any()
