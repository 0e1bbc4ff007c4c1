"""Attacks on functions whose optimum is known: linear classifiers, a quadratic. No network in sight."""

import inspect
import re
from itertools import pairwise
from unittest.mock import Mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from strategies import affine_inputs, budgets, linear_classifiers, seeds

from refimpl import NumericalError, UsageError
from refimpl.attacks import (
    FGSM,
    GNM,
    PGD,
    PGDL2,
    InputWeight,
    LoraPGD,
    distance,
    fgsm,
    gnm,
    pgd,
    pgd_l2,
    strongest,
    verify,
)
from refimpl.attacks import lora_pgd as low_rank_pgd
from refimpl.attacks.ball import bounds, project, steps_inside, unit
from refimpl.attacks.low_rank import random_factors
from refimpl.attacks.pgd import ascent, random_point
from refimpl.attacks.sign_step import sign_step
from refimpl.backend import namespace
from refimpl.layers.loss import cross_entropy, margin_directions, margins
from refimpl.networks import Gradients

DUAL = {"inf": 1, "2": 2, "1": np.inf}


def linear_margins(A, k):
    """The margins of z = x Aᵀ and their gradients, which do not depend on x."""

    def of(x):
        D = margin_directions(k, len(A), A.dtype)
        return margins(x @ A.T, k)[0], D @ A

    return of


def cross_entropy_gradient(A, y):
    return lambda x: cross_entropy(x @ A.T, y)[1].x(float(len(x))) @ A


def quadratic(target):
    """The gradient of -|x - target|²/2: ascent leads to `target`."""
    return lambda x: target - x


def pgd_from_random(gradient, x, rng, *, eps, clip=None, **steps):
    corners = bounds(x, eps, clip)
    return ascent(gradient, random_point(rng, x, eps, corners), corners, **steps)


# ---- the optimal step --------------------------------------------------------------------------------------------


@given(linear_classifiers(), budgets, st.sampled_from(["inf", "2", "1"]))
def test_gnm_attains_the_least_margin_a_linear_classifier_admits(case, eps, norm):
    A, x = case
    k = (x @ A.T).argmax(axis=-1)
    of = linear_margins(A, k)
    M, dM = of(x)
    best = (M - eps * np.linalg.norm(dM, ord=DUAL[norm], axis=-1)).min(axis=-1)
    x_adv = gnm(of, x, eps=eps, steps=1, norm=norm)
    assert_allclose(of(x_adv)[0].min(axis=-1), best, rtol=1e-9, atol=1e-9)


@given(linear_classifiers(st.just(2)), budgets, st.sampled_from(["inf", "2", "1"]), st.integers(2, 7))
def test_on_two_classes_the_number_of_gnm_steps_does_not_matter(case, eps, norm, steps):
    A, x = case
    of = linear_margins(A, (x @ A.T).argmax(axis=-1))
    once, often = (gnm(of, x, eps=eps, steps=t, norm=norm) for t in (1, steps))
    assert_allclose(often, once, rtol=1e-9, atol=1e-9)


@given(linear_classifiers(st.just(2)), budgets)
def test_on_two_linear_classes_fgsm_pgd_and_gnm_agree(case, eps):
    A, x = case
    k = (x @ A.T).argmax(axis=-1)
    gradient = cross_entropy_gradient(A, k)
    by_gnm = gnm(linear_margins(A, k), x, eps=eps, steps=1)
    assert_allclose(fgsm(gradient, x, eps=eps), by_gnm, rtol=1e-12)
    assert_allclose(pgd(gradient, x, eps=eps, step_size=eps / 3, steps=4), by_gnm, rtol=1e-12)
    w, y = A[1] - A[0], 2.0 * k - 1
    least = y * (x @ w) - eps * np.abs(w).sum()
    assert_allclose(y * (by_gnm @ w), least, rtol=1e-9, atol=1e-9)


def test_gnm_aims_at_the_steep_class_and_not_at_the_near_one():
    A = np.array([[0.0, 0.0], [-0.1, 0.0], [0.0, 10.0]])  # class 1 is near and flat, class 2 far and steep
    x = np.array([[2.0, -0.5]])
    k = np.array([0])
    M, _ = linear_margins(A, k)(x)
    assert M.argmin() == 0
    x_adv = gnm(linear_margins(A, k), x, eps=1.0, steps=1)
    assert (x_adv @ A.T).argmax() == 2


def test_gnm_chooses_its_target_anew_each_step():
    """The second class comes into reach only after the first step has been taken towards the third."""
    chosen = []

    def of(x):
        M = np.array([[1.0, 2.0]]) if not chosen else np.array([[5.0, 1.0]])
        chosen.append(M)
        return M, np.array([[[1.0, 0.0], [0.0, 1.0]]])

    assert_allclose(gnm(of, np.zeros((1, 2)), eps=1.0, steps=2), [[-0.5, -0.5]])


def test_l1_ties_go_to_the_first_pixel():
    def of(x):
        return np.zeros((1, 1)), np.array([[[0.5, -1.0, 1.0]]])

    assert_array_equal(gnm(of, np.zeros((1, 3)), eps=1.0, steps=1, norm="1"), [[0.0, 1.0, 0.0]])


@given(affine_inputs(), budgets, st.sampled_from([1e-30, 1e-12, 1.0, 1e12]))
def test_the_scale_of_the_gradient_does_not_matter(inputs, eps, scale):
    x = inputs[0]
    target = x + 1.5
    for attack in (fgsm, lambda g, x, eps: pgd(g, x, eps=eps, step_size=eps / 4, steps=3)):
        plain = attack(quadratic(target), x, eps=eps)
        assert_array_equal(attack(lambda at: scale * quadratic(target)(at), x, eps=eps), plain)

    def of(at):
        return np.zeros((len(x), 1)), scale * (at - target)[:, None, :]

    for norm in DUAL:
        moved = distance(x, gnm(of, x, eps=eps, steps=1, norm=norm), norm)
        assert_allclose(moved, eps, rtol=1e-9)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_sign_step_with_integers_is_the_definition_to_the_bit(rng, dtype):
    tiny, huge = np.finfo(dtype).smallest_subnormal, np.finfo(dtype).max
    special = np.array([0.0, -0.0, tiny, -tiny, huge, -huge, np.inf, -np.inf], dtype)
    without_zeros = special[special != 0]
    for g in (special, without_zeros, rng.normal(size=(7, 5)).astype(dtype), np.append(special, np.nan).astype(dtype)):
        x = rng.uniform(size=g.shape).astype(dtype)
        lower, upper = bounds(x, 0.01, (0.0, 1.0))
        fast = sign_step(x, g, 0.02, lower, upper)
        assert fast.dtype == dtype
        assert_array_equal(fast, project(x + 0.02 * np.sign(g), lower, upper))


@given(
    seeds,
    st.integers(1, 30),
    st.floats(1e-7, 0.3),
    st.booleans(),
    st.booleans(),
    st.sampled_from(["float32", "float64"]),
)
def test_steps_that_stay_inside_are_not_projected_and_give_the_same_bits(seed, steps, eps, clipped, overwrite, dtype):
    rng = np.random.default_rng(seed)
    x = rng.uniform(0.1, 0.9, (3, 4)).astype(dtype)
    corners = bounds(x, eps, (0.0, 1.0) if clipped else None)
    lower, upper = corners
    start = project(x + 0.3 * eps * rng.normal(size=x.shape).astype(dtype), lower, upper)
    gradients = rng.choice([-1.0, 1.0], (steps, 3, 4), p=[0.2, 0.8]).astype(dtype)
    expected = start
    for g in gradients:
        expected = project(expected + np.array(eps / 10, dtype) * g, lower, upper)
    one_by_one = iter(gradients.copy())
    found = ascent(lambda x: next(one_by_one), start, corners, eps / 10, steps, overwrite=overwrite)
    assert_array_equal(found, expected)


def test_how_many_steps_stay_inside():
    x = np.full((1, 2), 0.5)
    around = bounds(x, 0.25)
    assert steps_inside(x, around, 0.0625) == 3  # a fourth would reach the corner, and rounding could pass it
    assert steps_inside(x, around, 0.06) == 4
    assert steps_inside(x, around, 0.25) == steps_inside(x, around, 0.3) == 0
    assert steps_inside(x + np.array([[0.0, 0.125]]), around, 0.06) == 2
    assert steps_inside(x - np.array([[0.0, 0.125]]), around, 0.06) == 2
    assert steps_inside(np.array([[0.0, 0.5]]), bounds(np.array([[0.0, 0.5]]), 0.25, (0.0, 1.0)), 0.01) == 0
    assert steps_inside(np.array([[np.nan, 0.5]]), bounds(np.array([[np.nan, 0.5]]), 0.25), 0.01) == 0
    assert steps_inside(x[:0], bounds(x[:0], 0.25), 0.01) == 0
    far = np.full((1, 1), 1000.0, np.float32)  # where a step of 1e-4 is rounded to one of 1.2e-4
    assert steps_inside(far, bounds(far, 0.01), 1e-4) < 0.01 / 1.3e-4


def test_a_gradient_that_is_not_ours_is_not_overwritten():
    constant = np.array([[1.0, -2.0, 0.5]])
    x = np.full((1, 3), 0.5)
    pgd(lambda x: constant, x, eps=0.1, step_size=0.02, steps=8)
    fgsm(lambda x: constant, x, eps=0.1)
    assert_array_equal(constant, [[1.0, -2.0, 0.5]])
    assert_array_equal(x, [[0.5, 0.5, 0.5]])


# ---- the budget ----------------------------------------------------------------------------------------------------


@given(affine_inputs(), budgets, seeds, st.booleans(), st.sampled_from(["float32", "float64"]))
def test_every_attack_stays_in_the_ball_and_in_the_box(inputs, eps, seed, clipped, dtype):
    rng = np.random.default_rng(seed)
    x = rng.uniform(size=inputs[0].shape).astype(dtype)
    target = rng.normal(size=x.shape).astype(dtype)
    clip = (0.0, 1.0) if clipped else None

    def of(at):
        return np.zeros((len(x), 2), dtype), np.stack([at - target, rng.normal(size=x.shape).astype(dtype)], axis=1)

    results = [(fgsm(quadratic(target), x, eps=eps, clip=clip), "inf")]
    steps = {"eps": eps, "step_size": eps / 3, "steps": 5, "clip": clip}
    results.append((pgd(quadratic(target), x, **steps), "inf"))
    results.append((pgd_from_random(quadratic(target), x, rng, **steps), "inf"))
    results += [(gnm(of, x, eps=eps, steps=4, norm=norm, clip=clip), norm) for norm in DUAL]
    for x_adv, norm in results:
        assert x_adv.dtype == dtype
        verify(x, x_adv, eps=eps, norm=norm, clip=clip)


@given(affine_inputs(), st.sampled_from(["inf", "2", "1"]), budgets)
def test_one_gnm_step_uses_the_whole_budget(inputs, norm, eps):
    x = inputs[0]
    x_adv = gnm(lambda at: (np.zeros((len(x), 1)), (at + 10)[:, None, :]), x, eps=eps, steps=1, norm=norm)
    assert_allclose(distance(x, x_adv, norm), eps, rtol=1e-9)


@given(affine_inputs(), budgets, st.booleans())
def test_pgd_of_one_full_step_is_fgsm_to_the_bit(inputs, eps, clipped):
    x = np.abs(inputs[0]) % 1
    clip = (0.0, 1.0) if clipped else None
    gradient = quadratic(inputs[0])
    assert_array_equal(
        pgd(gradient, x, eps=eps, step_size=eps, steps=1, clip=clip), fgsm(gradient, x, eps=eps, clip=clip)
    )


@given(affine_inputs(), st.integers(1, 5))
def test_too_few_steps_do_not_reach_the_edge(inputs, steps):
    x = inputs[0]
    x_adv = pgd(quadratic(x + 10), x, eps=1.0, step_size=0.1, steps=steps)
    assert_allclose(distance(x, x_adv, "inf"), 0.1 * steps)


@given(linear_classifiers(), budgets, seeds)
def test_pgd_does_not_lower_the_loss_of_a_linear_model(case, eps, seed):
    A, x = case
    y = np.random.default_rng(seed).integers(0, len(A), len(x))
    x_adv = pgd(cross_entropy_gradient(A, y), x, eps=eps, step_size=eps / 10, steps=20)
    for i in range(len(x)):
        before, after = (cross_entropy(at[i : i + 1] @ A.T, y[i : i + 1])[0] for at in (x, x_adv))
        assert after >= before - 1e-12


@pytest.mark.parametrize("clip", [None, (0.0, 1.0)])
@pytest.mark.parametrize("attack", [pgd, pgd_l2])
def test_pgd_stops_where_it_should_and_not_on_the_sphere(attack, clip):
    x_adv = attack(quadratic(np.full((1, 3), 0.3)), np.zeros((1, 3)), eps=1.0, step_size=0.1, steps=50, clip=clip)
    assert np.abs(x_adv - 0.3).max() <= 0.1 + 1e-12


@pytest.mark.parametrize("clip", [None, (0.0, 0.25)])
def test_each_step_asks_for_the_gradient_where_the_last_one_ended(clip):
    """Three steps of 0.1 from 0, the third cut to the box where there is one."""
    end = 0.3 if clip is None else 0.25
    for attack in (pgd, pgd_l2):
        seen = []
        x_adv = attack(
            lambda at, seen=seen: seen.append(at.item()) or np.ones_like(at),
            np.zeros((1, 1)), eps=1.0, step_size=0.1, steps=3, clip=clip,
        )  # fmt: skip
        assert_allclose([*seen, x_adv.item()], [0.0, 0.1, 0.2, end])
    seen = []
    x_adv = gnm(lambda at: (np.ones((1, 1)), seen.append(at.item()) or -np.ones((1, 1, 1))), np.zeros((1, 1)),
                eps=0.3, steps=3, clip=clip)  # fmt: skip
    assert_allclose([*seen, x_adv.item()], [0.0, 0.1, 0.2, end])


@given(affine_inputs())
def test_no_budget_no_change(inputs):
    x = inputs[0].astype(np.float32)

    def of(at):
        return np.zeros((len(x), 1), np.float32), (at + 1)[:, None, :]

    assert_array_equal(fgsm(quadratic(x + 1), x, eps=0.0), x)
    assert_array_equal(pgd(quadratic(x + 1), x, eps=0.0, step_size=0.1, steps=3), x)
    assert_array_equal(gnm(of, x, eps=0.0), x)


def test_a_zero_gradient_moves_nothing(rng):
    x = rng.uniform(size=(3, 4))
    assert_array_equal(fgsm(np.zeros_like, x, eps=0.1), x)
    for norm in DUAL:
        assert_array_equal(gnm(lambda at: (np.ones((3, 1)), np.zeros((3, 1, 4))), x, eps=0.1, norm=norm), x)


def test_attacks_do_not_write_into_their_input(rng):
    x = rng.uniform(size=(3, 4))
    x.setflags(write=False)
    fgsm(quadratic(x + 1), x, eps=0.1, clip=(0.0, 1.0))
    pgd_from_random(quadratic(x + 1), x, rng, eps=0.1, step_size=0.1, steps=2)
    gnm(lambda at: (np.ones((3, 1)), np.ones((3, 1, 4))), x, eps=0.1, clip=(0.0, 1.0))


# ---- projections ---------------------------------------------------------------------------------------------------


@given(affine_inputs(), budgets, seeds)
def test_the_projection_is_the_nearest_point_and_its_order_is_free(inputs, eps, seed):
    rng = np.random.default_rng(seed)
    x = rng.uniform(size=inputs[0].shape)
    wild = x + 3 * rng.normal(size=x.shape)
    lower, upper = bounds(x, eps, (0.0, 1.0))
    inside = project(wild, lower, upper)
    assert_array_equal(project(inside, lower, upper), inside)
    assert_array_equal(inside, np.clip(np.clip(wild, x - eps, x + eps), 0, 1))
    assert_array_equal(inside, np.clip(np.clip(wild, 0, 1), np.maximum(x - eps, 0), np.minimum(x + eps, 1)))
    other = rng.uniform(lower, upper)
    assert (np.abs(wild - inside) <= np.abs(wild - other) + 1e-12).all()
    unmoved = np.where((wild >= lower) & (wild <= upper), wild, inside)
    assert_array_equal(inside, unmoved)


# ---- restarts ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("random_start", [False, True])
def test_pgd_starts_at_the_example_unless_at_random(rng, random_start):
    x, seen = rng.uniform(0.3, 0.7, (2, 6)), []
    target = Mock(spec=Gradients)
    target.loss = lambda y: lambda at: seen.append(at) or np.ones_like(at)
    PGD(eps=0.1, steps=1, random_start=random_start).perturb(target, x, np.zeros(2, int))
    (start,) = seen
    assert distance(x, start, "inf").max() <= 0.1
    assert (start != x).all() == random_start


@pytest.mark.parametrize("scale", [1e-300, 1.0, 1e300])
def test_a_unit_vector_is_one_at_any_scale(scale):
    assert_allclose(unit(scale * np.array([[[3.0, 0.0], [0.0, -4.0]]])), [[[0.6, 0.0], [0.0, -0.8]]])
    assert_array_equal(unit(np.zeros((1, 2, 2))), np.zeros((1, 2, 2)))


def test_of_equally_strong_attempts_the_first_is_taken():
    attempts = np.array([[[1.0, 0.0], [3.0, 0.0]], [[1.0, 1.0], [2.0, 1.0]], [[1.0, 2.0], [2.0, 2.0]]])
    assert_array_equal(strongest(lambda at: at[:, 0], list(attempts)), [[1.0, 0.0], [2.0, 1.0]])


@given(seeds, st.integers(2, 5))
def test_one_more_restart_never_fools_fewer(seed, n):
    attempts = list(np.random.default_rng(seed).normal(size=(n, 6, 3)))

    def margin(x):
        return x.sum(axis=-1)

    smallest = [margin(strongest(margin, attempts[: k + 1])) for k in range(n)]
    for fewer, more in pairwise(smallest):
        assert (more <= fewer).all()
    assert_array_equal(smallest[-1], np.min([margin(a) for a in attempts], axis=0))


def test_a_random_start_is_a_start_and_repeats_with_its_seed(rng):
    x = rng.uniform(size=(50, 4))

    def start(seed):
        generator = np.random.default_rng(seed)
        return pgd_from_random(np.zeros_like, x, generator, eps=0.1, step_size=0.1, steps=1) - x

    assert_array_equal(start(1), start(1))
    assert (start(1) != start(2)).any()
    assert_allclose([np.abs(start(1)).max(), start(1).mean()], [0.1, 0], atol=0.01)


# ---- refusals ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("eps", [-0.1, float("nan"), float("inf")])
def test_a_budget_must_make_sense(eps):
    x = np.zeros((1, 2))
    for attack in (
        fgsm,
        lambda g, x, eps: pgd(g, x, eps=eps, step_size=0.1, steps=1),
        lambda g, x, eps: gnm(g, x, eps=eps),
    ):
        with pytest.raises(UsageError, match="eps"):
            attack(quadratic(x), x, eps=eps)


def test_steps_and_norms_must_make_sense():
    x = np.zeros((1, 2))
    with pytest.raises(UsageError, match="step"):
        pgd(quadratic(x), x, eps=0.1, step_size=0.1, steps=0)
    with pytest.raises(UsageError, match="step size"):
        pgd(quadratic(x), x, eps=0.1, step_size=-1.0, steps=1)
    with pytest.raises(UsageError, match="norm"):
        gnm(quadratic(x), x, eps=0.1, norm="3")


@pytest.mark.parametrize(
    ("x_adv", "message"),
    [
        (np.array([[0.5, 0.5 + 0.11]]), "left the l_inf ball"),
        (np.array([[0.5, np.nan]]), "not finite"),
        (np.array([[0.5, np.inf]]), "not finite"),
    ],
)
def test_the_verifier_refuses(x_adv, message):
    with pytest.raises(NumericalError, match=message):
        verify(np.full((1, 2), 0.5), x_adv, eps=0.1)


def test_the_verifier_sees_the_box_and_the_other_norms():
    x = np.array([[0.95, 0.5]])
    with pytest.raises(NumericalError, match="box"):
        verify(x, x + np.array([[0.1, 0.0]]), eps=0.1, clip=(0.0, 1.0))
    verify(x, x + 0.1, eps=0.1)
    for norm in ("2", "1"):
        with pytest.raises(NumericalError, match=f"l_{norm}"):
            verify(x, x + 0.1, eps=0.1, norm=norm)


def test_the_verifiers_tolerance_is_rounding_and_no_more():
    """A millionth of eps and, in the norm at hand, one unit in the last place of the largest pixel, at least of 1."""
    x = np.full((1, 4), 0.7, np.float32)
    verify(x, x + np.float32(0.05), eps=0.05)
    with pytest.raises(NumericalError):
        verify(x, x + np.float32(0.05 * 1.00001), eps=0.05)
    zero, one, unit = np.zeros((1, 4)), np.eye(1, 4), 2.0**-52
    verify(zero, (1 + 0.9e-6) * one, eps=1.0)
    for base, last, more in ((zero + 0.5, unit, 1.5), (zero + 64, 64 * unit, 2.0)):
        for pixels, norm in ((1, "inf"), (4**0.5, "2"), (4, "1")):
            verify(base, base + last * pixels * one, eps=0.0, norm=norm)
            with pytest.raises(NumericalError, match="1 adversarial examples left"):
                verify(base, base + more * last * pixels * one, eps=0.0, norm=norm)
    with pytest.raises(NumericalError):
        verify(zero, (1 + 1.1e-6) * one, eps=1.0)


@given(seeds, budgets, st.booleans())
def test_examples_of_any_shape_are_attacked_as_their_rows_and_verified_over_all_their_axes(seed, eps, clipped):
    """On 2 x 3 x 4 images every attack gives the bits it gives on rows of 24 numbers, and stays in its ball."""
    rng, shape = np.random.default_rng(seed), (2, 3, 4)
    rows, target = rng.uniform(0.2, 0.8, (5, 24)), rng.normal(size=(5, 24))
    clip = (0.0, 1.0) if clipped else None

    def gradient(at):
        return target.reshape(at.shape) - at

    def of(at):
        others = np.stack([at - target.reshape(at.shape), np.sin(9 * at)], axis=1)
        return np.abs(others).reshape(5, 2, -1).sum(axis=-1), others

    def results(x):
        start = random_factors(np.random.default_rng(seed), x, shape, 2)
        yield fgsm(gradient, x, eps=eps, clip=clip), "inf"
        yield pgd(gradient, x, eps=eps, step_size=eps / 3, steps=5, clip=clip), "inf"
        yield pgd_l2(gradient, x, eps=eps, step_size=eps / 2, steps=5, clip=clip), "2"
        yield low_rank_pgd(gradient, x, start, eps=eps, steps=3, clip=clip), "2"
        for norm in DUAL:
            yield gnm(of, x, eps=eps, steps=3, norm=norm, clip=clip), norm

    images = rows.reshape(5, *shape)
    for (of_images, norm), (of_rows, _) in zip(results(images), results(rows), strict=True):
        assert of_images.shape == images.shape
        assert_array_equal(of_images.reshape(5, 24), of_rows)
        verify(images, of_images, eps=eps, norm=norm, clip=clip)
        assert_array_equal(distance(images, of_images, norm), distance(rows, of_rows, norm))

    def least(at):
        return at.reshape(5, -1).min(axis=-1)

    both = [[moved.reshape(at.shape) for moved in (rows + target, rows - target)] for at in (images, rows)]
    assert_array_equal(strongest(least, both[0]).reshape(5, 24), strongest(least, both[1]))


@pytest.mark.parametrize("norm", ["2", "1"])
def test_the_verifier_measures_an_image_and_not_its_rows(norm):
    """Each row of the image moved by eps: together by more."""
    x = np.full((1, 1, 4, 4), 0.5)
    x_adv = x.copy()
    x_adv[..., 0] += 1.0
    with pytest.raises(NumericalError, match=f"left the l_{norm} ball"):
        verify(x, x_adv, eps=1.0, norm=norm)
    assert_allclose(distance(x, x_adv, norm), [{"2": 2.0, "1": 4.0}[norm]])


@pytest.mark.parametrize("dtype", [">f4", ">f8", "<f4"])
def test_gradients_of_any_byte_order_and_precision_lead_in_the_right_direction(rng, dtype):
    x = rng.uniform(size=(3, 4)).astype(np.float32)
    g = rng.normal(size=(3, 4)).astype(dtype)
    expected = np.sign(g.astype(float))
    assert_array_equal(np.sign(fgsm(lambda at: g, x, eps=0.1) - x), expected)
    assert_array_equal(np.sign(pgd(lambda at: g, x, eps=0.1, step_size=0.02, steps=3) - x), expected)
    swapped = x.astype(dtype)
    assert_allclose(fgsm(lambda at: g, swapped, eps=0.1), fgsm(lambda at: g, x, eps=0.1), rtol=1e-6)


@pytest.mark.parametrize("x", [np.zeros((1, 4), np.float16), np.zeros((1, 4), np.uint8)])
def test_half_precision_and_whole_numbers_are_refused_in_words(x):
    """A step of low-rank PGD cannot be told from its rounding there; a grey level of 0 to 255 is no pixel."""
    gradient, of = np.ones_like, lambda at: (np.ones((1, 1), at.dtype), np.ones((1, 1, 4), at.dtype))
    budget = {"eps": 0.1, "clip": (0.0, 1.0)}
    for attack in (fgsm, pgd, pgd_l2, gnm, low_rank_pgd):
        plain = inspect.unwrap(attack)
        extra = {"step_size": 0.1, "steps": 1} if attack in (pgd, pgd_l2) else {}
        arguments = (x, None) if attack is low_rank_pgd else (x,)
        with pytest.raises(UsageError, match=f"attacks work in float32 or float64, got inputs of {x.dtype}"):
            plain(of if attack is gnm else gradient, *arguments, **budget, **extra)


def test_a_single_example_without_its_batch_axis_is_refused():
    with pytest.raises(UsageError, match="expected a batch of examples"):
        inspect.unwrap(fgsm)(np.ones_like, np.zeros(4), eps=0.1)


@pytest.mark.parametrize("clip", [(1.0, 0.0), (float("nan"), 1.0), (0.0, float("nan"))])
def test_a_box_without_pixels_is_refused(clip):
    x, of = np.full((1, 4), 0.5), lambda at: (np.ones((1, 1)), np.ones((1, 1, 4)))
    start = random_factors(np.random.default_rng(0), x, (1, 2, 2), 1)
    for attempt in (
        lambda: fgsm(np.ones_like, x, eps=0.1, clip=clip),
        lambda: pgd(np.ones_like, x, eps=0.1, step_size=0.1, steps=1, clip=clip),
        lambda: pgd_l2(np.ones_like, x, eps=0.1, step_size=0.1, steps=1, clip=clip),
        lambda: gnm(of, x, eps=0.1, clip=clip),
        lambda: low_rank_pgd(np.ones_like, x, start, eps=0.1, clip=clip),
        lambda: verify(x, x, eps=0.1, clip=clip),
        *(lambda kind=kind: kind(clip=clip) for kind in (FGSM, PGD, GNM, PGDL2, LoraPGD, InputWeight)),
    ):
        with pytest.raises(UsageError, match=r"the box of the pixels must be \(least, largest\)"):
            attempt()


@pytest.mark.parametrize("attack", [pgd, pgd_l2])
def test_steps_that_lead_nowhere_are_refused(attack):
    x = np.full((1, 4), 0.5)
    for steps, step_size, message in (
        (0, 0.1, "at least one step, got 0"),
        (1, -0.1, "the step size must be finite and at least 0, got -0.1"),
        (1, float("nan"), "the step size must be finite and at least 0, got nan"),
        (1, float("inf"), "the step size must be finite and at least 0, got inf"),
    ):
        with pytest.raises(UsageError, match=message):
            attack(np.ones_like, x, eps=0.1, step_size=step_size, steps=steps)


@pytest.mark.parametrize(
    ("kind", "settings", "message"),
    [
        (PGD, {"steps": -3}, "pgd steps must be finite and at least 1, got -3"),
        (PGD, {"step_size": float("nan")}, "pgd step_size must be finite and at least 0, got nan"),
        (PGD, {"step_size": -0.1}, "pgd step_size must be finite and at least 0, got -0.1"),
        (PGD, {"eps": float("nan")}, "pgd eps must be finite and at least 0"),
        (PGD, {"restarts": 0, "random_start": True}, "pgd restarts must be finite and at least 1, got 0"),
        (PGDL2, {"steps": 0}, "pgd-l2 steps must be finite and at least 1, got 0"),
        (GNM, {"steps": 0}, "gnm steps must be finite and at least 1, got 0"),
        (GNM, {"norm": "3"}, "gnm norm must be one of inf, 2, 1, got '3'"),
        (LoraPGD, {"steps": -1}, "lora-pgd steps must be finite and at least 1, got -1"),
        (FGSM, {"eps": float("inf")}, "fgsm eps must be finite and at least 0"),
    ],
)
def test_attacks_with_impossible_settings_cannot_be_made(kind, settings, message):
    with pytest.raises(UsageError, match=re.escape(message)):
        kind(**settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"eps": float("nan")}, "eps must be finite and at least 0, got nan"),
        ({"eps": -0.1}, "eps must be finite and at least 0, got -0.1"),
        ({"norm": "nan"}, "unknown norm 'nan': choose one of inf, 2, 1"),
        ({"norm": "3"}, "unknown norm '3'"),
        ({"clip": (1.0, 0.0)}, "the box of the pixels"),
    ],
)
def test_the_verifier_refuses_a_budget_a_norm_or_a_box_that_means_nothing(settings, message):
    x = np.full((1, 2), 0.5)
    with pytest.raises(UsageError, match=message):
        verify(x, x, **{"eps": 0.1} | settings)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_the_verifier_refuses_clean_examples_that_are_not_finite_and_other_shapes(value):
    """The distance from nan is nan, which is above no budget."""
    x = np.array([[0.5, value], [0.5, 0.5]])
    with pytest.raises(UsageError, match="1 clean examples are not finite"):
        verify(x, np.full((2, 2), 0.5), eps=0.1)
    with pytest.raises(UsageError, match="expected two batches of one shape"):
        verify(np.full((1, 2), 0.5), np.full((1, 3), 0.5), eps=0.1)


@pytest.mark.parametrize("norm", ["inf", "2", "1"])
def test_the_verifier_works_where_the_examples_are(be, rng, norm):
    x, eta = rng.random((3, 4)), rng.normal(size=(3, 4))
    moved = np.linalg.norm(eta, ord=float(norm), axis=1)
    ours, theirs = be.array(x), be.array(x + eta)
    assert_allclose(be.host(distance(ours, theirs, norm)), moved, rtol=be.tolerance)
    verify(ours, theirs, eps=float(moved.max()) + 1e-4, norm=norm)
    with pytest.raises(NumericalError, match="1 adversarial examples left"):
        verify(ours, theirs, eps=float(moved.max()) - 1e-4, norm=norm)


# ---- backends ------------------------------------------------------------------------------------------------------


def test_attacks_run_on_every_backend(be, rng):
    x, target = rng.uniform(size=(4, 5)), rng.normal(size=(4, 5))
    here = be.array(target)

    def of(at, target):
        xp = namespace(at)
        return xp.sum(at, axis=-1)[:, None] - xp.zeros_like(at)[:, :2], xp.stack([at - target, target - at], axis=1)

    def attacks(at, target):
        yield fgsm(quadratic(target), at, eps=0.1)
        yield pgd(quadratic(target), at, eps=0.1, step_size=0.02, steps=9, clip=(0.0, 1.0))
        start = np.random.default_rng(0)
        yield pgd_from_random(quadratic(target), at, start, eps=0.1, step_size=0.02, steps=2)
        for norm in DUAL:
            yield gnm(lambda at: of(at, target), at, eps=0.1, norm=norm, clip=(0.0, 1.0))

    for result, expected in zip(attacks(be.array(x), here), attacks(x, target), strict=True):
        assert str(be.host(result).dtype) == be.dtype
        assert_allclose(be.host(result), expected, rtol=be.tolerance, atol=be.tolerance)


def test_clipped_pgd_in_the_l2_ball_moves_along_the_gradient_and_stops_at_the_edge_of_the_box():
    """One step of the whole budget along g = (3, 4): by 0.3 and 0.4, of which the second pixel has 0.1 left."""
    x = np.array([[0.5, 0.9], [0.2, 0.1]])
    gradient = np.array([[3.0, 4.0], [-3.0, 4.0]])
    x_adv = pgd_l2(lambda x: gradient, x, eps=0.5, step_size=0.5, steps=1, clip=(0.0, 1.0))
    assert_allclose(x_adv, [[0.8, 1.0], [0.0, 0.5]])
    again = pgd_l2(lambda x: gradient, x, eps=0.5, step_size=0.25, steps=6, clip=(0.0, 1.0))
    assert (np.sign(again - x) == np.sign(gradient)).all()
    assert again[0, 1] == 1.0


def test_random_points_are_uniform_in_the_ball():
    """The mean, the variance and the share of the inner half of 20,000 draws, each within five standard errors."""
    x = np.full((200, 100), 0.5)
    eta = random_point(np.random.default_rng(1), x, 0.1, bounds(x, 0.1)) - x
    assert abs(eta.mean()) < 5 * 0.1 / np.sqrt(3 * eta.size)
    assert_allclose((eta**2).mean(), 0.1**2 / 3, rtol=5 * np.sqrt(4 / 5 / eta.size))
    assert abs((np.abs(eta) < 0.05).mean() - 0.5) < 5 * 0.5 / np.sqrt(eta.size)


def test_a_zero_gradient_moves_nothing_on_any_backend(be):
    """Where the sign has no faster twin, too."""
    x, gradient = np.array([[0.2, 0.4, 0.6]]), np.array([[0.0, 2.0, -0.0]])
    moved = fgsm(lambda x: be.array(gradient), be.array(x), eps=0.1)
    assert_allclose(be.host(moved), [[0.2, 0.5, 0.6]], rtol=1e-6)
    assert_array_equal(be.host(moved)[0, ::2], be.host(be.array(x))[0, ::2])


def test_the_length_of_a_step_follows_the_budget():
    assert PGD(eps=0.3).step_size == pytest.approx(0.03)
    assert PGDL2(eps=0.25, steps=9).step_size == pytest.approx(0.05)
