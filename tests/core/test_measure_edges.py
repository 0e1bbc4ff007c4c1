"""Measures at the edges: what is refused, exact boundaries, every number of a result, stacks, batches and chunks."""

import inspect
import math
import re
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from backends import NUMPY
from numpy.testing import assert_allclose, assert_array_equal

from refimpl import FCNN, LabelledImages, NumericalError, UsageError, effective_rank, effective_sparsity, interval
from refimpl import fooling as fooling_of
from refimpl.attacks import FGSM, FMN, PGD, InputWeight
from refimpl.measures import certified, condition_number, fooling_weights, label_information, mutual_information
from refimpl.measures import fooling_weights as weights_module
from refimpl.measures.accuracy import n_correct
from refimpl.measures.certificates import label_bound, margin_bound
from refimpl.measures.fooling import AttackResult
from refimpl.measures.per_layer import layers
from refimpl.measures.perturbation_spectrum import describe, spectral_fraction
from refimpl.measures.worst_case import worst_cases

NET = FCNN((4, 3))
PARAMS = {"W1": np.eye(3, 4, dtype=np.float32), "b1": np.zeros(3, np.float32)}
"""The class is the brightest of the first three pixels."""
IMAGES = np.array([[90, 10, 0, 5], [20, 80, 10, 5], [10, 20, 60, 5], [40, 41, 0, 5], [9, 0, 30, 5]], np.uint8)
IMAGES = IMAGES.reshape(5, 2, 2)
LABELS = np.array([0, 1, 2, 0, 2])  # the fourth is wrong


def examples(**options):
    return LabelledImages(**{"images": IMAGES, "labels": LABELS, "backend": NUMPY} | options)


# ---- refusals ------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"network": None}, "expected a network, such as FCNN(), got None"),
        ({"params": [1]}, "expected parameters by name, as a network's init gives them, got list"),
        ({"inputs": IMAGES}, "expected LabelledImages(images, labels, backend), got ndarray"),
        ({"attacks": "pgd"}, "expected a list of attacks, got 'pgd'"),
    ],
)
@pytest.mark.parametrize("evaluate", [fooling_of, fooling_weights])
def test_what_cannot_be_attacked_is_refused_in_words(evaluate, change, message):
    request = {"network": NET, "params": PARAMS, "inputs": examples(), "attacks": []} | change
    with pytest.raises(UsageError, match=re.escape(message)):
        inspect.unwrap(evaluate)(**request)


@pytest.mark.usefixtures("unchecked")
def test_each_evaluation_has_attacks_of_its_own_kind():
    with pytest.raises(UsageError, match=r"expected attacks such as PGD\(eps=0.1\), got InputWeight"):
        fooling_of(NET, PARAMS, examples(), (FGSM(), InputWeight()))
    with pytest.raises(UsageError, match=r"expected attacks such as InputWeight\(eps=0.1\), got FGSM"):
        fooling_weights(NET, PARAMS, examples(), (InputWeight(), FGSM()))


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"backend": "numpy"}, "expected a backend, such as backend('numpy'), got 'numpy'"),
        ({"dtype": "float16"}, "pixels must be float32 or float64, got 'float16'"),
        ({"chunk": 2.5}, "a chunk must hold at least one example, got 2.5"),
    ],
)
def test_examples_that_cannot_be_worked_on_are_refused(options, message):
    with pytest.raises(UsageError, match=re.escape(message)):
        examples(**options)


def test_one_gradient_that_is_not_finite_is_enough():
    """Of the brightest image alone the logits overflow."""
    params = {"W1": np.zeros((2, 4), np.float32), "b1": np.array([1.0, 0.0], np.float32)}
    params["W1"][0] = 2.9e38
    images = np.stack([np.zeros((2, 2)), np.full((2, 2), 255), np.zeros((2, 2))]).astype(np.uint8)
    inputs = LabelledImages(images, np.zeros(3, int), NUMPY)
    with np.errstate(all="ignore"), pytest.raises(NumericalError, match="gradient is not finite at 1 test inputs"):
        fooling_of(FCNN((4, 2)), params, inputs, [FGSM()])


class Missing(FGSM):
    """An attack that aims at a class and raises the loss of the label."""

    def perturb(self, target, x, y, starts=(), surrogate=None):
        return FGSM(eps=self.eps).perturb(target, x, y)


# ---- results -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("chunk", [1, 2, None])
def test_every_number_of_a_result_by_hand(chunk):
    """FGSM raises the third pixel's rivals: of four images that are right the one of least margin, 21 of 255, falls."""
    (result,) = fooling_of(NET, PARAMS, examples(chunk=chunk), [FGSM(eps=0.05)])
    assert_array_equal(result.index, [0, 1, 2, 4])
    assert_array_equal(result.label, [0, 1, 2, 2])
    assert_array_equal(result.fooled, [False, False, False, True])
    assert_allclose(result.distance, 0.05, rtol=1e-6)
    low, high = interval(1, 4)
    counts = {
        "n": 5,
        "n_correct": 4,
        "n_fooled": 1,
        "accuracy": 4 / 5,
        "robust_accuracy": 3 / 5,
        "fooling_ratio": 1 / 4,
    }
    assert {name: result.summary[name] for name in counts} == counts
    assert {name: getattr(result, name) for name in counts} == counts
    assert result.summary["mean_distance"] == pytest.approx(0.05)
    assert result.summary["fooling_ratio_interval_95"] == [low, high] == list(result.fooling_ratio_interval_95)
    assert result.summary["zero_gradients"] == 0
    assert "examples_seed" not in result.summary


def test_a_result_shows_no_arrays_and_is_equal_to_itself_alone():
    (result,) = fooling_of(NET, PARAMS, examples(), [FGSM()])
    assert "array" not in repr(result)
    assert repr(result) == f"AttackResult(summary={result.summary!r}, file=None)"
    assert len({result, replace(result)}) == 2


def test_where_nobody_is_right_the_ratio_is_no_number():
    (result,) = fooling_of(NET, PARAMS, examples(labels=(LABELS + 1) % 3 * (LABELS != 0) + (LABELS == 0) * 2), [FMN()])
    assert (result.n, result.n_correct, result.accuracy, result.robust_accuracy) == (5, 0, 0, 0)
    for name in ("fooling_ratio", "mean_distance", "median_distance"):
        assert math.isnan(result.summary[name])
    assert math.isnan(result.fooling_ratio)


def test_the_median_counts_what_was_not_fooled_as_infinitely_far_and_a_target_what_reached_it():
    near, far, aimed, plain = fooling_of(
        NET, PARAMS, examples(), [FMN(eps=1.0, steps=30), FMN(eps=0.045, steps=30), PGD(eps=0.3, target_class=1), PGD()]
    )
    assert near.summary["median_distance"] == pytest.approx(np.median([80, 60, 40, 21]) / 2 / 255, rel=0.05)
    assert far.summary["n_fooled"] == 1
    assert far.summary["median_distance"] == math.inf
    assert aimed.summary["n_reached"] == 3  # the other has the label 1
    assert aimed.summary["n_fooled"] == 3
    assert "n_reached" not in plain.summary
    assert "median_distance" not in plain.summary
    (away,) = fooling_of(NET, PARAMS, examples(), [Missing(eps=0.05, target_class=1)])
    assert (away.summary["n_fooled"], away.summary["n_reached"]) == (1, 0)  # it is given class 0


@pytest.mark.parametrize("chunk", [1, 2, 9])
def test_some_examples_keep_their_places_among_all(chunk):
    inputs = examples(chunk=chunk)
    assert inputs.some(None) is inputs.some(5) is inputs.some(6) is inputs
    some = inputs.some(3, seed=4)
    assert (some.examples_seed, len(some.positions), inputs.some(3).examples_seed) == (4, 3, 0)
    assert_array_equal(some.images, IMAGES[some.positions])
    (result,) = fooling_of(NET, PARAMS, some, [FGSM()])
    assert_array_equal(result.index, [place for place in some.positions if place != 3])
    assert result.summary["examples_seed"] == 4


@pytest.mark.parametrize("chunk", [1, 2, 3])
def test_an_attack_on_weights_does_not_depend_on_the_chunk(chunk):
    """Each input has the image and the label that the perturbed weights give it."""
    attack = InputWeight(eps=0.03, eps_weights=0.02, steps=3)
    (whole,), (parts,) = (fooling_weights(NET, PARAMS, examples(chunk=size), [attack]) for size in (5, chunk))
    assert_allclose(parts.x_adv, whole.x_adv, atol=1e-6)
    logits = whole.x_adv @ whole.weights["W1"].T
    assert_array_equal(parts.adversarial_label, logits.argmax(axis=-1))
    assert_array_equal(parts.index, whole.index)
    assert "n_certified" not in whole.summary


def test_every_attack_on_weights_is_looked_at_before_the_first_begins():
    class Unwanted(InputWeight):
        def perturb_all(self, at, params, x, y, chunk=None):
            raise AssertionError("the attack has begun")

    attacks = [Unwanted(), InputWeight(eps_weights={"W9": 0.1})]
    with pytest.raises(UsageError, match="no layer is called W9"):
        fooling_weights(NET, PARAMS, examples(), attacks)


def test_a_certified_input_that_was_fooled_is_an_error(monkeypatch):
    monkeypatch.setattr(inspect.getmodule(inspect.unwrap(weights_module)), "certified", lambda *_: np.ones(4, bool))
    with pytest.raises(NumericalError, match="1 certified inputs were fooled by input-weight"):
        fooling_weights(NET, PARAMS, examples(), [InputWeight(eps=0.05, eps_weights=0.0)], certify=True)


# ---- worst cases ---------------------------------------------------------------------------------------------------


def result(fooled, distance, eps=0.5, **settings):
    fooled, none = np.array(fooled), np.zeros(len(fooled), int)
    summary = {"attack": "a", "norm": "inf", "eps": eps, "clip": None, "n": 8} | settings
    return AttackResult(summary, none, none, fooled.astype(int), np.array(distance), none, np.zeros((len(fooled), 1)))


def test_every_number_of_a_worst_case_by_hand():
    edge = 0.5 * (1 + 1e-6) + 1e-6
    results = [
        result([1, 1, 0, 0, 1, 0], [0.5, 0.1, 0.5, 0.5, 0.5 + 1.4e-6, 0.5]),
        result([1, 0, 1, 0, 0, 0], [0.5] * 6, attack="b"),
        result([0, 0, 0, 1, 0, 1], [0.5, 0.5, 0.5, edge, 0.5, 0.5 + 1.6e-6], eps=0.6, attack="farther"),
        result([1] * 6, [0.1] * 6, attack="other", norm="2"),
        result([1] * 6, [0.1] * 6, attack="weights", eps_weights=0.1),
    ]
    (found,) = worst_cases(results)
    assert found == {
        "norm": "inf",
        "eps": 0.5,
        "clip": None,
        "attacks": ["a", "b", "farther"],
        "only_by": [2, 1, 1],
        "n": 8,
        "n_correct": 6,
        "n_fooled": 5,
        "accuracy": 6 / 8,
        "robust_accuracy": 1 / 8,
        "fooling_ratio": 5 / 6,
        "fooling_ratio_interval_95": list(interval(5, 6)),
    }


def test_boxes_are_the_same_as_lists_and_tuples_and_nobody_right_is_no_ratio():
    both = [result([], [], clip=(0.0, 1.0)), result([], [], clip=[0.0, 1.0]), result([], [], clip=None)]
    (found,) = worst_cases(both)
    assert (found["n_fooled"], found["attacks"], found["robust_accuracy"]) == (0, ["a", "a"], 0)
    assert math.isnan(found["fooling_ratio"])


# ---- accuracy, ranks, information, certificates --------------------------------------------------------------------


def test_the_rows_of_a_stack_are_counted_model_by_model(rng):
    logits, y = rng.normal(size=(3, 6, 4)), rng.integers(0, 4, (3, 6))
    logits[1, 2, 0] = np.nan
    expected = np.zeros(3)
    for i, j in product(range(3), range(6)):
        expected[i] += not np.isnan(logits[i, j]).any() and logits[i, j].argmax() == y[i, j]
    assert_array_equal(n_correct(logits, y), expected)


def test_the_interval_of_one_trial_and_of_a_confidence():
    """Of one trial that failed the upper end is where it fails with probability 0.025."""
    assert_allclose(interval(0, 1), (0, 0.975))
    assert_allclose(interval(1, 1), (0.025, 1))
    assert_allclose(interval(0, 3, 0.5), (0, 1 - 0.25 ** (1 / 3)))


def test_a_row_is_a_matrix_and_a_stack_is_measured_by_its_sides():
    for shape in ((1, 9), (9, 1)):
        assert_allclose([effective_sparsity(np.ones(shape)), effective_rank(np.ones(shape))], [3, 1])
    stack = np.zeros((2000, 2, 2))
    stack[:, 0, 0], stack[:, 1, 1] = 1.0, 2e-13
    assert_allclose(condition_number(stack), 1 / 2e-13)


@pytest.mark.parametrize("seed", range(10))
def test_far_points_tell_exactly_which_whatever_their_distances_are_rounded_to(seed):
    """The rounding of a distance of zero is of either sign and far above the noise here."""
    rng = np.random.default_rng(seed)
    for n in (2, 20):
        assert_allclose(mutual_information(1e8 * rng.normal(size=(n, 10))), math.log2(n), rtol=1e-12)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_one_entry_that_is_not_finite_is_enough(bad):
    W = np.ones((3, 4))
    W[1, 2] = bad
    for measure in (effective_rank, effective_sparsity, condition_number):
        assert math.isnan(measure(W))
    with pytest.raises(UsageError, match="the activations are not finite"):
        mutual_information(W)


def test_a_layer_is_measured_by_five_keys():
    (row,) = layers(NET, PARAMS)
    third = pytest.approx(math.sqrt(3))
    assert row == {
        "name": "W1", "shape": [3, 4], "effective_rank": third, "effective_sparsity": third, "condition_number": 1.0
    }  # fmt: skip


def test_no_more_is_known_of_a_label_than_there_is_to_know():
    """Two labels far apart, each of points near enough that the bounds of what is known inside differ."""
    h, y = np.array([[0.0], [0.6], [50.0], [50.6]]), np.array([0, 0, 1, 1])
    lower, upper = label_information(h, y)
    assert 0 < lower < upper == 1.0


def test_equal_logits_are_never_certified_and_the_bound_of_the_label_is_its_row_of_all(rng):
    net, y = FCNN((4, 5, 3)), np.array([0, 1, 2, 0, 1, 2, 0])
    params, x = net.init(NUMPY, dtype="float64"), rng.uniform(size=(7, 4))
    none = {name: 0 * p for name, p in params.items()}
    assert not certified(net, none, x, y, 0.0, 0.0).any()
    every = margin_bound(net, params, x, 0.1, 0.05)
    of_label = label_bound(params, [x, *net.hidden(params, x)], y, 0.1, 0.05)
    rows = np.take_along_axis(every, y[:, None, None], axis=1)[:, 0]
    rows[np.arange(7), y] = 0
    assert_allclose(of_label, rows, rtol=1e-12)


@pytest.mark.usefixtures("unchecked")
def test_a_singular_value_counts_from_a_millionth_of_the_largest():
    images = 255 * np.stack([np.diag([0.4, 8e-7]), np.diag([0.4, 2e-7])])
    none = np.zeros(2, int)
    x_adv = np.stack([np.diag([0.5, 1.2e-6]), np.diag([0.4, 3e-7])]).reshape(2, 4)
    found = spectral_fraction(images, AttackResult({}, np.arange(2), none, none, np.ones(2), none, x_adv))
    assert_allclose(found, np.array([0.125, 0.5]) / 0.625, rtol=1e-6)


def test_one_image_that_moved_is_described():
    images, none = np.full((2, 2, 2), 51, np.uint8), np.zeros(2, int)
    x_adv = images.reshape(2, 4) / 255 + np.array([[0.1, 0.0, 0.0, 0.1], [0.0, 0.0, 0.0, 0.0]])
    found = describe(images, AttackResult({}, np.arange(2), none, none, np.array([0.1, 0.0]), none, x_adv))
    assert found["nuclear_norm"] == pytest.approx(0.1)
    assert found["perturbation_rank"] == pytest.approx(math.sqrt(2))
