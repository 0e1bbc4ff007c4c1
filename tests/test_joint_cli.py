"""Perturbed weights on the command line: attacked, trained against, drawn; and refused in one line."""

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from refimpl.networks import fcnn
from refimpl.runs.checkpoint import read
from refimpl.runs.folder import Run

QUICK = ("--dataset", "strokes-small", "--no-report")


@pytest.fixture(scope="module")
def run(refimpl, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("joint") / "natural"
    refimpl("train", *QUICK, "--optimizer", "adam", "--epochs", 15, "--learning-rate", 0.005, "--out", folder)
    return folder


def attacked(refimpl, run, *options):
    return json.loads(refimpl("attack", run, "--attack", "joint", *options, "--json").stdout)["attacks"]


def test_an_attack_for_each_pair_of_radii_whose_result_can_be_checked(refimpl, run):
    before = next((run / "checkpoints").iterdir()).read_bytes()
    found = attacked(refimpl, run, "--eps", "0,0.05", "--eps-weights", "0,0.01", "--certify")
    assert [(s["eps"], s["eps_weights"]) for s in found] == [(0, 0), (0, 0.01), (0.05, 0), (0.05, 0.01)]
    assert found[0]["n_fooled"] == 0
    assert found[0]["n_certified"] == found[0]["n_correct"]
    assert all(s["n_fooled"] > 0 for s in found[1:])
    assert next((run / "checkpoints").iterdir()).read_bytes() == before
    saved = load_file(run / "attacks" / "joint-eps0.05-weights-0.01.safetensors")
    net = Run.open(run).latest().params
    for name in (f"W{i}" for i in range(1, 7)):
        assert 0.009 < np.abs(saved[name] - net[name]).max() < 0.0101
    z, _ = fcnn.forward(net | {name: saved[name] for name in saved if name.startswith("W")}, saved["x_adv"])
    assert (z.argmax(axis=-1) == saved["adversarial_label"]).all()
    assert (saved["adversarial_label"] != saved["label"]).sum() == found[3]["n_fooled"]


def test_layers_by_name_and_alternating_steps(refimpl, run):
    options = ("--eps-weights", "1=0.01,3=0.02", "--mode", "alternating", "--steps", 5)
    (found,) = attacked(refimpl, run, *options)
    assert (found["eps_weights"], found["mode"], found["steps"]) == ({"W1": 0.01, "W3": 0.02}, "alternating", 5)
    assert set(found["weights_moved"]) == {"W1", "W3"}
    assert "0.05, weights 1=0.01,3=0.02" in refimpl("attack", run, "--attack", "joint", *options).stdout


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--attack", "joint", "--eps-weights", "-0.1"), "eps of the weights must be finite and at least 0, got -0.1"),
        (("--attack", "joint", "--eps-weights", "inf"), "eps of the weights must be finite and at least 0, got inf"),
        (("--attack", "joint", "--eps-weights", "9=0.1"), "no layer is called W9"),
        (("--attack", "joint", "--eps-weights", "W1=0.1"), "is neither a list like 0.002,0.01 nor one like 1=0.01"),
        (("--attack", "joint", "--eps", "nan"), "eps must be finite"),
        (("--attack", "joint", "--random-start"), "--random-start does not belong to joint"),
        (("--attack", "joint", "--step-size", "0.1"), "--step-size does not belong to joint"),
        (("--attack", "pgd", "--eps-weights", "0.1"), "--eps-weights belongs to joint, not to pgd"),
        (("--attack", "gnm", "--certify"), "--certify belongs to joint, not to gnm"),
    ],
)
def test_what_means_nothing_is_refused_and_nothing_written(refimpl, run, options, message):
    before = sorted((run / "attacks").iterdir())
    assert message in refimpl("attack", run, *options, code=2).stderr
    assert sorted((run / "attacks").iterdir()) == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--weights-adversarial", -0.1), "radius of adversarial weights must be finite and above 0, got -0.1"),
        (("--weights-adversarial", "nan"), "radius of adversarial weights must be finite"),
        (("--margin-reach", -1), "lambda of the margin reach must be finite and at least 0"),
        (("--margin-reach", 0.1, "--eps-weights", -1), "eps of the weights in the margin reach must be finite"),
        (("--row-column", "inf"), "factor of the row and column sums must be finite"),
        (("--eps-weights", 0.1), "it needs margin_reach"),
        (("--arch", "cnn", "--margin-reach", 0.1), "the bound of the margins is for dense layers"),
    ],
)
def test_training_refuses_before_it_starts(refimpl, tmp_path, options, message):
    assert message in refimpl("train", *QUICK, *options, "--out", tmp_path / "run", code=2).stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("options", "method"),
    [
        (("--weights-adversarial", 0.01), "weights"),
        (("--weights-adversarial", 0.01, "--adversarial", "fgsm", "--watch", "none"), "fgsm-weights"),
        (("--margin-reach", 1e-4, "--eps", 0.01, "--eps-weights", 0.001, "--row-column", 1e-3),
         "margin-reach-row-column"),
    ],
)  # fmt: skip
def test_training_continues_to_the_same_bits(refimpl, tmp_path, options, method):
    for name, epochs in (("halves", 2), ("straight", 4)):
        refimpl("train", *QUICK, "--epochs", epochs, *options, "--out", tmp_path / name)
    refimpl("train", "--resume", tmp_path / "halves", "--epochs", 4, "--no-report")
    halves, straight = (Run.open(tmp_path / name) for name in ("halves", "straight"))
    assert straight.config.method == method
    assert (halves.folder / "history.jsonl").read_bytes() == (straight.folder / "history.jsonl").read_bytes()
    ours, theirs = (read(run.checkpoint_path(4)) for run in (halves, straight))
    for name, p in ours.params.items():
        assert (p == theirs.params[name]).all()
    reach = {"margin_reach", "row_column"} & set(straight.history[0])
    assert reach == ({"margin_reach", "row_column"} if "reach" in method else set())


def test_training_against_weights_makes_them_matter_less(refimpl, run, tmp_path):
    options = (*QUICK, "--optimizer", "adam", "--epochs", 15, "--learning-rate", 0.005)
    refimpl("train", *options, "--weights-adversarial", 0.01, "--out", tmp_path / "weights")
    natural, trained = (
        attacked(refimpl, folder, "--eps", 0, "--eps-weights", 0.01)[0] for folder in (run, tmp_path / "weights")
    )
    assert trained["fooling_ratio"] < 0.8 * natural["fooling_ratio"]


def test_the_reach_shrinks_where_it_is_in_the_loss(refimpl, tmp_path):
    radii = ("--eps", 0.001, "--eps-weights", 0.0001)
    first, last = [], []
    for lam in (1e-12, 0.1):
        folder = tmp_path / str(lam)
        refimpl("train", *QUICK, "--epochs", 5, "--learning-rate", 0.05, "--margin-reach", lam, *radii, "--out", folder)
        history = Run.open(folder).history
        first.append(history[0]["margin_reach"] / lam)
        last.append(history[-1]["margin_reach"] / lam)
    assert last[1] < first[1]
    assert last[1] < 0.5 * last[0]


def test_the_surface_is_drawn_from_attacked_runs_and_from_the_record(refimpl, run, tmp_path):
    attacked(refimpl, run, "--eps", "0,0.05", "--eps-weights", "0,0.01")
    refimpl("figures", "joint-surface", "--runs", run.parent, "--out", tmp_path / "a", "--format", "png")
    header, *rows = (tmp_path / "a" / "joint-surface.csv").read_text().splitlines()
    assert header == "method,mode,eps,eps_weights,accuracy,low,high,seeds"
    accuracy = 100 * json.loads((run / "attacks/joint-eps0.05-weights-0.01.json").read_text())["adversarial_accuracy"]
    values = f"{float(f'{accuracy:.6g}')}"
    assert f"natural,simultaneous,0.05,0.01,{values},{values},{values},1" in rows
    refimpl("figures", "joint-surface", "--out", tmp_path / "b")
    assert {path.suffix for path in (tmp_path / "b").iterdir()} == {".pdf", ".png", ".csv"}
    assert "no run under" in refimpl("figures", "joint-surface", "--runs", tmp_path, "--out", tmp_path, code=3).stderr
