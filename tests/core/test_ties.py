"""Ties in max-pooling: which entry counts as the largest depends on the image, not on how a product rounds it."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from ties import NETS, check_greys, check_place, clothes

from refimpl.layers.pooling import TIE, max_pool

both = pytest.mark.parametrize("net", NETS, ids=["valid", "same"])


def chosen(be, x):
    """The corner of each window that is differentiated, 0 to 3."""
    y, pull = max_pool(be.array(x))
    dx = be.host(pull.x(be.array(np.ones(y.shape))))
    return np.argmax(dx.reshape(*x.shape[:-2], -1, 2, x.shape[-1] // 2, 2).swapaxes(-3, -2).reshape(-1, 4), axis=1)


def test_entries_that_rounding_makes_differ_are_equal(be, rng):
    """A constant image, and twice the largest rounding seen in one."""
    eps = np.finfo(be.dtype).eps
    x = 0.7 * (1 + 15 * eps * rng.uniform(-1, 1, (3, 2, 6, 8)))
    assert_array_equal(chosen(be, x), 0)


def test_entries_that_differ_by_more_are_not(be):
    eps = np.finfo(be.dtype).eps
    window = np.array([[1, 1 + 2 * TIE * eps], [1 + 1.5 * TIE * eps, 1 + 2.5 * TIE * eps]])
    assert chosen(be, window.reshape(1, 1, 2, 2)) == [1]  # not the largest, but the first that equals it


def test_the_scale_is_that_of_the_image_with_all_its_channels_and_of_no_other(be):
    """A channel near 0, 100 tolerances of its own apart: equal beside a channel of 1,000, not beside another image."""
    small = np.array([[0, 0], [0, 100 * TIE * np.finfo(be.dtype).eps]])
    bright = np.full((2, 2), -1e3)  # it is the magnitude that counts
    dark = np.ones((2, 2))
    images = np.array([[small, bright], [small, dark]])
    assert_array_equal(chosen(be, images), [0, 0, 3, 0])


@both
def test_equal_images_have_equal_gradients(unchecked, net):
    network, params = net
    check_greys(lambda x, y: network.gradients(params).loss(y)(x), 0.7)


@both
def test_gradients_do_not_depend_on_the_chunk(unchecked, real_data, net):
    network, params = net
    check_place(lambda x, y: network.gradients(params).loss(y)(x), *clothes(real_data, 16), (1, 5))


@pytest.mark.parametrize(("below", "first"), [(32, 0), (33, 1)])
def test_equal_is_up_to_thirty_two_units_in_the_last_place(below, first):
    window = np.array([[1 - below * np.finfo(float).eps, 1.0], [0.0, 0.0]])
    assert_array_equal(max_pool(window[None, None])[1].x(np.ones((1, 1, 1, 1))).ravel(), np.eye(4)[first])


def test_an_image_is_pooled_as_in_its_batch(rng):
    x = np.round(3 * rng.normal(size=(2, 3, 6, 8))) * (1 + 8e-16)
    y, pull = max_pool(x)
    for i in range(2):
        alone, pull_alone = max_pool(x[i])
        assert_array_equal(alone, y[i])
        assert_array_equal(pull_alone.x(alone), pull.x(y)[i])
