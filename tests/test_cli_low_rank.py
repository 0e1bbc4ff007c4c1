"""Low-rank training through the installed entry point."""

import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from refimpl import load
from refimpl.low_rank.factorization import truncated
from refimpl.low_rank.network import dense, factorised, factors, n_weights
from refimpl.networks import fcnn
from refimpl.runs.checkpoint import read
from refimpl.runs.folder import Run

SMALL = ("--dataset", "strokes-small", "--learning-rate", "0.1", "--no-report")
TUNE = SMALL[2:]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("REFIMPL_DATA", raising=False)


@pytest.fixture
def run(refimpl) -> Path:
    refimpl("train", *SMALL, "--low-rank", "50%", "--tau", "0.3", "--momentum", "0.3", "--epochs", "2")
    return Path("runs/fcnn-strokes-small-low-rank-seed0")


def test_training_says_ranks_and_weights_and_keeps_the_constraints(refimpl):
    said = refimpl("train", *SMALL, "--low-rank", "50%", "--epochs", "1").stderr
    assert "W1 10 of 20" in said
    assert "W6 10 of 10; 10,540 weights, 60.30 % of the 17,480 of full layers" in said
    config = Run.open(Path("runs/fcnn-strokes-small-low-rank-seed0")).config
    assert (config.low_rank, config.tau, config.low_rank_mode, config.preconditioner) == (0.5, None, "clamp", "scalar")


def test_every_option_reaches_the_config(refimpl):
    given = ("--low-rank", "0.3", "--low-rank-mode", "mean", "--preconditioner", "exact")
    refimpl("train", *SMALL, *given, "--epochs", "1", "--out", "run")
    config = Run.open(Path("run")).config
    assert (config.low_rank, config.low_rank_mode, config.preconditioner) == (0.3, "mean", "exact")


@pytest.mark.parametrize("more", [(), ("--adversarial", "fgsm", "--low-rank-mode", "mean")])
def test_it_resumes_to_the_same_bits(refimpl, more):
    how = ("train", *SMALL, "--low-rank", "50%", "--momentum", "0.3", *more)
    refimpl(*how, "--epochs", "2", "--out", "straight")
    refimpl(*how, "--epochs", "1", "--out", "stopped")
    refimpl("train", "--resume", "stopped", "--epochs", "2", "--no-report")
    assert Path("straight/history.jsonl").read_bytes() == Path("stopped/history.jsonl").read_bytes()
    names = [f"{folder}/checkpoints/epoch-00002.safetensors" for folder in ("straight", "stopped")]
    assert Path(names[0]).read_bytes() == Path(names[1]).read_bytes()


def test_a_run_is_measured_attacked_and_listed(refimpl, run):
    measured = json.loads(refimpl("measure", run, "--mi", "--json").stdout)
    params = Run.open(run).latest().params
    for i, layer in enumerate(measured["layers"], start=1):
        assert layer["rank"] == 10
        assert 1 <= layer["condition_number"] <= 1.3 * (1 + 1e-6)
        s = np.linalg.svd(dense(params)[f"W{i}"])[1][:10].astype(float)
        assert_allclose(layer["condition_number"], s[0] / s[-1], rtol=1e-5)
        assert_allclose(layer["effective_rank"], s.sum() / np.sqrt((s**2).sum()), rtol=1e-5)
    assert (measured["weights"], measured["full_weights"]) == (n_weights(params), 17_480)
    assert "condition number" in refimpl("measure", run).stdout
    attacked = json.loads(refimpl("attack", run, "--attack", "pgd", "--eps", "0,0.05", "--json").stdout)["attacks"]
    assert attacked[0]["fooling_ratio"] == 0
    assert attacked[0]["accuracy"] == measured["accuracy"] == Run.open(run).history[-1]["accuracy"]
    assert "low-rank" in refimpl("runs").stdout


def test_from_a_full_net_it_starts_with_its_truncation_and_from_a_low_rank_one_it_goes_on(refimpl):
    refimpl("train", *SMALL, "--epochs", "1", "--out", "natural")
    refimpl(
        "train", *SMALL[2:], "--from", "natural", "--low-rank", "30%", "--tau", "0.5", "--epochs", "1", "--out", "a"
    )
    start, natural = (Run.open(Path(name)).checkpoint_path(epoch) for name, epoch in (("a", 0), ("natural", 1)))
    W = read(natural).params["W1"]
    for ours, theirs in zip(factors(read(start).params, 1), truncated(W, 6), strict=True):
        assert_array_equal(ours, theirs)
    refimpl("train", *TUNE, "--from", "a", "--adversarial", "fgsm", "--epochs", "1", "--out", "b")
    tuned = Run.open(Path("b")).config
    assert (tuned.low_rank, tuned.tau, tuned.method) == (0.3, 0.5, "low-rank-fgsm")
    said = refimpl(
        "train", *SMALL[2:], "--from", "a", "--low-rank", "60%", "--epochs", "1", "--out", "c", code=3
    ).stderr
    assert "a: U1 is float32(20, 6), the configuration says float32(20, 12)" in said
    assert not Path("c").exists()


def test_a_truncated_net_is_attacked_beside_the_net_as_it_is(refimpl):
    refimpl("train", *SMALL, "--epochs", "1", "--out", "natural")
    params = Run.open(Path("natural")).latest().params
    data = load("strokes-small").test
    x = data.images.reshape(-1, 784) / np.float32(255)
    right = (fcnn.forward(factorised(params, 0.2), x)[0].argmax(-1) == data.labels).mean()
    options = ("natural", "--eps", "0.05", "--no-save-images", "--json")
    whole = json.loads(refimpl("attack", *options).stdout)["attacks"][0]
    (cut,) = json.loads(refimpl("attack", *options, "--truncate", "20%").stdout)["attacks"]
    assert cut["accuracy"] == pytest.approx(right)
    assert cut["accuracy"] != whole["accuracy"]
    assert cut["truncated"] == 0.2
    assert "truncated" not in whole
    names = {"pgd-eps0.05.json", "pgd-eps0.05-truncated0.2.json"}
    assert {path.name for path in Path("natural/attacks").glob("*.json")} == names
    assert "got 0 %" in refimpl("attack", *options, "--truncate", "0%", code=2).stderr


def test_the_figure_shows_what_the_attacks_found(refimpl, run):
    assert "no low-rank net" in refimpl("figures", "low-rank-training", "--runs", "elsewhere", code=3).stderr
    refimpl("train", *SMALL, "--epochs", "1", "--out", "runs/natural")
    for options in (("runs/natural",), ("runs/natural", "--truncate", "50%"), (run,), (run, "--clip")):
        for attack in ("fgsm", "pgd"):
            refimpl("attack", *options, "--attack", attack, "--eps", "0,0.1", "--examples", 100, "--no-save-images")
    refimpl("figures", "low-rank-training", "--runs", "runs", "--out", "drawn")
    names = {f"low-rank-training.{kind}" for kind in ("pdf", "png", "csv")}
    assert {path.name for path in Path("drawn").iterdir()} == names
    rows = list(csv.DictReader(Path("drawn/low-rank-training.csv").read_text().splitlines()))
    assert len(rows) == 2 * 2 * 3  # what was clipped is left out
    found = {(row["attack"], row["net"], row["eps"]): float(row["mean"]) for row in rows}
    for net, name in (
        ("natural", "runs/natural/attacks/pgd-eps0.1.json"),
        ("natural, truncated to 50%", "runs/natural/attacks/pgd-eps0.1-truncated0.5.json"),
        ("low rank 50%, tau 0.3", run / "attacks/pgd-eps0.1.json"),
    ):
        expected = 100 * json.loads(Path(name).read_text())["adversarial_accuracy"]
        assert found["pgd", net, "0.1"] == pytest.approx(expected)


def test_a_clone_redraws_the_figure_without_training_and_the_readme_has_its_numbers(refimpl):
    refimpl("figures", "low-rank-training", "--out", "drawn", "--format", "png")
    root = Path(__file__).parent.parent
    drawn, recorded = (
        list(csv.DictReader((folder / "low-rank-training.csv").read_text().splitlines()))
        for folder in (Path("drawn"), root / "figures" / "record")
    )
    assert [float(row["mean"]) for row in drawn] == [float(row["mean"]) for row in recorded]
    shown = (root / "README.md").read_text().split("## Robust low-rank training")[1]
    for row in recorded:
        if row["attack"] == "pgd" and float(row["eps"]) == 0:
            name = row["net"].replace("%", " %").removesuffix(", lambda to 0.06")
            assert re.search(rf"\| {re.escape(name)} \|.* {float(row['mean']):.2f} ± ", shown)


def test_bench_times_the_step_beside_those_of_the_dense_net(refimpl, monkeypatch):
    monkeypatch.setattr("refimpl.bench.race.os.sched_setaffinity", lambda pid, cpus: None, raising=False)
    options = ("--dataset", "strokes-small", "--repeats", "1", "--json")
    rows = json.loads(refimpl("bench", "low-rank", *options).stdout)["benchmarks"]
    assert [row["peer"] for row in rows] == ["dense, readable step", "dense, fast step"]
    assert all((row["weights"], row["peer_weights"]) == (10_540, 17_480) for row in rows)


@pytest.mark.slow
def test_the_convolutional_net_too(refimpl):
    refimpl("train", *SMALL, "--arch", "cnn", "--low-rank", "50%", "--tau", "0.1", "--epochs", "1", "--out", "run")
    measured = json.loads(refimpl("measure", "run", "--json").stdout)
    assert [layer["rank"] for layer in measured["layers"]] == [5, 16, 64, 10]
    assert max(layer["condition_number"] for layer in measured["layers"]) <= 1.1 * (1 + 1e-6)
    refimpl("attack", "run", "--examples", "100")


def test_lenet_5_is_trained_attacked_and_measured(refimpl):
    small = ("--dataset", "strokes-small", "--arch", "lenet5", "--low-rank", "20%", "--tau", "0.5", "--epochs", "1")
    said = refimpl("train", *small, "--no-report", "--out", "run").stderr
    assert "W1 4 of 20, W2 10 of 50, W3 100 of 500, W4 10 of 10" in said
    config = Run.open(Path("run")).config
    assert (config.arch, config.batch_size, config.learning_rate, config.momentum) == ("lenet5", 128, 0.1, 0.3)
    measured = json.loads(refimpl("measure", "run", "--json").stdout)
    assert [layer["rank"] for layer in measured["layers"]] == [4, 10, 100, 10]
    assert max(layer["condition_number"] for layer in measured["layers"]) <= 1.5 * (1 + 1e-6)
    refimpl("attack", "run", "--attack", "fgsm", "--examples", "100", "--no-save-images")
    assert json.loads(refimpl("runs", ".", "--json").stdout)["runs"][0]["arch"] == "lenet5"
    resumed = refimpl("train", "--resume", "run", "--epochs", "2", "--no-report").stderr
    assert "2/2 epochs" in resumed


def test_lenet_5_has_no_table_of_the_paper_and_no_race(refimpl):
    for command in (("reproduce", "--profile", "smoke"), ("bench", "train"), ("bench", "low-rank")):
        assert "'lenet5' is not one of 'fcnn', 'cnn'" in refimpl(*command, "--arch", "lenet5", code=2).stderr
    said = refimpl("train", "--arch", "lenet5", "--dataset", "strokes-small", "--method", "l1-0.01", code=2).stderr
    assert "l1-0.01 is no method of lenet5: choose one of natural, fgsm, pgd" in said


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--low-rank", "0%"), "above 0 % and at most 100 %"),
        (("--low-rank", "120%"), "got 120 %"),
        (("--low-rank", "half"), "neither a percentage like 50% nor a share like 0.5"),
        (("--low-rank", "50%", "--tau", "0"), "tau must be above 0, got 0"),
        (("--low-rank", "50%", "--tau", "-1"), "tau must be above 0, got -1"),
        (("--tau", "0.1"), "belong to low-rank training"),
        (("--low-rank", "50%", "--nuclear", "1=0.01"), "are for full weights"),
        (("--low-rank", "50%", "--method", "l1-0.01"), "are for full weights"),
        (("--low-rank", "50%", "--optimizer", "adam"), "sgd's steps"),
    ],
)
def test_what_makes_no_sense_is_refused_before_any_work(refimpl, options, message):
    assert message in refimpl("train", *SMALL, *options, "--epochs", "1", code=2).stderr
    assert not Path("runs").exists()
