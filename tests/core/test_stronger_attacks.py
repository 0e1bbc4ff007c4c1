"""APGD, Square and the baselines: known optima, their schedules and draws, their balls, and every path of a net."""

import re
from itertools import pairwise

import numpy as np
import pytest
from backends import NUMPY
from hypothesis import given
from numpy.testing import assert_allclose, assert_array_equal
from strategies import affine_inputs, budgets, linear_classifiers, seeds

from refimpl import FCNN, LabelledImages, UsageError, fooling
from refimpl.attacks import (
    APGD,
    FGSM,
    FMN,
    PGD,
    DeepFool,
    Ensemble,
    Noise,
    RandomSigns,
    Square,
    Universal,
    apgd,
    noise,
    random_signs,
    verify,
)
from refimpl.attacks.apgd import ascent, checkpoints
from refimpl.attacks.losses import Point
from refimpl.attacks.norm_ball import InfBall, ball
from refimpl.attacks.restarts import one_by_one
from refimpl.attacks.square import draw, side, square
from refimpl.fast import accelerate
from refimpl.networks import CNN, Gradients

CLIP = (0.0, 1.0)
SMALL = [
    Noise(eps=0.3, restarts=2),
    Noise(norm="2", eps=1.0, clip=CLIP),
    RandomSigns(eps=0.3, restarts=2, clip=CLIP),
    APGD(steps=6, restarts=2),
    APGD(steps=5, norm="2", eps=0.5, clip=CLIP),
    APGD(steps=5, loss="dlr", clip=CLIP),
    APGD(steps=3, loss="dlr", targeted=True, classes=3),
    APGD(steps=3, targeted=True, classes=2, restarts=2, norm="2", clip=CLIP),
    Square(queries=9, eps=0.2, restarts=2, clip=CLIP),
    DeepFool(steps=4),
    DeepFool(steps=4, norm="2", clip=CLIP, eps=0.5),
    FMN(steps=5),
    FMN(steps=5, norm="2", clip=CLIP),
    Universal(steps=3),
    Universal(steps=3, norm="2", clip=CLIP),
    Ensemble(steps=3, queries=4, eps=0.2, clip=CLIP),
    Ensemble(steps=3, norm="2", eps=0.5),
    FGSM(target_class=2),
    PGD(target_class=0, steps=3, random_start=True),
]
NETS = {"fcnn": (FCNN((16, 8, 5)), 16), "cnn": (CNN(filters=(2, 3), hidden_units=5, side=12), 144)}


def concave(value, gradient):
    """A loss that no example is fooled by."""
    return lambda x: Point(value(x), gradient(x), np.zeros(len(x), bool))


# ---- on every net and every path -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("attack", SMALL, ids=str)
def test_every_path_gives_the_same_examples_inside_the_ball(be, name, attack, rng):
    net, n = NETS[name]
    x, y = rng.uniform(size=(9, n)).astype(be.dtype), rng.integers(0, 5, 9)
    params = net.init(be.backend, 1, be.dtype)
    found = be.host(attack.perturb(Gradients(net, params), be.array(x), be.backend.asarray(y, "int64")))
    verify(x, found, eps=attack.eps, norm=attack.ball, clip=attack.clip)
    assert found.dtype == be.dtype
    host = {key: be.host(p) for key, p in params.items()}
    fast = attack.perturb(accelerate(net).gradients(host), x, y)
    verify(x, fast, eps=attack.eps, norm=attack.ball, clip=attack.clip)
    if be.dtype == "float64":
        assert_allclose(fast, found, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("attack", SMALL, ids=str)
def test_chunks_change_no_draw(attack, rng):
    net = FCNN((16, 12, 10))
    params = net.init(NUMPY, seed=2, dtype="float64")
    images = rng.integers(0, 256, (20, 4, 4), np.uint8)
    labels = net.forward(params, images.reshape(20, 16) / 255)[0].argmax(axis=-1)
    small, large = (
        fooling(net, params, LabelledImages(images, labels, NUMPY, "float64", chunk), [attack])[0] for chunk in (7, 20)
    )
    assert_allclose(small.x_adv, large.x_adv, rtol=1e-9, atol=1e-9)


def test_training_steps_have_starts_of_their_own():
    for attack in (one for one in SMALL if one.starts()):
        first, again, other = ([rng.random() for rng in attack.starts(step)] for step in (1, 1, 2))
        assert first == again
        assert not set(first) & set(other)
        assert len(set(first)) == len(first) > 0


# ---- APGD ----------------------------------------------------------------------------------------------------------


def test_the_checkpoints_are_the_papers():
    """Croce and Hein 2020, Section 3.1, for 100 iterations."""
    assert checkpoints(100) == [22, 41, 57, 70, 80, 87, 93, 99]
    assert checkpoints(10)[:3] == [3, 5, 6]


@given(linear_classifiers(), budgets)
def test_apgd_finds_the_best_point_for_a_linear_loss(case, eps):
    A, x = case
    w = A[0]
    loss = concave(lambda at: at @ w, lambda at: np.broadcast_to(w, at.shape))
    for norm, dual in (("inf", 1), ("2", 2)):
        x_adv = apgd(loss, x, eps=eps, steps=4, norm=norm)
        verify(x, x_adv, eps=eps, norm=norm)
        assert_allclose(x_adv @ w, x @ w + eps * np.linalg.norm(w, ord=dual), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("norm", ["inf", "2"])
def test_apgd_halves_its_steps_where_pgd_would_jump_to_and_fro(norm):
    """The optimum is inside the ball: a fixed step stays as far from it as it is long, halved ones close in."""
    best = np.array([[0.3, -0.2, 0.1]])
    loss = concave(lambda x: -((x - best) ** 2).sum(axis=-1), lambda x: best - x)
    x_adv = apgd(loss, np.zeros((1, 3)), eps=1.0, steps=100, norm=norm)
    assert np.abs(x_adv - best).max() < 0.02


def test_the_second_step_has_momentum_and_the_first_has_none():
    moves = []

    def loss(x):
        moves.append(x.copy())
        return Point(x.sum(axis=-1), np.ones_like(x) if len(moves) == 1 else -np.ones_like(x), np.zeros(1, bool))

    apgd(loss, np.zeros((1, 1)), eps=1.0, steps=2)
    assert_allclose(np.concatenate(moves)[:, 0], [0.0, 1.0, 0.75 * -1.0 + 0.25 * 2 * 1.0 - 0.25 * 0.0])


def test_of_all_points_the_one_of_greatest_loss_that_fools_or_else_the_first_that_fools():
    """Three examples along one path: the greatest loss fools the first, not the second, and nothing fools the third."""
    path = []

    def loss(x):
        path.append(x.copy())
        value = np.array([1.0, 5.0, 2.0, 3.0])[len(path) - 1] * np.ones(3)
        fooled = np.array([[0, 1, 0, 0], [0, 0, 1, 1], [0, 0, 0, 0]], bool)[:, len(path) - 1]
        return Point(value, np.array([[1.0], [0.5], [-2.0]]), fooled)

    found = apgd(loss, np.zeros((3, 1)), eps=1.0, steps=3)
    assert_array_equal(found, [path[1][0], path[2][1], path[1][2]])


def test_a_loss_may_keep_its_arrays(rng):
    """What a loss returns is not written to, though APGD keeps the best of it in place."""
    x, g = rng.uniform(size=(4, 3)), rng.normal(size=(4, 3))
    x.setflags(write=False)
    g.setflags(write=False)
    values = iter(rng.normal(size=(31, 4)))
    apgd(lambda at: Point(next(values), g, np.zeros(4, bool)), x, eps=0.1, steps=30)


def test_more_classes_and_restarts_never_fool_fewer(rng):
    net = FCNN((16, 12, 10))
    params = net.init(NUMPY, seed=2, dtype="float64")
    x = rng.uniform(size=(150, 16))
    target, y = Gradients(net, params), net.forward(params, x)[0].argmax(axis=-1)
    fooled = [
        target.least_margin(y)(APGD(eps=0.03, steps=3, loss="dlr", targeted=True, **more).perturb(target, x, y)) < 0
        for more in ({"classes": 1}, {"classes": 3}, {"classes": 9}, {"classes": 9, "restarts": 2})
    ]
    for fewer, more in pairwise(fooled):
        assert (fewer <= more).all()
    assert fooled[0].sum() < fooled[-1].sum()


def test_attempts_leave_alone_what_is_fooled_and_keep_the_smallest_margin():
    asked = []

    class Sum(Gradients):
        def least_margin(self, k):
            return lambda x: x.sum(axis=-1)

    def attempt(values):
        def tried(x, y):
            asked.append(y.tolist())
            return np.array([[values[i]] for i in y])

        return tried

    attempts = [attempt([1.0, -1.0, 2.0, 5.0]), attempt([-3.0, -9.0, 3.0, 4.0]), attempt([-9.0, -9.0, 1.0, 6.0])]
    best = one_by_one(Sum(FCNN(), {}), np.zeros((4, 1)), np.arange(4), attempts)
    assert asked == [[0, 1, 2, 3], [0, 2, 3], [2, 3]]
    assert_array_equal(best[:, 0], [-3.0, -1.0, 1.0, 4.0])


# ---- Square --------------------------------------------------------------------------------------------------------


def test_the_sides_of_the_squares_are_the_papers():
    """p = 0.8 halved after 10, 50, 200, 500, 1000, 2000, 4000, 6000 and 8000 of 10,000 queries (Section 5)."""
    sides = [side(query, 10_000, 0.8, (1, 28, 28)) for query in (1, 10, 11, 50, 51, 200, 201, 501, 1001, 4001, 8001)]
    areas = [0.8, 0.8, 0.4, 0.4, 0.2, 0.2, 0.1, 0.05, 0.025, 0.8 / 128, 0.8 / 512]
    assert sides == [max(1, round(np.sqrt(area * 784))) for area in areas]
    assert side(6, 5_000, 0.8, (1, 28, 28)) == sides[2]
    halvings = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)
    for query in range(1, 9_999):
        passed = sum(query * 10_000 // 9_999 > halving for halving in halvings)
        assert side(query, 9_999, 0.8, (1, 280, 280)) == round(280 * np.sqrt(0.8 / 2**passed))
    assert side(1, 10_000, 1.0, (1, 4, 9)) == 4


def test_square_lowers_a_margin_it_sees_values_of_alone(rng):
    """A linear margin: every pixel can be set right by itself, so that the search comes near the optimum."""
    w, x = rng.normal(size=64), rng.uniform(size=(5, 64))
    asked = []

    def margin(at, rows):
        asked.append(len(rows))
        assert set(np.round(np.unique(np.abs(at - x[rows])), 12)) == {0.1}
        return at @ w + 100

    draws = draw(np.random.default_rng(0), 5, (1, 8, 8), 600)
    x_adv = square(margin, x, draws, eps=0.1)
    assert asked == [5] * 600
    assert ((x_adv - x) @ w < -0.95 * 0.1 * np.abs(w).sum()).all()


def test_square_asks_no_more_once_an_example_is_fooled():
    asked = []

    def margin(at, rows):
        asked.append(rows.tolist())
        return np.where(rows < len(asked), -1.0, 1.0)

    x = np.zeros((3, 4))
    x_adv = square(margin, x, draw(np.random.default_rng(0), 3, (1, 2, 2), 10), eps=0.1)
    assert asked == [[0, 1, 2], [1, 2], [2]]
    assert_allclose(np.abs(x_adv), 0.1)


def test_squares_reach_every_pixel_and_begin_with_stripes():
    """The last row and column as often as others, which the authors' program leaves out."""
    states = []
    draws = draw(np.random.default_rng(1), 400, (2, 5, 6), 2)

    def margin(at, rows):
        states.append(at.reshape(-1, 2, 5, 6) > 0)
        return np.ones(len(rows))

    square(margin, np.zeros((400, 60)), draws, eps=1.0, p=1 / 30)
    stripes, trial = states
    assert (stripes == stripes[:, :, :1, :]).all()
    assert 0.4 < stripes.mean() < 0.6
    changed = (stripes != trial).mean(axis=(0, 1))
    assert_allclose(changed, 1 / 60, atol=0.02)
    assert (changed > 0).all()


@pytest.mark.parametrize("p", [0.0, 1.5, float("nan")])
def test_square_refuses_a_fraction_that_is_none(p):
    with pytest.raises(UsageError, match="fraction"):
        square(lambda at, rows: at, np.zeros((1, 4)), draw(np.random.default_rng(0), 1, (1, 2, 2), 1), eps=0.1, p=p)


def test_square_refuses_a_negative_budget():
    draws = draw(np.random.default_rng(0), 1, (1, 2, 2), 1)
    with pytest.raises(UsageError, match="eps must be"):
        square(lambda at, rows: at, np.zeros((1, 4)), draws, eps=-0.1)


# ---- baselines -----------------------------------------------------------------------------------------------------


def test_uniform_noise_is_uniform_in_either_ball():
    """Of the l2 ball in n dimensions a fraction r^n is within a radius r."""
    x = np.full((20_000, 3), 0.5)
    moved = noise(x, np.random.default_rng(0), eps=0.4, norm="2") - x
    radii = np.linalg.norm(moved, axis=-1) / 0.4
    for r in (0.3, 0.5, 0.7, 0.9):
        assert abs((radii < r).mean() - r**3) < 5 * 0.5 / np.sqrt(20_000)
    assert_allclose(moved.mean(axis=0), 0, atol=5 * 0.4 / np.sqrt(20_000))
    in_box = noise(x, np.random.default_rng(0), eps=0.4) - x
    assert np.abs(in_box).max() <= 0.4
    assert_allclose((in_box**2).mean(), 0.4**2 / 3, rtol=0.02)


@given(affine_inputs(), budgets, seeds)
def test_random_signs_are_corners(inputs, eps, seed):
    x = inputs[0]
    moved = random_signs(x, np.random.default_rng(seed), eps=eps) - x
    assert_allclose(np.abs(moved), eps, rtol=1e-9, atol=1e-12)


def test_half_of_the_random_signs_are_positive():
    moved = random_signs(np.zeros((100, 100)), np.random.default_rng(0), eps=0.1)
    assert abs((moved > 0).mean() - 0.5) < 5 * 0.5 / 100


# ---- refusals ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: APGD(steps=0), "apgd steps must be finite and at least 1, got 0"),
        (lambda: APGD(loss="mse"), "apgd loss must be one of ce, dlr, got 'mse'"),
        (lambda: APGD(norm="1"), "apgd norm must be one of inf, 2, got '1'"),
        (lambda: APGD(targeted=True, classes=0), "apgd classes must be finite and at least 1, got 0"),
        (lambda: Square(queries=0), "square queries must be finite and at least 1, got 0"),
        (lambda: Square(p=0.0), "square p must be finite and above 0 and at most 1, got 0.0"),
        (lambda: Noise(eps=-0.1), "noise eps must be finite and at least 0, got -0.1"),
        (lambda: ball(np.zeros((1, 2)), 0.1, "1"), "unknown norm '1': choose one of inf, 2"),
        (lambda: apgd(concave(np.sum, np.ones_like), np.zeros((1, 2), np.float16), eps=0.1), "float32 or float64"),
        (lambda: apgd(concave(np.sum, np.ones_like), np.zeros((1, 2)), eps=-0.1), "eps must be finite"),
        (lambda: apgd(concave(np.sum, np.ones_like), np.zeros((1, 2)), eps=0.1, steps=0), "at least one step"),
    ],
)
def test_what_makes_no_sense_is_refused(make, message):
    with pytest.raises(UsageError, match=re.escape(message)):
        make()


@pytest.mark.parametrize(("rising", "halved"), [(16, True), (17, False)])  # three quarters of 22 are 16.5
def test_apgd_halves_its_step_where_less_than_three_quarters_of_its_steps_raised_the_loss(rising, halved):
    sizes, first = [], checkpoints(100)[0]
    losses = iter([0.0, *range(1, rising + 1), *([0.5] * 100)])

    class Watched(InfBall):
        def step(self, at, gradient, size):
            sizes.append(float(size[0]))
            return super().step(at, gradient, size)

    def loss(x):
        return Point(np.array([float(next(losses))]), np.ones_like(x), np.array([False]))

    ascent(loss, np.zeros((1, 2)), Watched(np.zeros((1, 2)), 0.25), 100)
    assert first == 22
    assert sizes[: first + 1] == [0.5] * first + [0.25 if halved else 0.5]
