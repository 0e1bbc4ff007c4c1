"""Convolution, pooling and their kin: loops, autograd, finite differences, adjoints, and the matrices of Appendix B."""

import naive
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from strategies import matrices, seeds

from refimpl import UsageError, effective_rank, effective_sparsity
from refimpl.layers.activations import identity, leaky_relu, relu
from refimpl.layers.convolution import col2im, conv2d, im2col, pad
from refimpl.layers.pooling import max_pool
from refimpl.parameters import as_matrix
from refimpl.theory import autograd_reference


@st.composite
def convolutions(draw):
    """x (batch, C, H, W), W (O, C, k, k), b (O,)."""
    batch, C, filters, k = (draw(st.integers(1, 3)) for _ in range(4))
    H, width = (k + draw(st.integers(0, 4)) for _ in range(2))
    rng = np.random.default_rng(draw(seeds))
    return rng.normal(size=(batch, C, H, width)), rng.normal(size=(filters, C, k, k)), rng.normal(size=filters)


@st.composite
def images(draw):
    """(batch, C, H, W) with no two entries equal and none zero, even and odd sides."""
    shape = tuple(draw(st.integers(1, 3)) for _ in range(2)) + tuple(draw(st.integers(2, 6)) for _ in range(2))
    rng = np.random.default_rng(draw(seeds))
    return rng.permutation(int(np.prod(shape))).reshape(shape) + 0.25 - np.prod(shape) // 2


@given(convolutions())
def test_im2col_and_conv2d_are_the_naive_loops(inputs):
    x, W, b = inputs
    for image, columns in zip(x, im2col(x, W.shape[-1]), strict=True):
        assert_array_equal(columns, naive.im2col(image, W.shape[-1]))
    assert_allclose(conv2d(x, W, b)[0], naive.conv2d(x, W, b), rtol=1e-10, atol=1e-12)


@given(convolutions(), seeds)
def test_col2im_is_the_adjoint_of_im2col(inputs, seed):
    x, W, _ = inputs
    k, columns = W.shape[-1], im2col(x, W.shape[-1])
    c = np.random.default_rng(seed).normal(size=columns.shape)
    assert_allclose(np.sum(columns * c), np.sum(x * col2im(c, k, x.shape[1:])), rtol=1e-9, atol=1e-9)


@given(convolutions(), seeds)
def test_conv2d_is_its_explicit_matrix_and_the_pullback_its_transpose(inputs, seed):
    x, W, b = inputs
    y, pull = conv2d(x, W, b)
    A = naive.convolution_matrix(W, *x.shape[2:])
    dy = np.random.default_rng(seed).normal(size=y.shape)
    rows = x.reshape(len(x), -1)
    assert_allclose((y - b[:, None, None]).reshape(len(x), -1), rows @ A.T, rtol=1e-9, atol=1e-9)
    assert_allclose(pull.x(dy).reshape(len(x), -1), dy.reshape(len(x), -1) @ A, rtol=1e-9, atol=1e-9)


@given(convolutions(), seeds)
def test_conv2d_pullbacks_are_autograds_and_the_finite_differences(inputs, seed):
    rng = np.random.default_rng(seed)
    y, pull = conv2d(*inputs)
    dy = rng.normal(size=y.shape)
    ours = (pull.x(dy), *pull.params(dy))
    theirs = autograd_reference.vjp(lambda x, W, b: conv2d(x, W, b)[0], inputs, dy)
    for i, (gradient, expected) in enumerate(zip(ours, theirs, strict=True)):
        assert_allclose(gradient, expected, rtol=1e-9, atol=1e-9)
        direction = rng.normal(size=inputs[i].shape)

        def value(at, i=i):
            return np.sum(dy * conv2d(*inputs[:i], at, *inputs[i + 1 :])[0])

        assert_allclose(
            np.sum(gradient * direction),
            autograd_reference.directional_derivative(value, inputs[i], direction),
            rtol=1e-5,
            atol=1e-5,
        )


@given(images())
def test_max_pool_is_the_naive_loop(x):
    y, pull = max_pool(x)
    expected, where = naive.max_pool(x)
    assert_array_equal(y, expected)
    dx = pull.x(np.ones_like(y))
    assert_array_equal(np.flatnonzero(dx), np.sort(where.ravel()))


@given(images(), seeds)
def test_pullbacks_of_pool_pad_and_activations_are_autograds_and_the_finite_differences(x, seed):
    rng = np.random.default_rng(seed)
    for primitive in (max_pool, relu, leaky_relu, identity, lambda x: pad(x, 2), lambda x: pad(x, 0)):
        y, pull = primitive(x)
        dy, direction = rng.normal(size=y.shape), rng.normal(size=x.shape)
        expected = autograd_reference.vjp(lambda x, f=primitive: f(x)[0], (x,), dy)[0]
        assert_allclose(pull.x(dy), expected, rtol=1e-9, atol=1e-12)
        slope = autograd_reference.directional_derivative(
            lambda at, f=primitive, dy=dy: np.sum(dy * f(at)[0]), x, direction
        )
        assert_allclose(np.sum(pull.x(dy) * direction), slope, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("window", "first"),
    [((1, 1, 1, 1), 0), ((0, 1, 1, 0), 1), ((0, 0, 2, 2), 2), ((-1, 3, 0, 3), 1), ((0, 0, 0, 0), 0)],
)
def test_of_equal_entries_the_first_is_the_largest_on_every_backend(be, window, first):
    _, pull = max_pool(be.array(np.array(window, float).reshape(1, 1, 2, 2)))
    dx = be.host(pull.x(be.array(np.ones((1, 1, 1, 1))))).ravel()
    assert_array_equal(dx, np.eye(4)[first])


@given(images())
def test_leaky_relu_is_a_hundredth_of_what_relu_leaves_out(x):
    """y = relu(x) - relu(-x) / 100, which runs both ways; at 0 the slope is that of the left."""
    y, pull = leaky_relu(x)
    assert_allclose(y, relu(x)[0] - relu(-x)[0] / 100, rtol=1e-12)
    assert_allclose(np.where(y > 0, y, 100 * y), x, rtol=1e-12)
    assert_allclose(pull.x(x) * x, y * x, rtol=1e-12)  # homogeneous of degree 1: its slope times x is y
    assert_allclose(leaky_relu(0 * x)[1].x(x), x / 100, rtol=1e-12)


@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (3, 4, 5), (4, 5)])
def test_padding_is_a_border_of_zeros(rng, shape):
    x = rng.normal(size=shape)
    for width in (0, 1, 2):
        y, pull = pad(x, width)
        assert_array_equal(y, np.pad(x, [(0, 0)] * (len(shape) - 2) + [(width, width)] * 2))
        assert_array_equal(pull.x(y), x)


def test_an_odd_last_row_and_column_are_left_out(rng):
    x = rng.normal(size=(1, 1, 5, 3))
    y, pull = max_pool(x)
    assert y.shape == (1, 1, 2, 1)
    dx = pull.x(np.ones_like(y))
    assert not dx[..., 4, :].any()
    assert not dx[..., 2].any()


def test_a_stack_of_cotangents_is_many_cotangents(rng):
    x, W, b = rng.normal(size=(2, 3, 7, 7)), rng.normal(size=(4, 3, 3, 3)), rng.normal(size=4)
    for y, pull in (conv2d(x, W, b), max_pool(x), pad(x, 1), relu(x), leaky_relu(x)):
        stack = rng.normal(size=(5, *y.shape))
        for ours, dy in zip(pull.x(stack), stack, strict=True):
            assert_allclose(ours, pull.x(dy), rtol=1e-12)


def test_primitives_stay_on_their_backend(be, rng):
    x, W, b = rng.normal(size=(2, 3, 7, 6)), rng.normal(size=(4, 3, 3, 3)), rng.normal(size=4)

    def all_of(x, W, b, array):
        padded, back = pad(x, 1)
        y, pull = conv2d(padded, W, b)
        pooled, unpool = max_pool(y)
        h, slope = relu(pooled)
        leaky, leak = leaky_relu(pooled)
        dy = unpool.x(slope.x(leak.x(array(np.ones(h.shape)))))
        return [h, leaky, back.x(pull.x(dy)), *pull.params(dy)]

    expected = all_of(x, W, b, lambda a: a)
    for result, value in zip(all_of(be.array(x), be.array(W), be.array(b), be.array), expected, strict=True):
        assert type(result) is type(be.array(x))
        assert str(be.host(result).dtype) == be.dtype
        assert_allclose(be.host(result), value, rtol=be.tolerance, atol=10 * be.tolerance)


@pytest.mark.parametrize("shape", [(2, 2, 7, 7), (2, 3, 2, 7)])
def test_images_that_do_not_fit_the_filters_are_refused(rng, shape):
    with pytest.raises(UsageError, match=r"filters \(4, 3, 3, 3\) need 3 channels of at least 3 x 3, got images"):
        conv2d(rng.normal(size=shape), rng.normal(size=(4, 3, 3, 3)), np.zeros(4))


@given(matrices(), st.integers(1, 16))
def test_appendix_b_without_overlap_rank_and_sparsity_grow_with_the_root_of_the_patches(W, m):
    """Its W = W~ (x) I_m has sqrt(m) times the effective rank of W~, and not the same; the normalised one is equal."""
    whole = np.kron(W, np.eye(m))
    for measure in (effective_rank, effective_sparsity):
        assert_allclose(measure(whole), np.sqrt(m) * measure(W), rtol=1e-9)
    normalised = [effective_rank(A) / np.sqrt(min(A.shape)) for A in (W, whole)]
    assert_allclose(*normalised, rtol=1e-9)


@given(seeds, st.integers(1, 3), st.integers(1, 3), st.integers(1, 3), st.integers(1, 3))
def test_a_convolution_of_stride_k_is_a_kronecker_product_and_one_of_stride_1_is_not(seed, filters, C, k, across):
    """Patch by patch it is I_m (x) W~; component by component, W~ (x) I_m."""
    rng = np.random.default_rng(seed)
    W, x = rng.normal(size=(filters, C, k, k)), rng.normal(size=(1, C, k * across, k * across))
    y = conv2d(x, W, np.zeros(filters))[0][0, :, ::k, ::k].reshape(filters, -1)
    m = across**2
    patches = x[0].reshape(C, across, k, across, k).transpose(1, 3, 0, 2, 4).reshape(m, -1)
    assert_allclose((np.kron(np.eye(m), as_matrix(W)) @ patches.ravel()).reshape(m, -1).T, y, rtol=1e-9, atol=1e-9)
    assert_allclose((np.kron(as_matrix(W), np.eye(m)) @ patches.T.ravel()).reshape(-1, m), y, rtol=1e-9, atol=1e-9)


def test_overlapping_patches_have_another_effective_rank_than_any_kronecker_product_says(rng):
    W = rng.normal(size=(2, 1, 3, 3))
    operator = naive.convolution_matrix(W, 6, 6)
    assert abs(effective_rank(operator) / (np.sqrt(16) * effective_rank(as_matrix(W))) - 1) > 0.01
