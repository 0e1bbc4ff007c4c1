"""The fast convolutional net is the readable one, whatever its options, its batch and its threads."""

import tracemalloc

import numpy as np
import pytest
from backends import NUMPY
from numpy.testing import assert_allclose, assert_array_equal
from refimpl.fast.step import FusedStep
from refimpl.networks.architectures import CNN
from refimpl.regularizers.penalty import Penalty

from refimpl import Attack, UsageError, cross_entropy, fast, gradients, input_gradient, sgd
from refimpl.fast.cnn import PIECE, CNNWorkspace
from refimpl.fast.dense import one_hot
from refimpl.networks import cnn
from refimpl.networks.cnn import ACTIVATIONS
from refimpl.networks.gradients import loss_gradient, margin_gradients, taped_loss_gradient, taped_margin_gradients
from refimpl.training.adversarial import Adversary
from refimpl.training.step import Step

OPTIONS = [(padding, activation) for padding in ("valid", "same") for activation in ACTIVATIONS]
TOLERANCE = {"float64": 1e-11, "float32": 5e-5}


def problem(rng, padding="valid", dtype="float64", batch=7, side=15, filters=5, kernel=3):
    sizes = {"filters": filters, "kernel": kernel, "side": side, "hidden_units": 6, "classes": 4}
    params = cnn.init(NUMPY, 2, dtype, padding=padding, **sizes)
    params = {name: (p + 0.1 * rng.normal(size=p.shape)).astype(dtype) for name, p in params.items()}
    return params, rng.uniform(size=(batch, side * side)).astype(dtype), rng.integers(0, 4, batch)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(("padding", "activation"), OPTIONS)
@pytest.mark.parametrize("side", [14, 15])
def test_it_is_the_readable_net(rng, padding, activation, dtype, side):
    check_passes(CNN(padding, activation), *problem(rng, padding, dtype, side=side))


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("dense_activation", ACTIVATIONS)
@pytest.mark.parametrize(("padding", "kernel"), [("valid", 5), ("same", 5), ("valid", 2)])
def test_so_it_is_with_other_filters_and_another_dense_layer(rng, dtype, dense_activation, padding, kernel):
    """LeNet-5 among them: filters of another side, of which the blocks have different numbers."""
    params, x, y = problem(rng, padding, dtype, side=18, filters=(4, 6), kernel=kernel)
    check_passes(CNN(padding, "leaky-relu", dense_activation=dense_activation), params, x, y)


def check_passes(network, params, x, y):
    dtype = str(x.dtype)
    logits, tape = network.forward(params, x)
    loss, pull = cross_entropy(logits, y)
    passes = CNNWorkspace(*x.shape, params, network)
    grads = {name: np.empty_like(p) for name, p in params.items()}
    close = {"rtol": TOLERANCE[dtype], "atol": TOLERANCE[dtype]}
    for _ in range(2):  # the arrays are used again
        assert_allclose(passes.descend(x, one_hot(y, params), grads), loss, **close)
        for name, expected in gradients(tape, pull.x(1.0)).items():
            assert grads[name].dtype == dtype
            assert_allclose(grads[name], expected, **close)
        assert_allclose(fast.logits(network, params, x), logits, **close)
        expected = input_gradient(tape, pull.x(float(len(y))))
        assert_allclose(loss_gradient(network, params, y)(x), expected, **close)


def test_no_thread_changes_a_bit(rng):
    params, x, y = problem(rng, batch=2 * PIECE + 5, dtype="float32")
    found = []
    for threads in (1, 2, 3):
        network = CNN(threads=threads)
        grads = {name: np.empty_like(p) for name, p in params.items()}
        CNNWorkspace(*x.shape, params, network).descend(x, one_hot(y, params), grads)
        found.append([*grads.values(), loss_gradient(network, params, y)(x)])
    for other in found[1:]:
        for one, same in zip(found[0], other, strict=True):
            assert_array_equal(one, same)


def test_a_batch_of_several_pieces_is_its_parts(rng):
    params, x, y = problem(rng, batch=PIECE + 3)
    whole = loss_gradient(CNN(), params, y)(x)
    for part in (slice(0, PIECE), slice(PIECE, None)):
        assert_allclose(loss_gradient(CNN(), params, y[part])(x[part]), whole[part], rtol=1e-10, atol=1e-14)


def test_objectives_take_the_fast_passes_and_are_the_taped_ones(rng):
    params, x, y = problem(rng)
    taped = taped_loss_gradient(CNN(), params, y)(x)
    assert_allclose(loss_gradient(CNN(), params, y)(x), taped, rtol=1e-10, atol=1e-13)
    for ours, theirs in zip(
        margin_gradients(CNN(), params, y)(x), taped_margin_gradients(CNN(), params, y)(x), strict=True
    ):
        assert_allclose(ours, theirs, rtol=1e-10, atol=1e-13)
    assert_allclose(fast.logits(CNN(), params, x), CNN().forward(params, x)[0], rtol=1e-10)


@pytest.mark.parametrize(
    ("penalty", "adversary"),
    [
        (Penalty(), None),
        (Penalty(l1={"W1": 0.01, "W2": 0.01}, nuclear={"W2": 0.1}), None),
        (Penalty(l1={"W1": 0.01}, nuclear={"W2": 0.1}, proximal=0.05), None),
        (Penalty(), Adversary(Attack(name="pgd", steps=2), share=0.5)),
    ],
)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_the_fast_step_is_the_readable_step(rng, penalty, adversary, dtype):
    params, *_ = problem(rng, dtype=dtype, side=14)
    images, labels = rng.integers(0, 256, (40, 14, 14), np.uint8), rng.integers(0, 4, 40)
    settings = (params, {}, sgd(0.05), images, labels, penalty, adversary)
    readable, fused = Step(CNN(), *settings), FusedStep(CNN(), *settings)
    for t in range(1, 4):
        index = rng.permutation(40)[: 16 if t < 3 else 5]
        assert_allclose(fused(index, t), readable(index, t), rtol=TOLERANCE[dtype])
    for name, p in fused.params.items():
        assert (p != params[name]).any()
        assert_allclose(p, readable.params[name], rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])


def test_logits_of_many_images_take_the_memory_of_a_chunk(rng):
    params = cnn.init(NUMPY)
    peaks = []
    for n in (512, 4096):
        x = np.zeros((n, 784), np.float32)
        tracemalloc.start()
        fast.logits(CNN(), params, x)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 4096 * 100  # the results, and small change


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_pixels_that_are_not_finite_are_refused(rng, bad):
    params, x, y = problem(rng)
    x[1, 5] = bad
    with pytest.raises(UsageError, match=r"expected finite images, got 1 pixels of \(7, 225\) that are not"):
        loss_gradient(CNN(), params, y)(x)


def test_inputs_of_another_shape_than_the_first_are_refused(rng):
    params, x, y = problem(rng)
    gradient = loss_gradient(CNN(), params, y)
    gradient(x)
    with pytest.raises(UsageError, match=r"expected inputs float64\(7, 225\), got float64\(6, 225\)"):
        gradient(x[1:])
