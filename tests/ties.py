"""What tests of ties in pooling share: real images in float32, images of one grey, and how far gradients differ."""

from functools import cache

import numpy as np
from backends import NUMPY

from refimpl.data import load
from refimpl.networks import CNN

CLOSE = 1e-4
"""Of the largest entry of an image's gradient; another choice in a window moves it by a hundred times as much."""


def with_biases(network):
    """The network and weights whose biases are not 0, so that what is black does not stay 0."""
    params, rng = network.init(NUMPY, 1), np.random.default_rng(2)
    biases = {name: 0.1 * rng.normal(size=p.shape).astype(p.dtype) for name, p in params.items() if p.ndim == 1}
    return network, params | biases


NETS = [with_biases(network) for network in (CNN(), CNN(padding="same", activation="relu"))]


def clothes(folder, n):
    """Images of Fashion-MNIST whose flat regions are dark grey, 0.05, and their labels."""
    test = _test(folder)
    images = test.images[:n].reshape(n, -1) / np.float32(255)
    return np.maximum(images, np.float32(0.05)), test.labels[:n].astype(int)


@cache
def _test(folder):
    return load("fashion-mnist", data_dir=folder).test


def greys(value, n=16):
    """Equal images of one grey."""
    return np.full((n, 784), value, np.float32), np.zeros(n, int)


def apart(ours, theirs):
    """How far the gradients of each image are apart, relative to the largest entry."""
    return np.abs(ours - theirs).max(axis=1) / np.abs(theirs).max(axis=1)


def check_place(gradients, images, labels, chunks):
    """The gradients of an image do not depend on its chunk and its place in the batch.

    Those of one image may: where two entries differ by just `TIE`, rounding still decides.
    """
    n = len(images)
    whole = gradients(images, labels)
    for chunk in chunks:
        parts = [gradients(images[i : i + chunk], labels[i : i + chunk]) for i in range(0, n, chunk)]
        assert np.sum(apart(np.concatenate(parts), whole) > CLOSE) <= 1
    moved, found = np.random.default_rng(3).permutation(n), np.empty_like(whole)
    found[moved] = gradients(images[moved], labels[moved])
    assert np.sum(apart(found, whole) > CLOSE) <= 1


def check_greys(gradients, *values):
    """Equal images have equal gradients, and so have those of each image alone."""
    for value in values:
        images, labels = greys(value)
        found = gradients(images, labels)
        assert apart(found, gradients(images[:1], labels[:1])).max() < CLOSE
