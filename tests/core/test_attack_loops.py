"""APGD, FMN, DeepFool and Square against loops over one example, written from the papers: every point they ask for."""

from fractions import Fraction
from math import ceil, cos, inf, pi

import numpy as np
import pytest
from backends import NUMPY
from numpy.testing import assert_allclose, assert_array_equal

from refimpl import FCNN
from refimpl.attacks import APGD, FMN, PGD, DeepFool, Ensemble, Square, apgd, deepfool, fmn, input_attacks
from refimpl.attacks.apgd import _with_momentum, checkpoints
from refimpl.attacks.fmn import _project
from refimpl.attacks.losses import Point
from refimpl.attacks.norm_ball import size
from refimpl.attacks.square import draw, side, square
from refimpl.layers.loss import LossAt
from refimpl.networks import Gradients

CLIP = (0.1, 0.9)
DUAL = {"inf": 1, "2": 2}
norms = pytest.mark.parametrize("norm", ["inf", "2"])
clips = pytest.mark.parametrize("clip", [None, CLIP])


class Curve:
    """A function of a row of pixels that bends: its values, gradients, and what was asked for."""

    def __init__(self, rng, n, functions=1, above=0.0):
        self.a, self.b, self.c = rng.normal(size=(3, functions, n))
        self.above, self.asked = above, []

    def at(self, x):
        """Values (batch, functions) and gradients (batch, functions, n)."""
        self.asked.append(x.copy())
        bent = 4 * x[:, None, :] + self.c
        values = self.above + (self.a * x[:, None, :] + self.b * np.sin(bent)).sum(axis=-1)
        return values, self.a + 4 * self.b * np.cos(bent)

    def point(self, x):
        value, gradient = self.at(x)
        return Point(value[:, 0], gradient[:, 0, :], value[:, 0] > 0)


# ---- APGD ----------------------------------------------------------------------------------------------------------


def fractions():
    """$p_0 = 0$, $p_1 = 0.22$ and $p_{j+1} = p_j + \\max(p_j - p_{j-1} - 0.03, 0.06)$, up to 1."""
    p = [Fraction(0), Fraction(22, 100)]
    while p[-1] <= 1:
        p.append(p[-1] + max(p[-1] - p[-2] - Fraction(3, 100), Fraction(6, 100)))
    return p[1:-1]


@pytest.mark.parametrize("steps", [1, 7, 20, 50, 100, 1000, 12_345])
def test_the_checkpoints_are_those_fractions_of_the_steps_rounded_up(steps):
    assert checkpoints(steps) == [ceil(p * steps) for p in fractions()]


def apgd_of_one_pixel(values, slopes, fooled, eps, steps):
    """The points asked for, from 0, and the one that is given back; losses and slopes in the order they are found."""
    marks, points, gradient, length = {ceil(p * steps) for p in fractions()}, [0.0], slopes[0], 2 * eps
    best, rises, last, halved, best_then = 0, 0, 0, True, values[0]  # the first checkpoint asks for rises alone
    x = before = 0.0
    for k in range(1, steps + 1):
        z = np.clip(x + length * np.sign(gradient), -eps, eps)
        before, x = x, z if k == 1 else np.clip(x + 0.75 * (z - x) + 0.25 * (x - before), -eps, eps)
        points.append(x)
        gradient = slopes[k]
        rises += values[k] > values[k - 1]
        best = k if values[k] > values[best] else best
        if k in marks:
            halved = 4 * rises < 3 * (k - last) or (not halved and values[best] == best_then)
            if halved:
                length, x, gradient = length / 2, points[best], slopes[best]
            rises, last, best_then = 0, k, values[best]
    fools = np.flatnonzero(fooled)
    return points, points[fools[0] if len(fools) and not fooled[best] else best]


@norms
@pytest.mark.parametrize("steps", [20, 33, 60])
def test_apgd_of_one_pixel_is_the_loop_whatever_the_losses(norm, steps):
    rng, n = np.random.default_rng(steps), 300
    walk = np.cumsum(rng.choice([-3, 0, 1, 1, 1], (steps + 1, n)), axis=0).astype(float)
    walk[0, ::3] += 100  # a start that is best for long
    walk = np.where(np.arange(n) % 4 == 1, np.minimum(walk, 5), walk)  # and greatest losses that stay
    slopes, fooled = rng.choice([-1.0, 1.0], (steps + 1, n)), rng.random((steps + 1, n)) < 0.03
    asked = []

    def loss(x):
        asked.append(x[:, 0].copy())
        k = len(asked) - 1
        return Point(walk[k], slopes[k][:, None], fooled[k])

    found = apgd(loss, np.zeros((n, 1)), eps=0.5, steps=steps, norm=norm)
    assert len(asked) == steps + 1
    for i in range(n):
        points, chosen = apgd_of_one_pixel(walk[:, i], slopes[:, i], fooled[:, i], 0.5, steps)
        assert_allclose(np.array(asked)[:, i], points, atol=1e-12)
        assert_allclose(found[i, 0], chosen, atol=1e-12)


def test_momentum_is_its_formula_on_every_backend(be, rng):
    moved, x, before = rng.normal(size=(3, 4, 5))
    expected = x + 0.75 * (moved - x) + 0.25 * (x - before)
    ours = be.host(_with_momentum(*map(be.array, (moved, x, before))))  # NumPy works in place
    assert_allclose(ours, expected, rtol=be.tolerance, atol=be.tolerance)


def test_a_targeted_attack_aims_at_the_likeliest_classes_in_turn_again_with_each_restart():
    logits, aims = np.array([[3.0, 0.0, 2.0, 1.0]]), []

    class Fixed(Gradients):
        def logits(self, x):
            return np.repeat(logits, len(x), axis=0)

        def value_and_grad(self, loss, y, *others):
            aims.append([aim.tolist() for aim in others])
            return lambda x: LossAt(np.zeros(len(x)), np.ones_like(x), self.logits(x))

        def least_margin(self, k):
            return lambda x: np.ones(len(x))

    target, x, y = Fixed(FCNN(), {}), np.full((1, 2), 0.5), np.zeros(1, int)
    for settings, expected in (
        ({"targeted": True, "classes": 2, "restarts": 2}, [[[2]], [[3]], [[2]], [[3]]]),
        ({"targeted": True}, [[[aim]] for aim in (2, 3, 1, 2, 3, 1, 2, 3, 1)]),
        ({"targeted": False, "classes": 2, "restarts": 3}, [[], [], []]),
    ):
        aims.clear()
        APGD(steps=1, **settings).perturb(target, x, y)
        assert aims == expected


# ---- FMN -----------------------------------------------------------------------------------------------------------


def fmn_of_one_example(curve, x, steps, step_size, norm, clip):
    """The points asked for, and the length of the shortest perturbation that fooled, 0 where none did."""
    lower, upper = (-inf, inf) if clip is None else clip
    largest = np.linalg.norm(np.maximum(x - lower, upper - x), ord=float(norm))
    delta, points, smallest, found, radius = np.zeros_like(x), [], largest, False, 0.0
    for k in range(steps):
        share = (1 + cos(pi * k / steps)) / 2
        gamma, alpha = 0.001 + share * 0.049, step_size * (0.01 + share * 0.99)
        (value,), gradient = (one[0] for one in curve.at((x + delta)[None]))
        points.append(x + delta)
        moved, gradient = np.linalg.norm(delta, ord=float(norm)), gradient[0]
        if value > 0:
            found, smallest = True, min(moved, smallest)
            radius = min(radius * (1 - gamma), smallest)
        elif found:
            radius = radius * (1 + gamma)
        else:
            radius = moved + (1 + 1e-6) * abs(value) / np.linalg.norm(gradient, ord=DUAL[norm])
        radius = min(radius, largest)
        delta = delta + alpha * gradient / np.linalg.norm(gradient)
        shorter = min(1.0, radius / np.linalg.norm(delta))
        delta = np.clip(delta, -radius, radius) if norm == "inf" else shorter * delta
        delta = np.clip(x + delta, lower, upper) - x
    return np.array(points), smallest if found else 0.0


@norms
@clips
@pytest.mark.parametrize("step_size", [0.05, 1.0])
def test_fmn_is_the_loop_over_each_example(norm, clip, step_size):
    rng = np.random.default_rng(3)
    curve, x = Curve(rng, 4), rng.uniform(0.1, 0.9, (40, 4))
    found = fmn(curve.point, x, steps=12, step_size=step_size, norm=norm, clip=clip)
    asked, starts = np.array(curve.asked), curve.at(x)[0][:, 0]
    assert len(asked) == 12
    lengths = []
    for i in range(len(x)):
        points, smallest = fmn_of_one_example(curve, x[i], 12, step_size, norm, clip)
        assert_allclose(asked[:, i], points, rtol=1e-9, atol=1e-9)
        assert_allclose(size(found[i : i + 1] - x[i], norm), smallest, rtol=1e-7, atol=1e-9)
        lengths.append(smallest)
    fooled = curve.at(found)[0][:, 0] > 0
    assert_array_equal(fooled, (np.array(lengths) > 0) | (starts > 0))
    assert fooled.any()


def test_steps_of_fmn_are_of_length_one_unless_told(rng):
    curve, x = Curve(rng, 4), rng.uniform(size=(5, 4))
    assert_array_equal(fmn(curve.point, x, steps=3), fmn(curve.point, x, steps=3, step_size=1.0))
    assert_allclose(curve.asked[1], curve.asked[4])


def test_fmn_counts_the_farthest_point_of_the_box():
    """Fooled at 1 alone, as far from 0 as pixels go."""

    def loss(x):
        return Point(x[:, 0] - 1.0, np.ones_like(x), x[:, 0] >= 1)

    assert fmn(loss, np.zeros((1, 1)), clip=(0.0, 1.0), steps=3, norm="inf") == 1.0


def test_fmn_stays_where_the_gradient_vanishes():
    asked = []

    def loss(x):
        asked.append(x.item())
        return Point(np.array([-0.3]), np.full_like(x, 1.0 if len(asked) == 1 else 0.0), np.array([False]))

    fmn(loss, np.zeros((1, 1)), steps=4)
    assert_allclose(asked, [0.0, 0.3, 0.3, 0.3], rtol=1e-5)


@pytest.mark.parametrize("length", [1e-13, 1.5e-12, 1e-6, 1.0, 1e6])
def test_a_projection_never_leaves_its_ball_however_small(length):
    delta, radius = length * np.array([[0.6, -0.8]]), 0.6 * length
    assert 0 < size(_project(delta, np.array([[radius]]), "2"), "2") <= radius * (1 + 1e-12)
    assert_array_equal(_project(delta, np.array([[2 * length]]), "inf"), delta)


def test_a_step_of_no_length_goes_nowhere_and_one_that_is_not_said_is_of_length_one(rng):
    net = FCNN((6, 5, 3))
    target, x = Gradients(net, net.init(NUMPY, dtype="float64")), rng.uniform(size=(20, 6))
    y = target.logits(x).argmax(axis=-1)
    assert_array_equal(FMN(step_size=0.0, eps=9.0, steps=5).perturb(target, x, y), x)
    assert FMN().step_size == 1.0
    assert (FMN(eps=9.0, steps=5).perturb(target, x, y) != x).any()


def test_what_kinds_of_attacks_there_are():
    kinds = input_attacks()
    assert {name for name, kind in kinds.items() if kind.smallest} == {"deepfool", "fmn"}
    assert {name for name, kind in kinds.items() if kind.prepares} == {"universal"}
    assert {name for name, kind in kinds.items() if kind.follows_surrogate} == {"lora-pgd"}
    assert {name for name, kind in kinds.items() if kind().in_stacks} == {"fgsm", "pgd"}
    assert not PGD(random_start=True).in_stacks


# ---- DeepFool ------------------------------------------------------------------------------------------------------


def deepfool_of_one_example(curve, x, steps, overshoot, norm, clip):
    total, x_adv = np.zeros_like(x), x
    for _ in range(steps):
        (M,), (dM,) = curve.at(x_adv[None])
        if M.min() < 0:
            break
        lengths = np.linalg.norm(dM, ord=DUAL[norm], axis=-1)
        nearest = (np.abs(M) / lengths).argmin()
        along = np.sign(dM[nearest]) if norm == "inf" else dM[nearest] / lengths[nearest]
        total = total - (np.abs(M[nearest]) / lengths[nearest] + 1e-4) * along
        x_adv = x + (1 + overshoot) * total
        x_adv = x_adv if clip is None else np.clip(x_adv, *clip)
    return x_adv


@norms
@clips
@pytest.mark.parametrize("steps", [1, 2, 5])
def test_deepfool_is_the_loop_over_each_example(norm, clip, steps):
    rng = np.random.default_rng(5)
    curve, x = Curve(rng, 4, functions=3, above=3.0), rng.uniform(0.1, 0.9, (40, 4))
    found = deepfool(lambda at, rows: curve.at(at), x, steps=steps, overshoot=0.1, norm=norm, clip=clip)
    expected = [deepfool_of_one_example(curve, one, steps, 0.1, norm, clip) for one in x]
    assert_allclose(found, expected, rtol=1e-6, atol=1e-6)
    assert (found != x).any(axis=-1).sum() > 3


# ---- Square --------------------------------------------------------------------------------------------------------


def square_of_one_example(margin, x, draws, i, eps, p, clip):
    """The points asked for, and the best of them."""
    (channels, _, width), (queries, _) = draws.stripes.shape[1:], draws.place.shape[1:]
    height = len(x) // (channels * width)
    lower, upper = (corner if clip is None else np.clip(corner, *clip) for corner in (x - eps, x + eps))
    best, least, points = None, inf, []
    for query in range(queries):
        if query == 0:
            trial = np.broadcast_to(draws.stripes[i], (channels, height, width)).copy()
        else:
            trial, s = best.copy(), side(query, queries, p, (channels, height, width))
            top, left = (int(draws.place[i, query, axis] * (n - s + 1)) for axis, n in enumerate((height, width)))
            trial[:, top : top + s, left : left + s] = draws.signs[i, query][:, None, None]
        points.append(np.where(trial.ravel(), upper, lower))
        value = margin(points[-1])
        if value < least:
            best, least = trial, value
        if least < 0:
            break
    return points, np.where(best.ravel(), upper, lower)


@clips
@pytest.mark.parametrize("shape", [(2, 5, 4), (1, 3, 6)])
def test_square_is_the_loop_over_each_example(clip, shape):
    rng, n = np.random.default_rng(7), int(np.prod(shape))
    x, w, asked = rng.uniform(0.1, 0.9, (12, n)), rng.integers(-2, 3, n), [[] for _ in range(12)]

    def one(at, i):
        return float(np.round((at > x[i]) @ w) + 3 * i)  # whole numbers: many equal one another, and some are 0

    def margin(at, rows):
        for point, i in zip(at, rows, strict=True):
            asked[i].append(point)
        return np.array([one(point, i) for point, i in zip(at, rows, strict=True)])

    draws = draw(np.random.default_rng(0), 12, shape, 40)
    found = square(margin, x, draws, eps=0.2, p=0.4, clip=clip)
    for i in range(12):
        points, best = square_of_one_example(lambda at, i=i: one(at, i), x[i], draws, i, 0.2, 0.4, clip)
        assert_allclose(asked[i], points, atol=1e-12)
        assert_allclose(found[i], best, atol=1e-12)
    lengths = [len(points) for points in asked]
    assert min(lengths) < 40 == max(lengths)


def test_what_square_draws_is_uniform():
    draws = draw(np.random.default_rng(0), 50, (3, 4, 5), 60)
    assert (draws.stripes.shape, draws.place.shape, draws.signs.shape) == ((50, 3, 1, 5), (50, 60, 2), (50, 60, 3))
    for part in draws:
        assert abs(part.mean() - 0.5) < 5 * 0.5 / part.size**0.5
    assert draws.place.min() < 0.01 < 0.99 < draws.place.max() < 1
    few = draw(np.random.default_rng(0), 20, (3, 4, 5), 60)
    assert all((part[:20] == fewer).all() for part, fewer in zip(draws, few, strict=True))


def test_a_margin_of_zero_fools_nobody():
    asked = []
    square(lambda at, rows: asked.append(rows.tolist()) or np.zeros(1), np.zeros((1, 4)),
           draw(np.random.default_rng(0), 1, (1, 2, 2), 3), eps=0.1)  # fmt: skip
    assert asked == [[0]] * 3


def test_the_sides_of_squares_fit_the_image_and_are_a_pixel_at_least():
    assert side(1, 100, 0.001, (1, 20, 20)) == 1
    assert side(0, 100, 1.0, (3, 9, 4)) == side(0, 100, 1.0, (3, 4, 9)) == 4
    assert (side(0, 100, 0.25, (2, 8, 8)), side(0, 100, 0.25, (1, 4, 9)), side(0, 100, 0.25, (1, 9, 4))) == (4, 3, 3)


# ---- starts --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("attack", "starts"),
    [
        (APGD(restarts=3), 3),
        (APGD(restarts=3, targeted=True, classes=4), 12),
        (APGD(targeted=True), 9),
        (Square(restarts=4), 4),
        (Ensemble(), 1 + 9 + 0 + 1),
        (Ensemble(norm="2"), 1 + 9 + 0),
        (FMN(), 0),
        (DeepFool(), 0),
    ],
    ids=str,
)
def test_each_attempt_has_a_start_of_its_own(attack, starts):
    drawn = [rng.random() for rng in attack.starts()]
    assert len(set(drawn)) == len(drawn) == starts
