"""Convolutions of the tiles under pooling windows are `conv2d` at the entries that pooling looks at, and so back."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from refimpl.fast.convolutions import PatchConvolution, TileConvolution, WinogradConvolution, kind
from refimpl.layers.convolution import conv2d, pad

KINDS = [TileConvolution, PatchConvolution, WinogradConvolution]


def corners(y, h):
    """Of images (batch, O, H, W) the four entries of each window, windows row by row with the batch innermost."""
    entries = [y[..., p : 2 * h : 2, q : 2 * h : 2].transpose(2, 3, 0, 1) for p in range(2) for q in range(2)]
    return np.stack(entries).reshape(4, -1, y.shape[1])


def problem(rng, batch, side, border, channels, filters):
    W, b = rng.normal(size=(filters, channels, 3, 3)), np.zeros(filters)
    x = rng.normal(size=(batch, channels, side, side))
    return W, b, x, pad(x, border)[0]


def put_in(kind, W, b, x, border):
    """A convolution of these filters that has gone forward, and what it put out."""
    convolution = kind(len(x), x.shape[-1], W, border)
    convolution.inside[...] = x.transpose(2, 3, 0, 1)
    y = np.full((4, convolution.h**2 * len(x), len(W)), np.nan, W.dtype)
    filters = kind.filters(W, b)
    convolution.forward(filters, y)
    return convolution, filters, y


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("batch", "side", "border", "channels", "filters"),
    [(32, 14, 1, 32, 32), (3, 7, 0, 2, 5), (2, 8, 0, 5, 3), (1, 9, 1, 1, 1)],
)
def test_it_is_the_convolution_and_its_gradients(rng, kind, batch, side, border, channels, filters):
    """The paper's second block in blocks of products, odd sides with entries left out, one of everything."""
    W, b, x, padded = problem(rng, batch, side, border, channels, filters)
    expected, pull = conv2d(padded, W, b)
    convolution, its, y = put_in(kind, W, b, x, border)
    h = convolution.h
    assert_allclose(y, corners(expected, h), rtol=1e-11, atol=1e-11)
    dy = rng.normal(size=expected.shape)
    dy[:, :, 2 * h :], dy[:, :, :, 2 * h :] = 0, 0  # what pooling leaves out
    convolution.backward(corners(dy, h))
    dW = convolution.weight_gradient(corners(dy, h))
    dx = convolution.input_gradient(its, corners(dy, h)).transpose(2, 3, 0, 1)
    inside = slice(border, border + side)
    assert_allclose(dW, pull.params(dy)[0], rtol=1e-10, atol=1e-10)
    assert_allclose(dx, pull.x(dy)[:, :, inside, inside], rtol=1e-11, atol=1e-11)


def test_winograd_rounds_hardly_worse_than_the_sum_itself(rng):
    W, b, x, padded = problem(rng, 32, 13, 0, 32, 32)
    exact, single = conv2d(padded, W, b)[0], [a.astype("float32") for a in (W, b, x, padded)]
    _, _, y = put_in(WinogradConvolution, *single[:3], 0)
    direct = conv2d(single[3], *single[:2])[0]
    errors = [np.sqrt(np.mean((found - corners(exact, 5)) ** 2)) for found in (y, corners(direct, 5))]
    assert errors[0] < 2 * errors[1]


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((32, 32, 3, 3), WinogradConvolution), ((32, 1, 3, 3), TileConvolution), ((16, 6, 5, 5), PatchConvolution)],
)
def test_filters_of_3_x_3_on_many_channels_are_for_winograds_algorithm(shape, expected):
    assert kind(np.zeros(shape)) is expected
