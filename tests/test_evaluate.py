"""The fooling ratio: its denominator, its attacks, its refusals."""

import math

import numpy as np
import pytest
from backends import NUMPY
from numpy.testing import assert_allclose, assert_array_equal
from safetensors.numpy import load_file

from refimpl import Attack, NumericalError, UsageError, fooling
from refimpl.attacks import verify
from refimpl.layers.images import scale
from refimpl.networks import fcnn
from refimpl.networks.gradients import logits
from refimpl.runs.results import to_json, write_outcome


@pytest.fixture
def net():
    return fcnn.init(NUMPY, seed=4)


@pytest.fixture
def images(rng):
    return rng.integers(0, 256, (300, 28, 28), np.uint8)


def predictions(net, images):
    return fcnn.forward(net, scale(images, np.float32))[0].argmax(axis=-1)


def run(net, images, labels, *attacks, **options):
    options = {"backend": NUMPY, **options}
    return fooling(fcnn, net, images, labels.astype(np.uint8), attacks, **options)


def test_the_denominator_is_the_correctly_classified(net, images):
    labels = predictions(net, images)
    labels[:60] = (labels[:60] + 1) % 10
    (outcome,) = run(net, images, labels, Attack(name="fgsm", eps=0.5))
    summary = outcome.summary
    assert (summary["n"], summary["n_correct"], summary["accuracy"]) == (300, 240, 0.8)
    assert_array_equal(outcome.index, np.arange(60, 300))
    assert summary["n_fooled"] == outcome.fooled.sum() > 0
    assert summary["fooling_ratio"] == summary["n_fooled"] / 240
    assert summary["adversarial_accuracy"] == (240 - summary["n_fooled"]) / 300
    low, high = summary["fooling_ratio_interval_95"]
    assert low <= summary["fooling_ratio"] <= high


def test_nobody_correct_no_ratio(net, images):
    (outcome,) = run(net, images, (predictions(net, images) + 1) % 10, Attack(name="pgd"))
    assert outcome.summary["n_correct"] == 0
    assert math.isnan(outcome.summary["fooling_ratio"])
    assert '"fooling_ratio": null' in to_json(outcome.summary)


@pytest.mark.parametrize("name", ["fgsm", "pgd", "gnm"])
def test_no_budget_fools_nobody(net, images, name):
    (outcome,) = run(net, images, predictions(net, images), Attack(name=name, eps=0.0))
    assert outcome.summary["n_fooled"] == 0
    assert_array_equal(outcome.x_adv, scale(images, np.float32))


def test_a_list_of_budgets_shares_the_clean_pass(net, images, monkeypatch):
    labels = predictions(net, images)
    attacks = [Attack(name="fgsm", eps=eps) for eps in (0.01, 0.1, 0.3)]
    passes = []
    monkeypatch.setattr("refimpl.measures.fooling.logits", lambda *args: passes.append(1) or logits(*args))
    together = run(net, images, labels, *attacks, chunk=300)
    assert len(passes) == 1 + len(attacks)
    monkeypatch.undo()
    for attack, outcome in zip(attacks, together, strict=True):
        (alone,) = run(net, images, labels, attack)
        assert alone.summary == outcome.summary
    ratios = [outcome.summary["fooling_ratio"] for outcome in together]
    assert ratios == sorted(ratios)


def test_chunks_do_not_matter_not_even_to_random_starts(net, images):
    labels = predictions(net, images)
    attack = Attack(name="pgd", eps=0.05, random_start=True, restarts=2, steps=3)
    small, large = (run(net, images, labels, attack, chunk=chunk, dtype="float32")[0] for chunk in (7, 1000))
    assert small.summary["n_fooled"] == large.summary["n_fooled"]
    assert_allclose(small.x_adv, large.x_adv, atol=0.02)
    assert_array_equal(small.index, large.index)


def test_restarts_fool_no_fewer_example_by_example(net, images):
    labels = predictions(net, images)
    fooled = [
        run(net, images, labels, Attack(name="pgd", eps=0.02, random_start=True, restarts=r, steps=2))[0].fooled
        for r in (1, 2, 4)
    ]
    assert (fooled[0] <= fooled[1]).all()
    assert (fooled[1] <= fooled[2]).all()


@pytest.mark.parametrize("norm", ["inf", "2", "1"])
@pytest.mark.parametrize("clip", [None, (0.0, 1.0)])
def test_what_is_saved_is_what_was_verified(net, images, tmp_path, norm, clip):
    attack = Attack(name="gnm", eps=0.3, norm=norm, clip=clip)
    (outcome,) = run(net, images, predictions(net, images), attack)
    write_outcome(tmp_path / "attacks", str(attack), outcome, images=True)
    saved = load_file(tmp_path / "attacks" / f"{attack}.safetensors")
    assert_array_equal(saved["x_adv"], outcome.x_adv)
    verify(scale(images, np.float32)[saved["index"]], saved["x_adv"], eps=0.3, norm=norm, clip=clip)
    again = fcnn.forward(net, saved["x_adv"])[0].argmax(axis=-1)
    assert_array_equal(again, saved["adversarial_label"])


def test_inputs_without_a_gradient_are_counted(images):
    net = {name: 0 * p for name, p in fcnn.init(NUMPY).items()}
    (outcome,) = run(net, images, np.zeros(300), Attack(name="fgsm"))
    assert outcome.summary["zero_gradients"] == outcome.summary["n_correct"] == 300
    assert outcome.zero_gradient.all()


def test_a_gradient_that_is_not_finite_is_refused(net, images):
    labels = predictions(net, images)
    net["W6"][0, 0] = np.inf
    with np.errstate(invalid="ignore"), pytest.raises(NumericalError, match="not finite"):
        run(net, images, np.zeros_like(labels), Attack(name="fgsm"))


@pytest.mark.parametrize("name", ["fgsm", "pgd", "gnm"])
def test_attacks_are_evaluated_on_every_backend(be, images, name):
    net = fcnn.init(be.backend, seed=4, dtype=be.dtype)
    labels = predictions(fcnn.init(NUMPY, seed=4), images)
    (outcome,) = run(net, images, labels, Attack(name=name), backend=be.backend, dtype=be.dtype)
    (expected,) = run(fcnn.init(NUMPY, seed=4), images, labels, Attack(name=name))
    assert outcome.summary["n_correct"] == expected.summary["n_correct"]
    assert abs(outcome.summary["n_fooled"] - expected.summary["n_fooled"]) <= 3


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"name": "fgms"}, "unknown attack"),
        ({"name": "pgd", "eps": -0.1}, "eps"),
        ({"name": "pgd", "eps": math.nan}, "eps"),
        ({"name": "fgsm", "steps": 2}, "one step"),
        ({"name": "fgsm", "norm": "2"}, "l_inf"),
        ({"name": "gnm", "random_start": True}, "belongs to pgd"),
        ({"name": "gnm", "step_size": 0.1}, "belongs to pgd"),
        ({"name": "pgd", "restarts": 3}, "random start"),
    ],
)
def test_attacks_that_mean_nothing_are_refused(settings, message):
    with pytest.raises(UsageError, match=message):
        Attack(**settings)


def test_the_papers_settings_are_the_defaults():
    """Section 5: eps 0.05; PGD with 20 steps of 0.005, GNM with 5."""
    pgd, gnm, fgsm = (Attack(name=name) for name in ("pgd", "gnm", "fgsm"))
    assert (pgd.eps, pgd.steps) == (0.05, 20)
    assert_allclose(pgd.step_size, 0.005)
    assert (gnm.steps, fgsm.steps) == (5, 1)
    assert str(Attack(name="pgd", steps=40, clip=(0.0, 1.0))) == "pgd-eps0.05-steps40-clip"
