"""DeepFool, FMN, universal perturbations, targeted steps and the ensemble: known optima, and what each promises."""

import re
from dataclasses import fields
from inspect import signature

import numpy as np
import pytest
from backends import NUMPY
from hypothesis import given, settings
from numpy.testing import assert_allclose, assert_array_equal
from strategies import linear_classifiers

from refimpl import FCNN, LabelledImages, UsageError, fooling
from refimpl.attacks import APGD, FGSM, FMN, PGD, DeepFool, Ensemble, Square, Universal, apgd, deepfool, fmn, verify
from refimpl.attacks.losses import Point, cross_entropy, margin_loss, observed
from refimpl.attacks.norm_ball import size
from refimpl.attacks.square import square
from refimpl.layers.loss import LossAt, margin_directions, margins
from refimpl.networks import Gradients

DUAL = {"inf": 1, "2": 2}


class Linear(Gradients):
    """The net z = x A^T."""

    def __init__(self, A):
        object.__setattr__(self, "A", A)

    def logits(self, x):
        return x @ self.A.T

    def value_and_grad(self, loss, *labels):
        def at(x):
            value, dz = loss(x @ self.A.T, *labels)
            return LossAt(value, dz @ self.A, x @ self.A.T)

        return at

    def loss(self, y):
        return lambda x: self.value_and_grad(cross_entropy, y)(x).gradient

    def margins(self, k):
        D = margin_directions(k, len(self.A), self.A.dtype)
        return lambda x: (margins(x @ self.A.T, k)[0], D @ self.A)


def nearest_boundary(A, x, norm):
    """How far the nearest decision boundary of a linear classifier is: the least margin over its dual norm."""
    k = (x @ A.T).argmax(axis=-1)
    M, dM = Linear(A).margins(k)(x)
    return k, (M / np.linalg.norm(dM, ord=DUAL[norm], axis=-1)).min(axis=-1)


@pytest.mark.parametrize(("function", "kind"), [(deepfool, DeepFool), (fmn, FMN), (apgd, APGD), (square, Square)])
def test_defaults_of_functions_are_those_of_settings(function, kind):
    settings = {one.name: one.default for one in fields(kind) if one.name in ("steps", "overshoot", "p")}
    parameters = signature(function).parameters
    assert {name: parameters[name].default for name in settings if name in parameters} == settings


def test_deepfool_may_stop_on_the_boundary_and_leaves_none_there():
    def margin_of_one_pixel(at, rows):
        return at - 1.0, np.ones((len(at), 1, 1))

    for start in (3.0, 1.0):
        found = deepfool(margin_of_one_pixel, np.full((1, 1), start), overshoot=0.0, steps=1)
        assert 1 - 2e-4 < found < 1


def test_what_is_lost_already_does_not_count_in_a_universal_perturbation():
    """Ten nats are above the cap of nine, eight are not; the steeper of the two would decide otherwise."""

    class Two(Linear):
        def value_and_grad(self, loss, *labels):
            return lambda x: LossAt(np.array([8.0, 9.5]), np.array([[1.0], [-3.0]]), np.zeros((2, 2)))

    moved = Universal(eps=0.1, steps=1).perturb(Two(np.eye(1)), np.zeros((2, 1)), np.zeros(2, int))
    assert_allclose(moved, 0.01)


@settings(max_examples=10)
@given(linear_classifiers())
def test_deepfool_is_exact_on_linear_classifiers(case):
    """One step to the nearest boundary, and 2 % and 1e-4 beyond it."""
    A, x = case
    for norm in DUAL:
        k, away = nearest_boundary(A, x, norm)
        moved = deepfool(lambda at, rows, k=k: Linear(A).margins(k[rows])(at), x, norm=norm)
        assert_allclose(size(moved - x, norm), 1.02 * (away + 1e-4), rtol=1e-5, atol=1e-9)
        assert ((moved @ A.T).argmax(axis=-1) != k).all()


@settings(max_examples=5)
@given(linear_classifiers())
def test_fmn_comes_near_the_boundary_of_linear_classifiers_and_never_stops_before_it(case):
    A, x = case
    for norm in DUAL:
        k, away = nearest_boundary(A, x, norm)
        found = fmn(lambda at, k=k: observe(A, k)(at), x, steps=20, step_size=1.0, norm=norm)
        moved = size(found - x, norm)
        fooled = moved > 0
        assert (moved[fooled] >= away[fooled] * (1 - 1e-9)).all()
        assert (((found @ A.T).argmax(axis=-1) != k) == fooled).all()


def observe(A, k):
    return observed(Linear(A), margin_loss, k)


def test_the_radius_of_fmn_shrinks_where_it_fools_and_grows_where_it_does_not():
    """One pixel from 0, fooled beyond 1: radius by radius."""
    steps, moved, radius, smallest, found = 12, 0.0, 0.0, np.inf, False
    for k in range(steps):
        cosine = (1 + np.cos(np.pi * k / steps)) / 2
        gamma, step = 0.001 + 0.049 * cosine, 0.5 * (0.01 + 0.99 * cosine)
        fooled = moved > 1
        if fooled:
            smallest, found = min(moved, smallest), True
            radius = min(radius * (1 - gamma), smallest)
        else:
            radius = radius * (1 + gamma) if found else moved + (1 + 1e-6) * (1 - moved)
        moved = min(moved + step, radius)
    assert 1 < smallest < 1.02

    def loss(x):
        return Point(x[:, 0] - 1, np.ones_like(x), x[:, 0] > 1)

    assert_allclose(fmn(loss, np.zeros((1, 1)), steps=steps, step_size=0.5), smallest, rtol=1e-5)


@pytest.mark.parametrize("norm", ["inf", "2"])
def test_fmn_finds_the_smallest_perturbation_of_a_linear_classifier(rng, norm):
    A, x = rng.normal(size=(4, 12)), rng.uniform(size=(30, 12))
    k, away = nearest_boundary(A, x, norm)
    moved = size(fmn(observe(A, k), x, steps=100, norm=norm) - x, norm)
    assert (moved >= away * (1 - 1e-9)).all()
    assert np.median(moved / away) < 1.05


@pytest.mark.parametrize("attack", [DeepFool(eps=0.02), FMN(eps=0.02, steps=30), DeepFool(eps=0.1, norm="2")], ids=str)
def test_longer_perturbations_than_eps_do_not_count(attack, rng):
    net = FCNN((16, 12, 10))
    params = net.init(NUMPY, seed=2, dtype="float64")
    x = rng.uniform(size=(60, 16))
    y = net.forward(params, x)[0].argmax(axis=-1)
    x_adv = attack.perturb(Gradients(net, params), x, y)
    verify(x, x_adv, eps=attack.eps, norm=attack.ball)
    same = (x_adv == x).all(axis=-1)
    assert 0 < same.sum() < 60
    assert ((net.forward(params, x_adv)[0].argmax(axis=-1) != y) == ~same).all()


def test_a_universal_perturbation_is_one_for_all_inputs_of_a_call_and_fools_more_than_its_mirror(rng):
    net = FCNN((16, 12, 10))
    params = net.init(NUMPY, seed=2, dtype="float64")
    images = rng.integers(100, 150, (40, 4, 4), np.uint8)
    labels = net.forward(params, images.reshape(40, 16) / 255)[0].argmax(axis=-1)
    inputs = LabelledImages(images, labels, NUMPY, "float64", 9)
    (result,) = fooling(net, params, inputs, [Universal(eps=0.2, steps=12)])
    eta = result.x_adv - images.reshape(40, 16) / 255
    assert_allclose(eta, eta[:1] + np.zeros_like(eta), atol=1e-12)
    mirrored = net.forward(params, images.reshape(40, 16) / 255 - eta)[0].argmax(axis=-1)
    assert result.summary["n_fooled"] > (mirrored != labels).sum()


def test_the_best_universal_perturbation_of_a_linear_loss_is_a_corner(rng):
    """Two classes of one linear function: the sum of gradients keeps its sign, and v ends at eps times it."""
    A = np.stack([np.zeros(6), rng.normal(size=6)])
    x, y = rng.uniform(size=(9, 6)), np.ones(9, int)
    moved = Universal(eps=0.1, steps=12).perturb(Linear(A), x, y)
    assert_allclose(moved - x, np.broadcast_to(-0.1 * np.sign(A[1]), x.shape), atol=1e-12)


@pytest.mark.parametrize("kind", [FGSM, PGD])
def test_a_targeted_attack_lowers_the_loss_of_its_class(kind, rng):
    """On a linear net with two classes aiming at the other one is raising the loss of one's own."""
    A, x = rng.normal(size=(2, 8)), rng.uniform(size=(20, 8))
    net, y = Linear(A), (x @ A.T).argmax(axis=-1)
    for aim in (0, 1):
        others = y != aim
        found = kind(target_class=aim, eps=0.1).perturb(net, x, y)
        plain = kind(eps=0.1).perturb(net, x, y)
        assert_allclose(found[others], plain[others], rtol=1e-12)
        assert_allclose((found - x)[~others], -(plain - x)[~others], atol=1e-12)


def test_a_target_that_is_no_class_is_refused():
    net = FCNN((16, 4))
    with pytest.raises(UsageError, match="labels must be from 0 to 3, got 7 to 7"):
        FGSM(target_class=7).perturb(Gradients(net, net.init(NUMPY)), np.zeros((1, 16), np.float32), np.zeros(1, int))
    with pytest.raises(UsageError, match=re.escape("pgd target_class must be finite and at least 0, got -1")):
        PGD(target_class=-1)


def test_the_ensemble_fools_what_any_of_its_members_fools(rng):
    net = FCNN((16, 12, 10))
    params = net.init(NUMPY, seed=2, dtype="float64")
    x = rng.uniform(size=(30, 16))
    target, y = Gradients(net, params), net.forward(params, x)[0].argmax(axis=-1)
    ensemble = Ensemble(eps=0.03, steps=4, queries=8)

    def fooled(attack):
        return target.least_margin(y)(attack.perturb(target, x, y)) < 0

    every = fooled(ensemble)
    first, *_ = members = ensemble.members()
    assert [type(member).__name__ for member in members] == ["APGD", "APGD", "FMN", "Square"]
    assert [member.targeted for member in members[:2]] == [False, True]
    assert (fooled(first) <= every).all()
    assert 0 < fooled(first).sum() <= every.sum() < 30


def test_the_ensemble_takes_the_cross_entropy_where_there_are_too_few_classes_for_dlr():
    assert [member.loss for member in Ensemble().members(3)[:2]] == ["ce", "ce"]
    assert [member.loss for member in Ensemble().members(4)[:2]] == ["ce", "dlr"]
    assert [type(member) for member in Ensemble(norm="2").members()] == [APGD, APGD, FMN]
    net = FCNN((16, 6, 2))
    x = np.full((3, 16), 0.5, np.float32)
    moved = Ensemble(steps=2, queries=2).perturb(Gradients(net, net.init(NUMPY)), x, np.zeros(3, int))
    verify(x, moved, eps=0.05)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: DeepFool(overshoot=-1.0), "deepfool overshoot must be finite and at least 0, got -1.0"),
        (lambda: deepfool(None, np.zeros((1, 2)), norm="1"), "unknown norm '1': choose one of inf, 2"),
        (lambda: deepfool(None, np.zeros((1, 2)), overshoot=float("nan")), "the overshoot must be finite"),
        (lambda: fmn(None, np.zeros((1, 2)), norm="1"), "unknown norm '1': choose one of inf, 2"),
        (lambda: fmn(None, np.zeros((1, 2)), steps=0), "at least one step, got 0"),
        (lambda: FMN(step_size=-1.0), "fmn step_size must be finite and at least 0, got -1.0"),
        (lambda: Universal(steps=0), "universal steps must be finite and at least 1, got 0"),
    ],
)
def test_what_makes_no_sense_is_refused(make, message, unchecked):
    with pytest.raises(UsageError, match=re.escape(message)):
        make()


def test_attacks_that_find_nothing_give_the_inputs_back(rng):
    """A constant net has no gradient and no other class within reach."""
    net = FCNN((16, 5))
    params = {name: 0 * p for name, p in net.init(NUMPY, dtype="float64").items()}
    params["b1"] = np.eye(5)[0]
    x, y = rng.uniform(size=(4, 16)), np.zeros(4, int)
    for attack in (FMN(steps=5), FMN(steps=5, norm="2"), Universal(steps=3), APGD(steps=3, norm="2")):
        moved = attack.perturb(Gradients(net, params), x, y)
        assert np.isfinite(moved).all()
        verify(x, moved, eps=attack.eps, norm=attack.ball)
    assert_array_equal(FMN(steps=5).perturb(Gradients(net, params), x, y), x)
