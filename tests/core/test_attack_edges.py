"""Attacks and their verifier at the edges: what is refused, ties, zeros, boundaries, batches of unlike examples."""

import inspect
import re

import numpy as np
import pytest
from backends import NUMPY
from numpy.testing import assert_allclose, assert_array_equal

from refimpl import FCNN, NumericalError, UsageError
from refimpl.attacks import (
    APGD,
    FGSM,
    FMN,
    GNM,
    PGD,
    PGDL2,
    DeepFool,
    InputWeight,
    LoraPGD,
    Noise,
    RandomSigns,
    Universal,
    apgd,
    deepfool,
    fmn,
    gnm,
    lora_pgd,
    noise,
    pgd_l2,
    random_signs,
    verify,
)
from refimpl.attacks.ball import project, steps_inside
from refimpl.attacks.lora_pgd import factor_gradients
from refimpl.attacks.losses import cross_entropy, dlr, margin_loss, other_classes, targeted_dlr
from refimpl.attacks.low_rank import LowRankPerturbation, number_of, random_factors, truncated_factors
from refimpl.attacks.norm_ball import EuclideanBall, within
from refimpl.attacks.restarts import one_by_one
from refimpl.attacks.square import draw, square
from refimpl.attacks.verify import distance, verify_weights
from refimpl.layers.loss import LossAt
from refimpl.networks import Gradients

RNG = np.random.default_rng
CLIP = (0.0, 1.0)
SHAPE = (2, 4, 5)


class Known(Gradients):
    """A net of which loss, gradient and margin are functions of x that the test says."""

    def __init__(self, value, gradient, margin=None):
        for name, function in (("value", value), ("gradient", gradient), ("margin", margin)):
            object.__setattr__(self, name, function)

    def value_and_grad(self, loss, *labels):
        return lambda x: LossAt(self.value(x), self.gradient(x), np.zeros((len(x), 2)))

    def loss(self, y):
        return self.gradient

    def least_margin(self, k):
        return self.margin


def steep(x):
    return np.ones_like(x)


# ---- refusals ------------------------------------------------------------------------------------------------------

PLAIN = {
    "apgd": lambda x, **clip: inspect.unwrap(apgd)(None, x, eps=0.1, **clip),
    "fmn": lambda x, **clip: inspect.unwrap(fmn)(None, x, **clip),
    "deepfool": lambda x, **clip: inspect.unwrap(deepfool)(None, x, **clip),
    "noise": lambda x, **clip: inspect.unwrap(noise)(x, RNG(0), eps=0.1, **clip),
    "random signs": lambda x, **clip: inspect.unwrap(random_signs)(x, RNG(0), eps=0.1, **clip),
    "square": lambda x, **clip: inspect.unwrap(square)(None, x, draw(RNG(0), 1, (1, 2, 2), 1), eps=0.1, **clip),
}


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("name", PLAIN)
def test_half_precision_single_examples_and_boxes_without_pixels_are_refused(name):
    for x, clip, message in (
        (np.zeros((1, 4), np.float16), {}, "attacks work in float32 or float64, got inputs of float16"),
        (np.zeros((1, 4), int), {}, "attacks work in float32 or float64, got inputs of int64"),
        (np.zeros(4), {}, "expected a batch of examples"),
        (np.zeros((1, 4)), {"clip": (1.0, 0.0)}, "the box of the pixels must be (least, largest)"),
    ):
        with pytest.raises(UsageError, match=re.escape(message)):
            PLAIN[name](x, **clip)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    "attack", [APGD(), Universal(), Noise(), RandomSigns(), FMN(), DeepFool(), InputWeight()], ids=lambda one: one.name
)
def test_attacks_with_their_settings_refuse_half_precision(attack):
    net, x, y = FCNN((4, 3, 2)), np.zeros((1, 4), np.float16), np.zeros(1, int)
    params = {name: p.astype(np.float16) for name, p in net.init(NUMPY).items()}
    on_weights = isinstance(attack, InputWeight)
    with pytest.raises(UsageError, match="attacks work in float32 or float64"):
        attack.perturb_all(net.gradients, params, x, y) if on_weights else attack.perturb(net.gradients(params), x, y)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: fmn(None, np.zeros((1, 2)), step_size=-1.0), "the step size must be finite and at least 0, got -1.0"),
        (lambda: deepfool(None, np.zeros((1, 2)), steps=0), "an attack needs at least one step, got 0"),
        (lambda: lora_pgd(steep, np.zeros((1, 4)), random_factors(RNG(0), np.zeros((1, 4)), (1, 2, 2), 1), eps=0.1,
                          steps=0), "an attack needs at least one step, got 0"),
        (lambda: gnm(None, np.zeros((1, 2)), eps=0.1, steps=0), "an attack needs at least one step, got 0"),
        (lambda: pgd_l2(None, np.zeros((1, 2)), eps=0.1, step_size=0.1, steps=0), "at least one step, got 0"),
        (lambda: truncated_factors(np.zeros((1, 39)), SHAPE, 1), "images of shape (2, 4, 5) do not have 39 pixels"),
        (lambda: truncated_factors(np.zeros((1, 40)), SHAPE, 5), "the rank must be from 1 to 4"),
        (lambda: number_of(0, SHAPE), "the rank must be from 1 to 4, the image's full rank, got 0"),
        (lambda: PGD(restarts=2), "more than one restart needs a random start"),
        (lambda: PGDL2(eps=-1.0), "pgd-l2 eps must be finite and at least 0"),
        (lambda: FMN(eps=-1.0), "fmn eps must be finite and at least 0"),
        (lambda: inspect.unwrap(distance)(np.zeros(4), np.zeros(4), "2"), "expected two batches of one shape"),
    ],
)  # fmt: skip
@pytest.mark.usefixtures("unchecked")
def test_what_makes_no_sense_is_refused(make, message):
    with pytest.raises(UsageError, match=re.escape(message)):
        make()


@pytest.mark.parametrize(("function", "kind", "steps"), [(gnm, GNM, 5), (lora_pgd, LoraPGD, 10)])
def test_functions_take_as_many_steps_as_the_settings_say(function, kind, steps):
    assert inspect.signature(inspect.unwrap(function)).parameters["steps"].default == kind().steps == steps


def test_the_full_rank_and_rank_one_are_ranks():
    assert [number_of(rank, SHAPE) for rank in (1, 4, 1.0, 0.25, 0.6)] == [1, 4, 4, 1, 2]


@pytest.mark.parametrize("attack", [PGD(step_size=0.0), PGDL2(step_size=0.0)], ids=str)
def test_steps_of_no_length_lead_nowhere(attack):
    x = np.full((2, 3), 0.5)
    assert_array_equal(attack.perturb(Known(None, steep), x, np.zeros(2, int)), x)


def test_a_targeted_step_is_against_the_gradient_of_its_class():
    x = np.full((2, 3), 0.5)
    for aim, moved in ((None, 0.6), (0, 0.4)):
        assert_allclose(FGSM(eps=0.1, target_class=aim).perturb(Known(None, steep), x, np.ones(2, int)), moved)


# ---- losses --------------------------------------------------------------------------------------------------------


def test_dlr_takes_the_least_number_of_classes_and_refuses_fewer_whatever_the_batch():
    z, y = np.array([[3.0, 1.0, 0.5, -1.0]]), np.array([0])
    assert_allclose(dlr(z[:, :3], y)[0], -(3 - 1) / (3 - 0.5))
    assert_allclose(targeted_dlr(z, y, np.array([1]))[0], -(3 - 1) / (3 - (0.5 - 1) / 2))
    many = np.zeros(9, int)
    with pytest.raises(UsageError, match="needs at least 3 classes, and there are 2"):
        dlr(np.zeros((9, 2)), many)
    with pytest.raises(UsageError, match="needs at least 4 classes, and there are 3"):
        targeted_dlr(np.zeros((9, 3)), many, many)


def test_where_all_logits_are_equal_dlr_leads_from_the_label_as_far_as_the_number_in_the_denominator_says():
    value, gradient = dlr(np.zeros((1, 4)), np.array([0]))
    assert value == 0
    assert_allclose(1e-12 * gradient, [[-1, 0, 0, 1]], rtol=1e-9)


def test_the_cross_entropy_of_large_logits_is_their_difference():
    z = np.array([[2000.0, 1000.0, 0.0], [-2000.0, -1000.0, 0.0]])
    value, gradient = cross_entropy(z, np.array([1, 0]))
    assert_array_equal(value, [1000, 2000])
    assert_allclose(gradient, [[1, -1, 0], [-1, 0, 1]], atol=1e-300)


def test_the_gradient_of_a_confident_example_keeps_its_digits():
    z = np.array([[20.0, 0.0, 1.0]])
    exact = -(1 + np.e) / (np.exp(20) + 1 + np.e)
    assert_allclose(cross_entropy(z.astype(np.float32), np.array([0]))[1][0, 0], exact, rtol=1e-6)


def test_the_margin_loss_is_by_how_much_the_best_other_class_leads():
    z = np.array([[0.5, 2.0, 0.25], [4.0, -1.0, 1.5]])
    value, gradient = margin_loss(z, np.array([0, 0]))
    assert_array_equal(value, [1.5, -2.5])
    assert_array_equal(gradient, [[-1, 1, 0], [-1, 0, 1]])
    assert_array_equal(other_classes(z, np.array([1, 1])), [[0, 2], [0, 2]])


# ---- restarts ------------------------------------------------------------------------------------------------------


def test_an_example_is_tried_again_until_its_margin_is_below_zero_and_of_equals_the_first_is_kept():
    asked, margins = [], [[0.0, 0.5, -0.1, 2.0], [0.0, -1.0, 9.0, 2.0], [-1.0, 9.0, 9.0, 1.0]]

    def attempt(number):
        def tried(x, y):
            asked.append(y.tolist())
            return np.array([[margins[number][i], number] for i in y])

        return tried

    target = Known(None, None, lambda x: x[:, 0])
    best = one_by_one(target, np.zeros((4, 2)), np.arange(4), [attempt(number) for number in range(3)])
    assert asked == [[0, 1, 2, 3], [0, 1, 3], [0, 3]]
    assert_array_equal(best, [[-1, 2], [-1, 1], [-0.1, 0], [1, 2]])
    best = one_by_one(target, np.zeros((4, 2)), np.arange(4), [attempt(number) for number in range(2)])
    assert_array_equal(best[:, 1], [0, 1, 0, 0])


# ---- the balls -----------------------------------------------------------------------------------------------------


def test_a_projection_takes_the_place_of_its_argument_only_where_it_may():
    x, corners = np.array([[0.0, 1.0]]), (np.full((1, 2), 0.25), np.full((1, 2), 0.5))
    inside = project(x, *corners)
    assert_array_equal(x, [[0.0, 1.0]])
    assert project(x, *corners, overwrite=True) is x
    assert_array_equal(x, inside)


@pytest.mark.parametrize("norm", ["inf", "2"])
def test_a_perturbation_of_the_length_eps_counts(norm):
    x = np.zeros((2, 2))
    moved = np.array([[0.25, 0.0], [0.3, 0.0]])
    assert_array_equal(within(x, moved, 0.25, norm), [[0.25, 0.0], [0.0, 0.0]])


@pytest.mark.parametrize(
    ("start", "lower", "upper", "length", "steps"),
    [
        ([0.5], [0.25], [0.75], 0.25 - 3e-16, 0),  # the room but for less than the rounding, 2 epsilon of 0.75
        ([0.5], [0.25], [0.75], 0.25 - 7e-16, 1),
        ([0.4, 0.0], [-0.5, -1.0], [0.5, 1.0], 0.1 - 1e-15, 1),
        ([0.4, 0.0], [-0.5, -64.0], [0.5, 1.0], 0.1 - 1e-15, 0),  # where the numbers are larger, so is the rounding
        ([0.4, 0.0], [-64.0, -1.0], [0.5, 1.0], 0.1 - 1e-15, 0),
        ([0.4, 0.0], [-0.5, -1.0], [0.5, 64.0], 0.1 - 1e-15, 0),
        ([0.0, -0.4], [-1.0, -0.5], [64.0, 0.5], 0.1 - 1e-15, 0),
        ([0.5], [0.5 - 1.2e-16], [0.5 + 1.2e-16], 1e-18, 0),  # no room but rounding
    ],
)
def test_as_many_steps_stay_inside_as_no_rounding_leads_out(start, lower, upper, length, steps):
    assert steps_inside(np.array([start]), (np.array([lower]), np.array([upper])), length) == steps


@pytest.mark.parametrize("n", [1, 2, 9])
def test_noise_is_uniform_in_balls_of_any_dimension(n):
    """The mean square of the radius is n / (n + 2), its variance 4 n / ((n + 4) (n + 2)^2)."""
    moved = EuclideanBall(np.zeros((40_000, n)), 1.0).random(RNG(0))
    squares = (moved**2).sum(axis=-1)
    assert abs(squares.mean() - n / (n + 2)) < 5 * np.sqrt(4 * n / (n + 4) / (n + 2) ** 2 / 40_000)


# ---- the linear step of DeepFool, universal perturbations -----------------------------------------------------------


def test_deepfool_does_not_aim_at_a_class_whose_margin_has_no_gradient():
    def margins(at, rows):
        return np.array([[1.0, 2.0]]), np.array([[[0.0], [1.0]]])

    assert_allclose(deepfool(margins, np.zeros((1, 1)), steps=1, overshoot=0.0), -2.0001, rtol=1e-6)


@pytest.mark.parametrize("clip", [None, (0.2, 0.8)])
@pytest.mark.parametrize("norm", ["inf", "2"])
def test_a_universal_perturbation_is_the_loop_over_steps_and_batches(norm, clip):
    """Where the loss is at the cap of nine or above, an example does not count."""
    rng, eps, asked = RNG(0), 0.3, []
    a, b = rng.normal(size=(2, 3))
    batches = [(rng.uniform(0.2, 0.8, (n, 3)), np.zeros(n, int)) for n in (4, 1, 3)]

    def value(x):
        asked.append(x.copy())
        return 9.0 + np.round(2 * np.sin(5 * x @ b))  # whole numbers, some of them nine

    target = Known(value, lambda x: a + np.cos(7 * x))
    perturb = Universal(eps=eps, steps=4, norm=norm, clip=clip).prepared(target, batches)
    box = (-np.inf, np.inf) if clip is None else clip
    v, points = np.zeros(3), []
    for _ in range(4):
        total = np.zeros(3)
        for x, _ in batches:
            points.append(np.clip(x + v, *box))
            counted = np.round(2 * np.sin(5 * points[-1] @ b)) < 0
            total += (a + np.cos(7 * points[-1]))[counted].sum(axis=0)
        if norm == "inf":
            v = np.clip(v + eps / 10 * np.sign(total), -eps, eps)
        else:
            v = v + eps / 10 * total / np.linalg.norm(total)
            v = v * min(1, eps / np.linalg.norm(v))
    for ours, theirs in zip(asked, points, strict=True):
        assert_allclose(ours, theirs, atol=1e-12)
    for x, y in batches:
        assert_allclose(perturb(target, x, y), np.clip(x + v, *box), atol=1e-12)
    assert np.abs(v).max() > 0


# ---- low-rank PGD --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("pixel", "sign"), [(0.0, 1.0), (1.0, -1.0)])
def test_a_pixel_on_the_edge_of_the_box_may_leave_it(pixel, sign):
    """Only where a pixel was cut has the loss no gradient by it."""
    x = np.full((1, 40), pixel)
    start = random_factors(RNG(0), x, SHAPE, 2)
    moved = lora_pgd(lambda at: sign * np.ones_like(at), x, start, eps=0.1, steps=3, clip=CLIP) - x
    assert (sign * moved).max() > 0.01


def test_a_gradient_of_one_pixel_is_followed():
    """Most of the gradients by the factors are zero then."""
    x, g = np.full((1, 40), 0.5), np.zeros((1, 40))
    for place, value in ((7, 1.0), (13, -1.0)):
        g[:] = 0
        g[0, place] = value
        eta = lora_pgd(lambda at: g, x, random_factors(RNG(0), x, SHAPE, 1), eps=1.0, steps=50) - x
        assert value * eta[0, place] > 0.9


def test_what_is_rounding_is_judged_example_by_example_and_factor_by_factor():
    rng = RNG(1)
    x, g = np.full((3, 40), 0.5), rng.normal(size=(3, 40)) * np.array([[1.0], [1e-30], [1e30]])
    U, V = rng.normal(size=(3, 2, 4, 2)), rng.normal(size=(3, 2, 2, 5))
    both = factor_gradients(lambda at: g, x, LowRankPerturbation(U, V), 0.5)
    for i in range(3):
        alone = LowRankPerturbation(U[i : i + 1], V[i : i + 1])
        one = factor_gradients(lambda at, i=i: g[i : i + 1], x[i : i + 1], alone, 0.5)
        for ours, theirs in zip(both, one, strict=True):
            assert_allclose(ours[i], theirs[0], rtol=1e-9)
            assert np.abs(ours[i]).max() > 0
    for scale in (1e-9, 1e9):
        dU, dV = factor_gradients(lambda at: g, x, LowRankPerturbation(scale * U, V / scale), 0.5)
        assert_allclose(dU, both.U / scale, rtol=1e-6)
        assert_allclose(dV, both.V * scale, rtol=1e-6)


# ---- the verifier --------------------------------------------------------------------------------------------------


def test_the_verifier_looks_at_every_example_for_itself():
    x = np.full((3, 2), 0.5)
    x_adv = x + np.array([[0.1, 0.0], [0.0, -0.3], [0.0, 0.2]])
    verify(x, x_adv, eps=0.3)
    with pytest.raises(NumericalError, match=r"1 adversarial examples left the l_inf ball: moved by 0\.3, eps is 0\.2"):
        verify(x, x_adv, eps=0.2)
    x_adv[0, 0] = np.nan
    with pytest.raises(NumericalError, match="1 adversarial examples are not finite"):
        verify(x, x_adv, eps=0.3)
    verify(np.zeros((0, 2)), np.zeros((0, 2)), eps=0.0, clip=CLIP)


@pytest.mark.parametrize("end", [-64.0, 64.0])
def test_rounding_is_that_of_the_largest_pixel_of_either_sign(end):
    """One unit in the last place of 64, which one of 0.5 would not be allowed by itself."""
    unit = 64 * 2.0**-52
    x = np.array([[0.5, 0.5], [end, 0.5]])
    verify(x, x + np.array([[0.0, 0.0], [0.0, unit]]), eps=0.0)
    with pytest.raises(NumericalError, match="1 adversarial examples left"):
        verify(x, x + np.array([[0.0, 0.0], [0.0, 2 * unit]]), eps=0.0)
    with pytest.raises(NumericalError, match="1 adversarial examples left"):
        verify(x[:1], x[:1] + unit, eps=0.0)


def test_pixels_may_be_on_the_edge_of_the_box_and_no_farther():
    x, x_adv = np.array([[0.1, 0.9], [0.5, 0.5]]), np.array([[0.0, 1.0], [0.5, 0.5]])
    verify(x, x_adv, eps=0.2, clip=CLIP)
    for beyond in (np.array([[-1e-9, 1.0], [0.5, 0.5]]), np.array([[0.5, 0.5], [0.5, 1 + 1e-9]])):
        with pytest.raises(NumericalError, match=r"adversarial pixels left the box \(0.0, 1.0\)"):
            verify(x, beyond, eps=0.7, clip=CLIP)


WEIGHTS = {"W1": np.array([[0.5, -0.5]]), "W2": np.array([[0.25], [0.5]]), "b1": np.zeros(1)}


@pytest.mark.parametrize(
    ("name", "change", "refused"),
    [
        ("W1", [[0.1, -0.1]], None),
        ("W1", [[0.0, (1 + 0.9e-6) * 0.1]], None),
        ("W1", [[0.0, (1 + 1.1e-6) * 0.1]], "the weights W1 left their box: moved by 0.10000011, the radius is 0.1"),
        ("W1", [[-0.2, 0.0]], "the weights W1 left their box: moved by 0.2, the radius is 0.1"),
        ("W1", [[np.nan, np.inf]], "2 perturbed weights of W1 are not finite"),
        ("W2", [[0.0], [0.5]], "the weights W2 left their box: moved by 0.5, the radius is 0.0"),
        ("W2", [[1e-16], [0.0]], "the weights W2 left their box"),
        ("b1", [0.5], "the weights b1 left their box: moved by 0.5, the radius is 0.0"),
        ("b1", [-np.inf], "1 perturbed weights of b1 are not finite"),
    ],
)
def test_weights_stay_within_their_radius_and_those_without_one_stay_as_they_are(name, change, refused):
    moved, radii = WEIGHTS | {name: WEIGHTS[name] + np.array(change)}, {"W1": 0.1, "W2": 0.0}
    if refused is None:
        assert verify_weights(WEIGHTS, moved, radii) == {"W1": pytest.approx(np.abs(change).max()), "W2": 0.0}
        return
    with pytest.raises(NumericalError, match=re.escape(refused)):
        verify_weights(WEIGHTS, moved, radii)


@pytest.mark.parametrize("scale", [-64.0, 64.0])
def test_the_rounding_of_weights_is_that_of_the_largest(scale):
    before, unit = {"W1": np.array([[scale, 0.0]])}, 64 * 2.0**-52
    for after, fine in ((unit, True), (2 * unit, False)):
        moved = {"W1": before["W1"] + np.array([[0.0, after]])}
        if fine:
            verify_weights(before, moved, {"W1": 1e-300})
            continue
        with pytest.raises(NumericalError, match="W1 left their box"):
            verify_weights(before, moved, {"W1": 1e-300})
    with pytest.raises(NumericalError, match="W1 left their box"):
        verify_weights({"W1": np.zeros((1, 1))}, {"W1": np.full((1, 1), 1.5 * 2.0**-52)}, {"W1": 1e-300})
