"""Bounds of the mutual information: the naive double loop, closed cases, the truth in one dimension, invariances."""

import inspect
import math
from itertools import pairwise

import naive
import numpy as np
import pytest
from backends import NUMPY
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy.integrate import quad
from strategies import seeds, sizes

from refimpl import UsageError, label_information, mutual_information
from refimpl.backend import ON_CPU
from refimpl.measures import per_layer
from refimpl.measures.information import mutual_informations
from refimpl.measures.per_layer import layer_information
from refimpl.networks import FCNN

variances = st.floats(0.01, 10)


def full_matrix(h, sigma2):
    """From the whole matrix of distances, without blocks."""
    D = ((h[:, None, :] - h[None, :, :]) ** 2).sum(axis=-1)
    return tuple(-np.log2(np.exp(-D / (scale * sigma2)).mean(axis=1)).mean() for scale in (8, 2))


@st.composite
def activations(draw):
    rng = np.random.default_rng(draw(seeds))
    return np.tanh(rng.normal(size=(draw(st.integers(1, 12)), draw(sizes))))


@given(activations(), variances, st.integers(1, 5))
def test_the_naive_double_loop_whatever_the_block(h, sigma2, block):
    found = mutual_information(h, sigma2, block)
    expected = naive.mutual_information(h, sigma2)
    assert_allclose(found, expected, rtol=1e-9, atol=1e-12)
    assert_allclose(found, full_matrix(h, sigma2), rtol=1e-9, atol=1e-12)


@given(activations(), variances)
def test_lower_is_at_most_upper_and_both_are_bounded(h, sigma2):
    lower, upper = mutual_information(h, sigma2)
    assert 0 <= lower <= upper + 1e-12
    assert upper <= math.log2(len(h))


@pytest.mark.parametrize("n", [1, 2, 30])
def test_identical_points_tell_nothing(n):
    assert_allclose(mutual_information(np.full((n, 3), 0.3)), (0, 0), atol=1e-12)


@pytest.mark.parametrize("k", [2, 5])
def test_k_far_clusters_tell_exactly_which(k):
    h = np.repeat(100.0 * np.arange(k), 4)[:, None]
    assert_allclose(mutual_information(h), (math.log2(k), math.log2(k)), rtol=1e-12)


@pytest.mark.parametrize("sigma2", [0.01, 0.1, 1.0])
def test_the_truth_lies_between(rng, sigma2):
    """In one dimension the entropy of the mixture is an integral."""
    h = rng.uniform(-1, 1, 6)

    def density(t):
        return np.exp(-((t - h) ** 2) / (2 * sigma2)).mean() / math.sqrt(2 * math.pi * sigma2)

    def minus_p_log_p(t):
        return -density(t) * math.log2(density(t))

    far = 12 * math.sqrt(sigma2)
    entropy = quad(minus_p_log_p, -1 - far, 1 + far, points=sorted(h), limit=500)[0]
    truth = entropy - 0.5 * math.log2(2 * math.pi * math.e * sigma2)
    lower, upper = mutual_information(h[:, None], sigma2)
    assert lower <= truth <= upper


@given(activations(), variances, seeds)
def test_invariances(h, sigma2, seed):
    rng = np.random.default_rng(seed)
    expected = mutual_information(h, sigma2)
    Q = np.linalg.qr(rng.normal(size=(h.shape[1],) * 2))[0]
    a = rng.uniform(0.1, 10)
    for same, variance in (
        (h + rng.normal(size=h.shape[1]), sigma2),
        (h @ Q, sigma2),
        (rng.permutation(h), sigma2),
        (np.concatenate([h, h]), sigma2),
        (a * h, a * a * sigma2),
    ):
        assert_allclose(mutual_information(same, variance), expected, rtol=1e-7, atol=1e-9)


def test_far_from_the_origin_the_digits_stay():
    h = np.random.default_rng(0).normal(size=(40, 3))
    assert_allclose(mutual_information(h + 1e6), mutual_information(h), rtol=1e-6)


@given(activations())
def test_more_noise_less_information_and_one_bound_is_the_others_at_four_times_the_noise(h):
    found = mutual_informations(h, (0.05, 0.2, 0.8))
    for (lower, upper), (less_lower, less_upper) in pairwise(found):
        assert less_upper <= upper + 1e-12
        assert less_lower <= lower + 1e-12
        assert_allclose(lower, less_upper, rtol=1e-9, atol=1e-12)


@given(activations(), variances)
def test_several_variances_in_one_pass_are_several_passes(h, sigma2):
    together = mutual_informations(h, (sigma2, 2 * sigma2))
    assert_allclose(together[0], mutual_information(h, sigma2), rtol=1e-12, atol=1e-14)
    assert_allclose(together[1], mutual_information(h, 2 * sigma2), rtol=1e-12, atol=1e-14)


@given(activations(), variances, seeds)
def test_label_information_is_its_formula_clipped_to_what_is_possible(h, sigma2, seed):
    y = np.random.default_rng(seed).integers(0, 3, len(h))
    lower, upper = naive.mutual_information(h, sigma2)
    for c in set(y.tolist()):
        inside = naive.mutual_information(h[y == c], sigma2)
        lower -= np.mean(y == c) * inside[1]
        upper -= np.mean(y == c) * inside[0]
    p = np.bincount(y) / len(y)
    entropy = -sum(q * math.log2(q) for q in p if q)
    found = label_information(h, y, sigma2)
    assert_allclose(found, (max(lower, 0), min(upper, entropy)), rtol=1e-9, atol=1e-9)


def test_labels_that_are_the_clusters_are_known_and_labels_drawn_apart_are_not(rng):
    y = np.repeat(np.arange(4), 25)
    h = 50.0 * y[:, None] + 0.001 * rng.normal(size=(100, 2))
    assert_allclose(label_information(h, y), (2, 2), rtol=1e-3)
    lower, upper = label_information(np.zeros((100, 2)), y)
    assert_allclose((lower, upper), (0, 0), atol=1e-12)


def test_it_runs_on_every_backend(be, rng):
    h, y = np.tanh(rng.normal(size=(30, 4))), rng.integers(0, 3, 30)
    here, labels = be.array(h), be.array(y, "int64")
    rounded = h.astype(be.dtype).astype(float)
    assert_allclose(mutual_information(here, 0.1, 8), naive.mutual_information(rounded, 0.1), rtol=1e-9)
    assert_allclose(label_information(here, labels), label_information(rounded, y), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("sigma2", [0.0, -1.0, math.nan, math.inf])
def test_a_variance_must_make_sense(sigma2):
    with pytest.raises(UsageError, match="sigma2"):
        mutual_information(np.zeros((2, 2)), sigma2)


def test_no_examples_and_nan_are_refused():
    with pytest.raises(UsageError, match="at least one example"):
        mutual_information(np.zeros((0, 2)))
    with pytest.raises(UsageError, match="not finite"):
        mutual_information(np.array([[np.nan]]))
    for h in (np.zeros((3, 0)), np.zeros(3), np.zeros((2, 2, 2))):
        with pytest.raises(UsageError, match=r"activations \(examples, units\)"):
            inspect.unwrap(mutual_informations)(h, (0.1,))
    with pytest.raises(UsageError, match="expected an array, got list"):
        inspect.unwrap(mutual_informations)([[0.0]], (0.1,))
    network = FCNN((4, 3, 2))
    with pytest.raises(UsageError, match="at least one example"):
        layer_information(network, network.init(NUMPY), np.zeros((0, 2, 2), np.uint8))


def test_the_papers_noise_is_the_default(rng):
    """Section 5: a variance of 0.1."""
    network, images, y = FCNN((4, 3, 2)), rng.integers(0, 256, (6, 2, 2), np.uint8), np.arange(6) % 2
    h, params = rng.normal(size=(6, 3)), network.init(NUMPY)
    assert mutual_information(h) == mutual_information(h, 0.1) != mutual_information(h, 1.1)
    assert label_information(h, y) == label_information(h, y, 0.1) != label_information(h, y, 1.1)
    assert layer_information(network, params, images, y) == layer_information(network, params, images, y, 0.1)
    assert layer_information(network, params, images, y) != layer_information(network, params, images, y, 1.1)


@pytest.mark.parametrize("chunk", [250, 3])
def test_every_hidden_layer_is_measured_over_all_images_whatever_the_chunk(rng, monkeypatch, chunk):
    monkeypatch.setattr(per_layer, "chunks", lambda x: ON_CPU._replace(measured=chunk))
    network, images, y = FCNN((4, 3, 5, 2)), rng.integers(0, 256, (7, 2, 2), np.uint8), np.arange(7) % 3
    params = network.init(NUMPY, dtype="float64")
    hidden = network.hidden(params, images.reshape(7, 4) / 255)
    expected = [(*naive.mutual_information(h, 0.05), *label_information(h, y, 0.05)) for h in hidden]
    found = layer_information(network, params, images, y, 0.05)
    assert_allclose([list(row.values()) for row in found], expected, rtol=1e-9, atol=1e-12)
    names = [f"{kind}_information_{bound}" for kind in ("mutual", "label") for bound in ("lower", "upper")]
    assert [list(row) for row in found] == [names] * 2
    assert [list(row) for row in layer_information(network, params, images)] == [names[:2]] * 2


@pytest.mark.parametrize("block", [0, -5])
def test_a_block_must_hold_an_example(block):
    """With a negative one no pair would be visited, and the logarithm of zero taken."""
    with pytest.raises(UsageError, match=f"a block must hold at least one example, got {block}"):
        mutual_information(np.zeros((2, 2)), block=block)


@pytest.mark.parametrize("n", [3, 5])
def test_other_than_one_label_an_example_is_refused(n):
    with pytest.raises(UsageError, match=f"expected a label for each of the 4 examples, got {n} labels"):
        inspect.unwrap(label_information)(np.zeros((4, 2)), np.zeros(n, int))


@pytest.mark.parametrize("n", [1, 2, 7])
def test_no_information_is_zero_and_not_minus_zero(n):
    h, y = np.full((n, 3), 0.3), np.zeros(n, int)
    for bound in (*mutual_information(h), *label_information(h, y), *label_information(h, np.arange(n) % 2)):
        assert math.copysign(1.0, bound) == 1.0


@given(activations(), variances, seeds)
def test_no_bound_of_the_label_is_below_zero(h, sigma2, seed):
    y = np.random.default_rng(seed).integers(0, 3, len(h))
    for bound in label_information(h, y, sigma2):
        assert bound >= 0
        assert math.copysign(1.0, bound) == 1.0
