"""The built-in set: the same bits, ten recognisable classes, and harder than a line can separate."""

import importlib
import math
import os
import subprocess
import sys

import numpy as np
import pytest
from backends import NUMPY
from numpy.testing import assert_array_equal
from scipy.optimize import minimize

from refimpl import Adam, cross_entropy
from refimpl.data import on, strokes
from refimpl.data.idx import serialise, sha256
from refimpl.layers.images import scale
from refimpl.measures.accuracy import accuracy
from refimpl.networks import FCNN
from refimpl.runs.fast_twins import accelerated
from refimpl.training import CrossEntropy, Schedule, Step, train

drawing = importlib.import_module("refimpl.data.strokes")  # its name is also that of a function in it
draw = strokes.__wrapped__


def assert_same(a, b):
    for one, other in ((a.train, b.train), (a.test, b.test)):
        assert_array_equal(one.images, other.images)
        assert_array_equal(one.labels, other.labels)


def test_the_same_bits_from_the_same_seed_and_others_from_another():
    a, b, c = draw(3, 200, 100), draw(3, 200, 100), draw(4, 200, 100)
    assert_same(a, b)
    assert a.sha256 == b.sha256
    assert (a.train.images != c.train.images).any()


def test_the_same_bits_without_the_processors_vector_instructions():
    """NumPy's loops for AVX2 and AVX-512 and those without give the same set."""
    features = np._core._multiarray_umath.__cpu_features__
    dispatched = [name for name in np._core._multiarray_umath.__cpu_dispatch__ if features.get(name)]
    if not dispatched:
        pytest.skip("NumPy dispatches on no feature of this processor: there is nothing to switch off")
    code = "from refimpl.data import strokes; print(strokes(3, 200, 100).sha256['train_images'])"
    environment = {**os.environ, "NPY_DISABLE_CPU_FEATURES": " ".join(dispatched)}
    plain = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert plain.stdout.strip() == draw(3, 200, 100).sha256["train_images"]


@pytest.mark.parametrize("chunk", [1, 7, 1000])
def test_the_same_bits_in_chunks_of_any_size(monkeypatch, chunk):
    expected = draw(5, 100, 50)
    monkeypatch.setattr(drawing, "CHUNK", chunk)
    assert_same(draw(5, 100, 50), expected)


def test_a_larger_training_set_leaves_the_test_set_alone():
    assert_array_equal(draw(0, 50, 40).test.images, draw(0, 500, 40).test.images)


def test_sizes_classes_and_hashes():
    data = strokes()
    for split, n in ((data.train, 12_000), (data.test, 2_000)):
        assert split.images.shape == (n, 28, 28)
        assert_array_equal(np.bincount(split.labels), np.full(10, n // 10))
    assert np.ptp(np.bincount(draw(0, 123, 10).train.labels)) <= 1
    assert data.sha256["test_images"] == sha256(serialise(data.test.images))
    assert data.sha256["train_labels"] == sha256(serialise(data.train.labels))


def test_train_and_test_share_no_image():
    data = strokes()
    seen = {image.tobytes() for image in data.train.images}
    assert not any(image.tobytes() in seen for image in data.test.images)


def test_every_image_is_a_digit_in_white_on_black():
    images = strokes().train.images
    ink = (images > 127).mean(axis=(1, 2))
    thinnest, farthest = drawing.PEN[0], math.sqrt(0.5)  # of a stroke from the nearest pixel
    assert images.reshape(len(images), -1).max(axis=1).min() >= math.floor(255 * (thinnest + 0.5 - farthest))
    assert 0.02 < ink.min() < ink.max() < 0.5
    border = np.ones((28, 28), bool)
    border[2:-2, 2:-2] = False
    assert (images[:, border] > 0).mean() < 0.05


def test_labels_come_in_no_order():
    labels = strokes().train.labels.astype(int)
    assert abs(np.corrcoef(labels[:-1], labels[1:])[0, 1]) < 0.05


def test_rendering_is_the_distance_to_the_nearest_segment(rng):
    start, end = rng.uniform(4, 24, (2, 3, 4, 2)).astype(np.float32)
    end[0, 0] = start[0, 0]  # a dot
    pen = np.array([0.8, 1.2, 1.6], np.float32)
    images = drawing.render((start, end), pen)
    for i in range(3):
        for row in range(28):
            for column in range(28):
                nearest = min(distance(column, row, *start[i, k], *end[i, k]) for k in range(4))
                grey = 255 * min(max(float(pen[i]) + 0.5 - nearest, 0), 1)
                assert abs(int(images[i, row, column]) - grey) <= 1


def distance(x, y, ax, ay, bx, by):
    """From a point to a segment, by the foot of the perpendicular."""
    ax, ay, bx, by = (float(v) for v in (ax, ay, bx, by))
    length = (bx - ax) ** 2 + (by - ay) ** 2
    t = min(max(((x - ax) * (bx - ax) + (y - ay) * (by - ay)) / length, 0), 1) if length else 0
    return math.hypot(x - ax - t * (bx - ax), y - ay - t * (by - ay))


@pytest.mark.slow
def test_a_linear_classifier_stays_visibly_behind_the_net():
    data = strokes()
    x, y = scale(data.train.images, np.float32), data.train.labels.astype(int)
    x_test, y_test = scale(data.test.images, np.float32), data.test.labels.astype(int)

    def linear(decay):
        def loss(theta):
            W, b = theta[:7840].reshape(10, 784).astype(np.float32), theta[7840:].astype(np.float32)
            value, pull = cross_entropy(x @ W.T + b, y)
            dz = pull.x(1.0)
            gradient = np.concatenate([(dz.T @ x + decay * W).ravel(), dz.sum(axis=0)])
            return float(value + decay / 2 * (W * W).sum()), gradient.astype(float)

        theta = minimize(loss, np.zeros(7850), jac=True, method="L-BFGS-B", options={"maxiter": 150}).x
        return accuracy(x_test @ theta[:7840].reshape(10, 784).T + theta[7840:], y_test)

    network, optimizer = FCNN(), Adam(0.001)
    params = network.init(NUMPY)
    step = accelerated(Step(CrossEntropy(network), optimizer, params, optimizer.init(params)))
    *_, last = train(step, accelerated(network), on(NUMPY, data), Schedule(epochs=60, batch_size=128, seed=0))
    assert last.accuracy > 0.94
    assert max(linear(decay) for decay in (1e-4, 1e-3, 1e-2)) < last.accuracy - 0.04
