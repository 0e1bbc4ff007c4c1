"""Paired differences over seeds: intervals, power, several tests."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from refimpl.experiments.paired import LEVEL, POWER, Paired, holm

numbers = st.floats(-10, 10, allow_subnormal=False)


@given(st.lists(numbers, min_size=2, max_size=8), numbers)
def test_interval_and_p_are_those_of_the_t_test(differences, value):
    paired, spread = Paired(tuple(differences)), np.std(differences, ddof=1)
    if spread < 1e-6:
        return
    found = stats.ttest_1samp(differences, value, alternative="greater")
    assert paired.p_above(value) == pytest.approx(found.pvalue, rel=1e-6, abs=1e-12)
    known = stats.ttest_1samp(differences, 0).confidence_interval(0.95)
    assert paired.interval() == pytest.approx((known.low, known.high), rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("n", [3, 5])
def test_the_smallest_effect_is_shown_in_four_of_five_cases(n):
    """By drawing: how often the interval of n differences around the effect lies below zero."""
    drawn = np.random.default_rng(0).normal(size=(40_000, n))
    given_spread = drawn[0] / drawn[0].std(ddof=1)
    effect = Paired(tuple(given_spread)).smallest_effect()  # of a spread of 1
    around = drawn - effect
    half = stats.t.ppf(1 - LEVEL, n - 1) * around.std(axis=1, ddof=1) / math.sqrt(n)
    assert np.mean(around.mean(axis=1) + half < 0) == pytest.approx(POWER, abs=0.01)


def test_of_one_seed_nothing_is_known_and_of_equal_ones_everything():
    one = Paired((0.3,))
    assert one.interval() == (-math.inf, math.inf)
    assert (one.smallest_effect(), one.p_above(-1.0)) == (math.inf, 1.0)
    same = Paired((0.5, 0.5, 0.5))
    assert same.interval() == (0.5, 0.5)
    assert (same.smallest_effect(), same.p_above(0.4), same.p_above(0.5)) == (0.0, 0.0, 1.0)
    assert Paired((math.nan, 1.0)).p_above(0.0) == 1.0


@given(st.lists(st.floats(0, 1), max_size=6))
def test_holm_rejects_as_its_steps_do(p):
    """Holm 1979: from the smallest p on, while p is at most level / (tests left)."""
    level, rejected = 0.05, set()
    for left, i in zip(range(len(p), 0, -1), sorted(range(len(p)), key=p.__getitem__), strict=True):
        if p[i] * left > level:
            break
        rejected.add(i)
    assert {i for i, adjusted in enumerate(holm(p)) if adjusted <= level} == rejected
