"""The fooling ratio: its denominator, its attacks, its refusals."""

import math

import numpy as np
import pytest
from backends import NUMPY
from numpy.testing import assert_allclose, assert_array_equal
from safetensors.numpy import load_file

from refimpl import FCNN, LabelledImages, NumericalError, UsageError, fooling, fooling_weights
from refimpl.attacks import ATTACKS, FGSM, GNM, PGD, InputWeight, verify
from refimpl.layers.images import scale
from refimpl.measures.worst_case import worst_cases
from refimpl.networks import CNN, fcnn
from refimpl.networks.gradients import Gradients
from refimpl.runs.results import to_json, write_result

NETWORK = FCNN()


@pytest.fixture
def net():
    return NETWORK.init(NUMPY, seed=4)


@pytest.fixture
def images(rng):
    return rng.integers(0, 256, (300, 28, 28), np.uint8)


def predictions(net, images):
    return fcnn.forward(net, scale(images, np.float32))[0].argmax(axis=-1)


def run(net, images, labels, *attacks, **options):
    inputs = LabelledImages(images, labels.astype(np.uint8), **{"backend": NUMPY, **options})
    return fooling(NETWORK, net, inputs, attacks)


def test_the_denominator_is_the_correctly_classified(net, images):
    labels = predictions(net, images)
    labels[:60] = (labels[:60] + 1) % 10
    (result,) = run(net, images, labels, FGSM(eps=0.5))
    summary = result.summary
    assert (summary["n"], summary["n_correct"], summary["accuracy"]) == (300, 240, 0.8)
    assert_array_equal(result.index, np.arange(60, 300))
    assert summary["n_fooled"] == result.fooled.sum() > 0
    assert summary["fooling_ratio"] == summary["n_fooled"] / 240
    assert summary["robust_accuracy"] == (240 - summary["n_fooled"]) / 300
    for name in ("attack", "eps", "n", "n_correct", "n_fooled", "accuracy", "robust_accuracy", "fooling_ratio"):
        assert getattr(result, name) == summary[name]
    low, high = summary["fooling_ratio_interval_95"]
    assert low <= summary["fooling_ratio"] <= high


def test_nobody_correct_no_ratio(net, images):
    (result,) = run(net, images, (predictions(net, images) + 1) % 10, PGD())
    assert result.summary["n_correct"] == 0
    assert math.isnan(result.summary["fooling_ratio"])
    assert '"fooling_ratio": null' in to_json(result.summary)
    assert result.x_adv.shape == (0, 784)


@pytest.mark.parametrize("name", ["fgsm", "pgd", "gnm"])
def test_no_budget_fools_nobody(net, images, name):
    (result,) = run(net, images, predictions(net, images), ATTACKS[name](eps=0.0))
    assert result.summary["n_fooled"] == 0
    assert_array_equal(result.x_adv, scale(images, np.float32))


def test_a_list_of_budgets_shares_the_clean_pass(net, images, monkeypatch):
    labels = predictions(net, images)
    attacks = [FGSM(eps=eps) for eps in (0.01, 0.1, 0.3)]
    passes, logits = [], Gradients.logits
    monkeypatch.setattr(Gradients, "logits", lambda *args: passes.append(1) or logits(*args))
    together = run(net, images, labels, *attacks, chunk=300)
    assert len(passes) == 1 + len(attacks)
    monkeypatch.undo()
    for attack, result in zip(attacks, together, strict=True):
        (alone,) = run(net, images, labels, attack)
        assert alone.summary == result.summary
    ratios = [result.summary["fooling_ratio"] for result in together]
    assert ratios == sorted(ratios)


def test_progress_counts_the_inputs_that_are_done(net, images):
    labels, done = predictions(net, images), []
    labels[:100] = (labels[:100] + 1) % 10  # a chunk with nothing to attack is counted with the next
    inputs = LabelledImages(images, labels.astype(np.uint8), NUMPY, chunk=100)
    fooling(NETWORK, net, inputs, [FGSM()], progress=done.append)
    assert done == [200, 300, 300]
    done.clear()
    attacks = [InputWeight(eps=eps, eps_weights=0.001, steps=1) for eps in (0.0, 0.1, 0.2)]
    fooling_weights(NETWORK, net, inputs, attacks, progress=done.append)
    assert done == [100, 200, 300]  # an attack on weights is one on all inputs at once


def test_chunks_do_not_matter_not_even_to_random_starts(net, images):
    images = images[:100]
    labels = predictions(net, images)
    attack = PGD(eps=0.05, random_start=True, restarts=2, steps=3)
    small, large = (run(net, images, labels, attack, chunk=chunk, dtype="float32")[0] for chunk in (7, 1000))
    assert small.summary["n_fooled"] == large.summary["n_fooled"]
    assert_allclose(small.x_adv, large.x_adv, atol=0.02)
    assert_array_equal(small.index, large.index)


def test_restarts_fool_no_fewer_example_by_example(net, images):
    labels = predictions(net, images)
    fooled = [
        run(net, images, labels, PGD(eps=0.02, random_start=True, restarts=r, steps=2))[0].fooled for r in (1, 2, 4)
    ]
    assert (fooled[0] <= fooled[1]).all()
    assert (fooled[1] <= fooled[2]).all()


@pytest.mark.parametrize("norm", ["inf", "2", "1"])
@pytest.mark.parametrize("clip", [None, (0.0, 1.0)])
def test_what_is_saved_is_what_was_verified(net, images, tmp_path, norm, clip):
    attack = GNM(eps=0.3, norm=norm, clip=clip)
    (result,) = run(net, images, predictions(net, images), attack)
    write_result(tmp_path / "attacks", str(attack), result, images=True)
    saved = load_file(tmp_path / "attacks" / f"{attack}.safetensors")
    assert_array_equal(saved["x_adv"], result.x_adv)
    verify(scale(images, np.float32)[saved["index"]], saved["x_adv"], eps=0.3, norm=norm, clip=clip)
    again = fcnn.forward(net, saved["x_adv"])[0].argmax(axis=-1)
    assert_array_equal(again, saved["adversarial_label"])


def test_inputs_without_a_gradient_are_counted(images):
    net = {name: 0 * p for name, p in fcnn.init(NUMPY).items()}
    (result,) = run(net, images, np.zeros(300), FGSM())
    assert result.summary["zero_gradients"] == result.summary["n_correct"] == 300
    assert result.zero_gradient.all()


def test_a_gradient_that_is_not_finite_is_refused(net, images):
    labels = predictions(net, images)
    net["W6"][0, 0] = np.inf
    with np.errstate(invalid="ignore"), pytest.raises(NumericalError, match="not finite"):
        run(net, images, np.zeros_like(labels), FGSM())


@pytest.mark.parametrize("name", ["fgsm", "pgd", "gnm"])
def test_attacks_are_evaluated_on_every_backend(be, images, name):
    images = images[:100]
    net = fcnn.init(be.backend, seed=4, dtype=be.dtype)
    labels = predictions(fcnn.init(NUMPY, seed=4), images)
    (result,) = run(net, images, labels, ATTACKS[name](), backend=be.backend, dtype=be.dtype)
    (expected,) = run(fcnn.init(NUMPY, seed=4), images, labels, ATTACKS[name]())
    assert result.summary["n_correct"] == expected.summary["n_correct"]
    assert abs(result.summary["n_fooled"] - expected.summary["n_fooled"]) <= 1


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("fgms", {}, "unknown attack 'fgms': choose one of"),
        ("pgd", {"eps": -0.1}, "eps"),
        ("pgd", {"eps": math.nan}, "eps"),
        ("fgsm", {"steps": 2}, "unknown setting 'steps'"),
        ("fgsm", {"norm": "2"}, "unknown setting 'norm'"),
        ("gnm", {"random_start": True}, "unknown setting 'random_start'"),
        ("gnm", {"step_size": 0.1}, "unknown setting 'step_size'"),
        ("pgd", {"restarts": 3}, "random start"),
    ],
)
def test_attacks_that_mean_nothing_are_refused(name, settings, message):
    with pytest.raises(UsageError, match=message):
        ATTACKS[name].from_table(settings, "attack")


def test_the_papers_settings_are_the_defaults():
    """Section 5: eps 0.05; PGD with 20 steps of 0.005, GNM with 5."""
    pgd, gnm, fgsm = PGD(), GNM(), FGSM()
    assert (fgsm.eps, pgd.eps, gnm.eps) == (0.05, 0.05, 0.05)
    assert pgd.steps == 20
    assert_allclose(pgd.step_size, 0.005)
    assert gnm.steps == 5
    assert str(PGD(steps=40, clip=(0.0, 1.0))) == "pgd-eps0.05-steps40-clip"


def test_fgsm_takes_one_step(net, images):
    """A perturbation of eps or none at each pixel, from one gradient."""
    labels = predictions(net, images)
    (result,) = run(net, images, labels, FGSM(eps=0.1))
    x = scale(images, np.float32)
    gradient = Gradients(NETWORK, net).loss(labels.astype(np.int64))(x)
    assert_allclose(result.x_adv, x + np.float32(0.1) * np.sign(gradient), atol=1e-7)


def examples(shape=(3, 28, 28), dtype=np.uint8):
    return np.zeros(shape, dtype)


@pytest.mark.parametrize(
    ("images", "labels", "options", "message"),
    [
        (examples(dtype=np.float32), np.zeros(3, int), {}, "images must be grey levels 0 to 255, uint8; got float32"),
        (examples(dtype=np.int64), np.zeros(3, int), {}, "images must be grey levels 0 to 255, uint8; got int64"),
        ([[0, 255]], np.zeros(1, int), {}, "images must be a NumPy array, got list"),
        (examples(), [0, 1, 2], {}, "labels must be a NumPy array, got list"),
        (examples(), np.zeros(2, int), {}, r"expected 3 whole numbers as labels, got int64\(2,\)"),
        (examples(), np.zeros(4, int), {}, r"expected 3 whole numbers as labels, got int64\(4,\)"),
        (examples(), np.zeros((3, 1), int), {}, "expected 3 whole numbers as labels"),
        (examples(), np.zeros(3), {}, "expected 3 whole numbers as labels, got float64"),
        (examples(), np.array([0, -1, 2]), {}, "labels must be 0, 1, ..., got -1"),
        (examples((0, 28, 28)), np.zeros(0, int), {}, "there must be at least one image"),
        (examples((3, 0)), np.zeros(3, int), {}, "there must be at least one image, of at least one pixel"),
        (examples(), np.zeros(3, int), {"chunk": 0}, "a chunk must hold at least one example, got 0"),
        (examples(), np.zeros(3, int), {"chunk": -1}, "a chunk must hold at least one example, got -1"),
    ],
)
def test_images_and_labels_that_do_not_fit_are_refused(images, labels, options, message):
    inputs = object.__new__(LabelledImages)  # the checks of types that only the tests make are in __init__
    vars(inputs).update({"images": images, "labels": labels, "backend": NUMPY, "chunk": 256} | options)
    with pytest.raises(UsageError, match=message):
        inputs.__post_init__()


def test_images_and_labels_are_checked_when_they_are_brought_together():
    with pytest.raises(UsageError, match="a chunk must hold"):
        LabelledImages(examples(), np.zeros(3, int), NUMPY, chunk=0)


@pytest.mark.parametrize("network", [NETWORK, CNN(filters=(2, 2), hidden_units=3)], ids=["fcnn", "cnn"])
def test_labels_that_are_no_classes_are_refused(network):
    """Such an input could not be classified correctly, and would lower the accuracy in silence."""
    params, labels = network.init(NUMPY), np.array([0, 9, 10])
    inputs = LabelledImages(examples(), labels, NUMPY)
    for evaluate, attack in ((fooling, FGSM()), (fooling_weights, InputWeight())):
        with pytest.raises(UsageError, match="labels must be from 0 to 9, got 0 to 10"):
            evaluate(network, params, inputs, [attack])


class Beyond(FGSM):
    """An attack that leaves its ball by a tenth."""

    def perturb(self, target, x, y, starts=(), surrogate=None):
        return x + np.float32(1.1 * self.eps)


class BeyondWeights(InputWeight):
    """An attack that leaves the box of the inputs, or of the weights, by a tenth."""

    def perturb_all(self, at, params, x, y, chunk=256):
        if self.eps:
            return x + np.float32(1.1 * self.eps), params
        return x, {name: p + np.float32(1.1 * self.eps_weights) * (name == "W2") for name, p in params.items()}


def test_no_attack_is_trusted(net, images):
    labels = predictions(net, images)
    with pytest.raises(NumericalError, match="left the l_inf ball"):
        run(net, images, labels, Beyond(eps=0.1))
    inputs = LabelledImages(images, labels.astype(np.uint8), NUMPY)
    with pytest.raises(NumericalError, match="left the l_inf ball"):
        fooling_weights(NETWORK, net, inputs, [BeyondWeights(eps=0.1, eps_weights=0.0)])
    with pytest.raises(NumericalError, match="weights W2 left their box"):
        fooling_weights(NETWORK, net, inputs, [BeyondWeights(eps=0.0, eps_weights=0.01)])


class Unwanted(InputWeight):
    """An attack that nobody should have begun."""

    def perturb_all(self, at, params, x, y, chunk=256):
        raise AssertionError("the attack has begun")


def test_a_net_without_a_bound_is_refused_before_any_work(images):
    network = CNN(filters=(2, 2), hidden_units=3)
    params, some = network.init(NUMPY), images[:5]
    labels = network.gradients(params).logits(scale(some, np.float32)).argmax(axis=-1)
    with pytest.raises(UsageError, match="take fcnn"):
        fooling_weights(network, params, LabelledImages(some, labels, NUMPY), [Unwanted()], certify=True)


def test_a_gradient_of_one_sign_is_not_zero():
    """Class 0 wins everywhere, and its loss falls with the first pixel alone."""
    network = FCNN((4, 2))
    params = {"W1": np.array([[1.0, 0, 0, 0], [0, 0, 0, 0]], np.float32), "b1": np.array([1.0, 0], np.float32)}
    inputs = LabelledImages(np.full((3, 2, 2), 255, np.uint8), np.zeros(3, np.uint8), NUMPY)
    (result,) = fooling(network, params, inputs, [FGSM()])
    assert (result.n_correct, result.summary["zero_gradients"]) == (3, 0)


def test_the_worst_case_is_that_of_two_attacks_or_more_with_one_budget(net, images):
    labels = predictions(net, images)
    results = run(net, images, labels, FGSM(eps=0.02), PGD(eps=0.02), GNM(eps=0.02), FGSM(eps=0.01), PGD(eps=0.01))
    fgsm, pgd, gnm, fgsm_less, pgd_less = results
    large, small = worst_cases(results)
    assert (large["eps"], small["eps"]) == (0.02, 0.01)
    assert large["n_fooled"] == (fgsm.fooled | pgd.fooled | gnm.fooled | fgsm_less.fooled | pgd_less.fooled).sum()
    assert small["n_fooled"] == (fgsm_less.fooled | pgd_less.fooled).sum()
    assert worst_cases([fgsm, pgd_less]) == []
