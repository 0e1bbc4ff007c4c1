"""Perturbations of diagonal images, whose singular values are read off, and budgets of equal nuclear norm."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from refimpl import UsageError
from refimpl.attacks import PGDL2, LoraPGD
from refimpl.measures.fooling import AttackResult
from refimpl.measures.perturbation_spectrum import (
    describe,
    matched,
    mean_rank,
    nuclear_norm,
    perturbations,
    spectral_fraction,
)


def diagonal(*rows):
    return np.stack([np.diag(row) for row in rows])


IMAGES = diagonal([7, 7, 7], [255, 51, 0], [204, 102, 51]).astype(np.uint8)
ADVERSARIAL = diagonal([1.1, 0.1, 0.3], [0.8, 0.5, 0.3])
"""Of the second and the third image, which alone were classified correctly."""


def result_of(x_adv, index=(1, 2)):
    rows = x_adv.reshape(len(x_adv), -1)
    moved, zeros = np.ones(len(rows)), np.zeros(len(rows), int)
    return AttackResult({}, np.array(index), zeros, zeros, moved, zeros.astype(bool), rows)


def test_perturbations_are_what_was_added_to_the_images_attacked():
    expected = diagonal([0.1, -0.1, 0.3], [0.0, 0.1, 0.1])
    eta = perturbations(IMAGES, result_of(ADVERSARIAL))
    assert eta.dtype == np.float64
    assert_allclose(eta, expected, atol=1e-12)
    single = perturbations(IMAGES, result_of(ADVERSARIAL.astype(np.float32)))
    assert_allclose(single, expected, atol=1e-7)


def test_the_nuclear_norm_and_the_rank_are_means_over_the_images():
    eta = diagonal([0.1, -0.1, 0.3], [0.0, 0.1, 0.0], [0.0, 0.0, 0.0])
    assert nuclear_norm(eta) == pytest.approx((0.5 + 0.1 + 0.0) / 3)
    assert mean_rank(eta) == pytest.approx((0.5 / 0.11**0.5 + 1) / 2)  # the nuclear by the Frobenius norm


def test_the_spectral_fraction_is_of_relative_changes_where_there_was_a_singular_value():
    """Sorted, the singular values go from (1, .2, 0) to (1.1, .3, .1) and from (.8, .4, .2) to (.8, .5, .3)."""
    mean = np.array([(0.1 + 0) / 2, (0.1 / 0.2 + 0.1 / 0.4) / 2, 0.1 / 0.2])
    assert_allclose(spectral_fraction(IMAGES, result_of(ADVERSARIAL)), mean / mean.sum(), atol=1e-9)


def test_a_black_image_has_no_singular_value_to_change():
    images = diagonal([0, 0], [255, 51]).astype(np.uint8)
    adversarial = diagonal([0.1, 0.1], [0.9, 0.25])
    found = spectral_fraction(images, result_of(adversarial, (0, 1)))
    assert_allclose(found, np.array([0.1, 0.25]) / 0.35, rtol=1e-9)


def test_a_fall_of_a_singular_value_counts_as_its_rise():
    images = diagonal([255, 51], [255, 51]).astype(np.uint8)
    adversarial = diagonal([1.1, 0.2], [0.9, 0.25])
    found = spectral_fraction(images, result_of(adversarial, (0, 1)))
    assert_allclose(found, np.array([0.1, 0.125]) / 0.225, rtol=1e-9)


def test_a_description_is_empty_where_nothing_moved():
    result = result_of(ADVERSARIAL)
    found = describe(IMAGES, result)
    assert found["nuclear_norm"] == pytest.approx((0.5 + 0.2) / 2)
    assert found["perturbation_rank"] == pytest.approx((0.5 / 0.11**0.5 + 2**0.5) / 2)
    assert found["spectral_fraction"] == spectral_fraction(IMAGES, result).tolist()
    result.distance[:] = 0
    assert describe(IMAGES, result) == {}


def test_a_matched_budget_is_scaled_by_the_quotient_of_the_nuclear_norms():
    attack, asked = LoraPGD(eps=0.5, rank=1, steps=7, clip=(0.0, 1.0)), []

    def evaluate(attacks):
        asked.extend(attacks)
        clean = IMAGES[1:] / 255
        return [result_of(clean + length * np.eye(3)) for length in (0.3, 0.1)]

    assert matched(attack, IMAGES, evaluate) == LoraPGD(eps=1.5, rank=1, steps=7, clip=(0.0, 1.0))
    assert asked == [PGDL2(eps=0.5, steps=7, clip=(0.0, 1.0)), attack]
    with pytest.raises(UsageError, match="moves no image"):
        matched(attack, IMAGES, lambda attacks: [result_of(ADVERSARIAL), result_of(IMAGES[1:] / 255)])
