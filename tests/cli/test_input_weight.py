"""Perturbed weights on the command line: attacked, certified and trained against; and refused in one line."""

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from refimpl.networks import fcnn
from refimpl.runs.checkpoint import read
from refimpl.runs.folder import Run

SMALL = ("--dataset", "strokes-small", "--no-report")
ATTACK = ("--attack", "input-weight")


def test_an_attack_for_each_pair_of_radii_whose_result_can_be_checked(natural, attacked):
    before = next((natural / "checkpoints").iterdir()).read_bytes()
    options = ("--eps", "0,0.05", "--eps-weights", "0,0.01", "--certify", "--save-images")
    found = attacked(natural, *ATTACK, *options)
    assert [(s["eps"], s["eps_weights"]) for s in found] == [(0, 0), (0, 0.01), (0.05, 0), (0.05, 0.01)]
    assert found[0]["n_fooled"] == 0
    assert found[0]["n_certified"] == found[0]["n_correct"]
    assert all(s["n_fooled"] > 0 for s in found[1:])
    assert next((natural / "checkpoints").iterdir()).read_bytes() == before
    saved = load_file(natural / "attacks" / "input-weight-eps0.05-weights-0.01.safetensors")
    net = Run.open(natural).latest().params
    for name in (f"W{i}" for i in range(1, 7)):
        assert 0.009 < np.abs(saved[name] - net[name]).max() < 0.0101
    z, _ = fcnn.forward(net | {name: saved[name] for name in saved if name.startswith("W")}, saved["x_adv"])
    assert (z.argmax(axis=-1) == saved["adversarial_label"]).all()
    assert (saved["adversarial_label"] != saved["label"]).sum() == found[3]["n_fooled"]


def test_layers_by_name_and_alternating_steps(refimpl, natural, attacked):
    options = (*ATTACK, "--eps-weights", "1=0.01,3=0.02", "--mode", "alternating", "--steps", 5)
    (found,) = attacked(natural, *options)
    assert (found["eps_weights"], found["mode"], found["steps"]) == ({"W1": 0.01, "W3": 0.02}, "alternating", 5)
    assert set(found["weights_moved"]) == {"W1", "W3"}
    assert "0.05, weights 1=0.01,3=0.02" in refimpl("attack", natural, *options).stdout


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((*ATTACK, "--eps-weights", "-0.1"), "eps_weights must be finite and at least 0, got -0.1"),
        ((*ATTACK, "--eps-weights", "inf"), "eps_weights must be finite and at least 0, got inf"),
        ((*ATTACK, "--eps-weights", "9=0.1"), "no layer is called W9"),
        ((*ATTACK, "--eps-weights", "W1=0.1"), "is not a list like 1=0.01,2=0.03"),
        ((*ATTACK, "--eps", "nan"), "eps must be finite"),
        ((*ATTACK, "--random-start"), "--random-start belongs to pgd, not to input-weight"),
        ((*ATTACK, "--step-size", "0.1"), "--step-size belongs to fmn, pgd-l2 and pgd, not to input-weight"),
        (("--attack", "pgd", "--eps-weights", "0.1"), "--eps-weights belongs to input-weight, not to pgd"),
        (("--attack", "gnm", "--certify"), "certify belongs to input-weight, not to gnm"),
    ],
)
def test_what_means_nothing_is_refused_and_nothing_written(refimpl, natural, options, message):
    assert message in refimpl("attack", natural, *options, code=2).stderr
    assert not (natural / "attacks").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--adversarial", "input-weight"), "'input-weight' is not one of"),
        (("--adversarial-weights", -0.1), "adversarial_weights must be finite and at least 0, got -0.1"),
        (("--adversarial-weights", "nan"), "adversarial_weights must be finite"),
        (("--margin-bound", -1), "margin-bound lam must be finite and at least 0"),
        (("--margin-bound", 0.1, "--margin-bound-eps-weights", -1), "margin-bound eps_weights must be finite"),
        (("--operator-norms", "inf"), "operator-norms mu must be finite"),
        (("--margin-bound-eps-weights", 0.1), "--margin-bound-eps-weights belongs to margin-bound"),
        (("--margin-bound", 0, "--margin-bound-eps", 0.1), "--margin-bound-eps belongs to margin-bound"),
        (("--arch", "cnn", "--margin-bound", 0.1), "margin-bound is derived for fcnn"),
    ],
)
def test_training_refuses_before_it_starts(refimpl, options, message):
    assert message in refimpl("train", *SMALL, *options, "--out", "run", code=2).stderr
    assert not Path("run").exists()


@pytest.mark.parametrize(
    ("options", "method"),
    [
        (("--adversarial-weights", 0.01), "weights"),
        (("--adversarial-weights", 0.01, "--adversarial", "fgsm", "--monitor", "none"), "fgsm-weights"),
        (("--margin-bound", 1e-4, "--margin-bound-eps", 0.01, "--margin-bound-eps-weights", 0.001,
          "--operator-norms", 1e-3), "margin-bound-operator-norms"),
    ],
)  # fmt: skip
def test_training_continues_to_the_same_bits(refimpl, options, method):
    for name, epochs in (("halves", 1), ("straight", 2)):
        refimpl("train", *SMALL, "--epochs", epochs, *options, "--out", name)
    refimpl("train", "--resume", "halves", "--epochs", 2, "--no-report")
    halves, straight = (Run.open(Path(name)) for name in ("halves", "straight"))
    assert straight.config.method == method
    assert (halves.folder / "history.jsonl").read_bytes() == (straight.folder / "history.jsonl").read_bytes()
    ours, theirs = (read(run.checkpoint_path(2)) for run in (halves, straight))
    for name, p in ours.params.items():
        assert (p == theirs.params[name]).all()
    terms = {"margin-bound", "operator-norms"}
    assert terms & set(straight.history[0]) == (terms if "bound" in method else set())


def test_training_against_weights_makes_them_matter_less(refimpl, natural, attacked):
    options = (*SMALL, "--optimizer", "adam", "--epochs", 15, "--learning-rate", 0.005)
    refimpl("train", *options, "--adversarial-weights", 0.01, "--out", "weights")
    before, after = (
        attacked(run, *ATTACK, "--eps", 0, "--eps-weights", 0.01)[0]["fooling_ratio"] for run in (natural, "weights")
    )
    assert after < 0.8 * before


def test_the_margin_bound_shrinks_where_it_is_in_the_loss(refimpl):
    radii = ("--margin-bound-eps", 0.001, "--margin-bound-eps-weights", 0.0001)
    first, last = [], []
    for lam in (1e-12, 0.1):
        options = ("--epochs", 5, "--learning-rate", 0.05, "--margin-bound", lam, *radii, "--out", lam)
        refimpl("train", *SMALL, *options)
        history = Run.open(Path(str(lam))).history
        first.append(history[0]["margin-bound"] / lam)
        last.append(history[-1]["margin-bound"] / lam)
    assert last[1] < first[1]
    assert last[1] < 0.5 * last[0]
