"""Losses of attacks: their gradients, what leaves them as they are, and that every path of a net gives the same."""

import numpy as np
import pytest
from autograd import elementwise_grad
from autograd import numpy as anp
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from strategies import seeds

from refimpl import UsageError
from refimpl.attacks.losses import cross_entropy, dlr, observed, other_classes, targeted_cross_entropy, targeted_dlr
from refimpl.backend import namespace
from refimpl.fast import accelerate
from refimpl.layers.loss import least_margin, margins
from refimpl.networks import CNN, FCNN, Gradients

ROWS = np.arange(6)


def by_definition(z, y, t):
    """Each loss for one example, written with sorting and indices as the papers have them."""
    ordered = anp.sort(z)[::-1]
    rest = [z[j] for j in range(len(z)) if j != y]
    largest = anp.max(anp.array(rest))
    return {
        "ce": anp.log(anp.sum(anp.exp(z))) - z[y],
        "targeted ce": z[t] - anp.log(anp.sum(anp.exp(z))),
        "dlr": -(z[y] - largest) / (ordered[0] - ordered[2]),
        "targeted dlr": -(z[y] - z[t]) / (ordered[0] - (ordered[2] + ordered[3]) / 2),
    }


def losses(z, y, t):
    return {
        "ce": cross_entropy(z, y),
        "targeted ce": targeted_cross_entropy(z, y, t),
        "dlr": dlr(z, y),
        "targeted dlr": targeted_dlr(z, y, t),
    }


def logits(seed):
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 7, 6)
    return 3 * rng.normal(size=(6, 7)), y, (y + rng.integers(1, 7, 6)) % 7


@given(seeds)
def test_values_and_gradients_are_those_of_the_definitions(seed):
    z, y, t = logits(seed)
    for name, (value, gradient) in losses(z, y, t).items():
        for i in range(6):
            assert_allclose(value[i], by_definition(z[i], y[i], t[i])[name], rtol=1e-9)
            one = elementwise_grad(lambda z, i=i, name=name: by_definition(z, y[i], t[i])[name])(z[i])
            assert_allclose(gradient[i], one, rtol=1e-7, atol=1e-9)


@given(seeds, st.floats(0.01, 100), st.floats(-5, 5))
def test_neither_a_positive_factor_nor_a_shift_of_the_logits_changes_dlr(seed, factor, shift):
    z, y, t = logits(seed)
    assert_allclose(dlr(factor * z + shift, y)[0], dlr(z, y)[0], rtol=1e-7)
    assert_allclose(targeted_dlr(factor * z + shift, y, t)[0], targeted_dlr(z, y, t)[0], rtol=1e-7)


def test_dlr_keeps_a_gradient_where_the_cross_entropy_has_none_left():
    z, y = np.array([[200.0, 1.0, 0.0, -1.0]], np.float32), np.array([0])
    assert_array_equal(cross_entropy(z, y)[1], 0)
    assert np.abs(dlr(z, y)[1]).max() > 1e-3


@pytest.mark.parametrize(("loss", "classes"), [(dlr, 2), (targeted_dlr, 3)])
def test_too_few_classes_for_dlr_are_refused(loss, classes):
    z, y = np.zeros((1, classes)), np.zeros(1, int)
    with pytest.raises(UsageError, match=f"needs at least {classes + 1} classes, and there are {classes}"):
        loss(z, *([y] if loss is dlr else [y, y]))


@given(seeds)
def test_other_classes_come_likeliest_first_and_without_the_label(seed):
    z, y, _ = logits(seed)
    others = other_classes(z, y)
    assert_array_equal(np.sort(others, axis=-1), [[c for c in range(7) if c != k] for k in y])
    ordered = np.take_along_axis(z, others, axis=-1)
    assert (ordered[:, :-1] >= ordered[:, 1:]).all()


@given(seeds)
def test_the_least_margin_is_the_smallest_of_the_margins(seed):
    z, y, _ = logits(seed)
    assert_allclose(least_margin(z, y), margins(z, y)[0].min(axis=-1), rtol=1e-12)
    of_models = least_margin(np.stack([z, -z]), np.stack([y, y]))
    assert_allclose(of_models, [least_margin(z, y), least_margin(-z, y)], rtol=1e-12)


@pytest.mark.parametrize("net", [FCNN((16, 8, 5)), CNN(filters=(2, 3), hidden_units=5, side=12)], ids=["fcnn", "cnn"])
def test_every_path_of_a_net_gives_the_same_loss_gradient_and_logits(be, net, rng):
    n = 16 if net.name == "fcnn" else 144
    x, y = rng.uniform(size=(40, n)), rng.integers(0, 5, 40)
    params, there = net.init(be.backend, 1, be.dtype), be.array(x)
    at = observed(Gradients(net, params), dlr, be.backend.asarray(y, "int64"))(there)
    host = {name: be.host(p) for name, p in params.items()}
    fast = observed(accelerate(net).gradients(host), dlr, y)(x.astype(be.dtype))
    tolerance = 1e-10 if be.dtype == "float64" else 1e-3
    assert namespace(at.value) is namespace(there)
    for ours, theirs in zip(fast, at, strict=True):
        assert_allclose(ours, be.host(theirs), rtol=tolerance, atol=tolerance)
    change = rng.normal(size=x.shape)
    if be.dtype == "float64":
        readable = observed(Gradients(net, host), dlr, y)
        slope = (readable(x + 1e-6 * change).value - readable(x - 1e-6 * change).value) / 2e-6
        assert_allclose((fast.gradient * change).sum(axis=-1), slope, rtol=1e-4, atol=1e-6)
