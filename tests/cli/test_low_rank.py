"""Low-rank training and truncation from the command line."""

import json
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

TUNE = ("--learning-rate", "0.1", "--no-report", "--epochs", "1")
SMALL = ("--dataset", "strokes-small", *TUNE)


@pytest.fixture
def run(trained):
    """Overrides that of other tests: half of the full rank."""
    how = ("--learning-rate", "0.1", "--low-rank", "50%", "--tau", "0.3", "--momentum", "0.3", "--epochs", "2")
    return trained("low-rank", *how)


def measured(refimpl, run, *options):
    return json.loads(refimpl("measure", run, *options, "--json").stdout)


def test_training_says_ranks_and_weights_and_keeps_the_constraints(refimpl):
    said = refimpl("train", *SMALL, "--low-rank", "50%").stderr
    assert "W1 10 of 20" in said
    assert "W6 10 of 10; 10,540 weights, 60.30 % of the 17,480 of full layers" in said
    how = Run.open(Path("runs/fcnn-strokes-small-low-rank-seed0")).config.low_rank
    assert (how.fraction, how.tau, how.mode, how.preconditioner) == (0.5, 0.1, "clamp", "scalar")


def test_every_option_reaches_the_config(refimpl):
    given = ("--low-rank", "0.3", "--low-rank-mode", "mean", "--preconditioner", "exact")
    refimpl("train", *SMALL, *given, "--out", "run")
    how = Run.open(Path("run")).config.low_rank
    assert (how.fraction, how.mode, how.tau, how.preconditioner) == (0.3, "mean", 0, "exact")


@pytest.mark.parametrize("more", [(), ("--adversarial", "fgsm", "--low-rank-mode", "mean")])
def test_it_resumes_to_the_same_bits(refimpl, more):
    how = ("train", *SMALL, "--low-rank", "50%", "--momentum", "0.3", "--monitor", "none", *more)
    refimpl(*how, "--epochs", "2", "--out", "straight")
    refimpl(*how, "--epochs", "1", "--out", "stopped")
    refimpl("train", "--resume", "stopped", "--epochs", "2", "--no-report")
    assert Path("straight/history.jsonl").read_bytes() == Path("stopped/history.jsonl").read_bytes()
    names = [f"{folder}/checkpoints/epoch-00002.safetensors" for folder in ("straight", "stopped")]
    assert Path(names[0]).read_bytes() == Path(names[1]).read_bytes()


def test_a_run_is_measured_attacked_and_listed(refimpl, run, attacked):
    found = measured(refimpl, run, "--mi")
    params = Run.open(run).latest().params
    for i, layer in enumerate(found["layers"], start=1):
        assert layer["rank"] == 10
        assert 1 <= layer["condition_number"] <= 1.3 * (1 + 1e-6)
        s = np.linalg.svd(dense(params)[f"W{i}"])[1][:10].astype(float)
        assert_allclose(layer["condition_number"], s[0] / s[-1], rtol=1e-5)
        assert_allclose(layer["effective_rank"], s.sum() / np.sqrt((s**2).sum()), rtol=1e-5)
    assert (found["weights"], found["full_weights"]) == (n_weights(params), 17_480)
    assert "condition number" in refimpl("measure", run).stdout
    still, moved = attacked(run, "--attack", "pgd", "--eps", "0,0.05")
    assert still["fooling_ratio"] == 0 < moved["fooling_ratio"]
    assert still["accuracy"] == found["accuracy"] == Run.open(run).history[-1]["accuracy"]
    assert "low-rank" in refimpl("runs", ".").stdout


def test_from_a_full_net_it_starts_with_its_truncation_and_from_a_low_rank_one_it_goes_on(refimpl, trained):
    trained("natural", *TUNE[:2], *TUNE[3:])
    refimpl("train", *TUNE, "--from", "natural", "--low-rank", "30%", "--tau", "0.5", "--out", "a")
    start, natural = (Run.open(Path(name)).checkpoint_path(epoch) for name, epoch in (("a", 0), ("natural", 1)))
    W = read(natural).params["W1"]
    for ours, theirs in zip(factors(read(start).params, 1), truncated(W, 6), strict=True):
        assert_array_equal(ours, theirs)
    refimpl("train", *TUNE, "--from", "a", "--adversarial", "fgsm", "--monitor", "none", "--out", "b")
    tuned = Run.open(Path("b")).config
    assert (tuned.low_rank.fraction, tuned.low_rank.tau, tuned.method) == (0.3, 0.5, "low-rank-fgsm")
    said = refimpl("train", *TUNE, "--from", "a", "--low-rank", "60%", "--out", "c", code=3).stderr
    assert "a: U1 is float32(20, 6), the configuration says float32(20, 12)" in said
    assert not Path("c").exists()


def test_a_truncated_net_is_attacked_beside_the_net_as_it_is(refimpl, natural, attacked):
    params = Run.open(natural).latest().params
    data = load("strokes-small").test
    x = data.images.reshape(-1, 784) / np.float32(255)
    right = (fcnn.forward(dense(factorised(params, 0.2)), x)[0].argmax(-1) == data.labels).mean()
    options = (natural, "--eps", "0.05")
    (whole,), (cut,) = attacked(*options), attacked(*options, "--truncate", "20%")
    assert cut["accuracy"] == pytest.approx(right)
    assert cut["accuracy"] != whole["accuracy"]
    assert cut["truncated"] == 0.2
    assert "truncated" not in whole
    names = {"pgd-eps0.05.json", "pgd-eps0.05-truncated0.2.json"}
    assert {path.name for path in (natural / "attacks").glob("*.json")} == names
    for fraction in ("0%", "120%"):
        assert "the full rank" in refimpl("attack", *options, "--truncate", fraction, code=2).stderr


def test_a_low_rank_net_is_truncated_further(run, attacked):
    (whole,), (same,), (cut,) = (
        attacked(run, "--eps", "0", *more) for more in ((), ("--truncate", "50%"), ("--truncate", "10%"))
    )
    assert whole["accuracy"] == same["accuracy"] > cut["accuracy"]


def test_the_convolutional_net_too(refimpl, few_images):
    refimpl("train", *SMALL, "--arch", "cnn", "--low-rank", "50%", "--tau", "0.1", "--out", "run")
    found = measured(refimpl, "run")
    assert [layer["rank"] for layer in found["layers"]] == [5, 16, 64, 10]
    assert max(layer["condition_number"] for layer in found["layers"]) <= 1.1 * (1 + 1e-6)
    refimpl("attack", "run", "--attack", "gnm")


def test_lenet_5_is_trained_attacked_and_measured(refimpl, few_images):
    small = ("--dataset", "strokes-small", "--arch", "lenet5", "--low-rank", "20%", "--tau", "0.5", "--epochs", "1")
    said = refimpl("train", *small, "--no-report", "--out", "run").stderr
    assert "W1 4 of 20, W2 10 of 50, W3 100 of 500, W4 10 of 10" in said
    config = Run.open(Path("run")).config
    assert (config.arch, config.batch_size) == ("lenet5", 128)
    assert (config.optimizer.learning_rate, config.optimizer.momentum) == (0.1, 0.3)
    found = measured(refimpl, "run")
    assert [layer["rank"] for layer in found["layers"]] == [4, 10, 100, 10]
    assert max(layer["condition_number"] for layer in found["layers"]) <= 1.5 * (1 + 1e-6)
    refimpl("attack", "run", "--attack", "fgsm", "--examples", "20")
    assert json.loads(refimpl("runs", ".", "--json").stdout)["runs"][0]["arch"] == "lenet5"
    resumed = refimpl("train", "--resume", "run", "--epochs", "2", "--no-report").stderr
    assert "2/2 epochs" in resumed


def test_lenet_5_has_no_table_of_the_paper(refimpl):
    said = refimpl("train", "--arch", "lenet5", "--dataset", "strokes-small", "--method", "l1-0.01", code=2).stderr
    assert "l1-0.01 is no method of lenet5: choose one of natural, fgsm, pgd" in said


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--low-rank", "0%"), "fraction must be finite and above 0 and at most 1, got 0.0"),
        (("--low-rank", "120%"), "at most 1, got 1.2"),
        (("--low-rank", "half"), "'half' is not a number like 0.05, 50% or 8/255"),
        (("--low-rank", "50%", "--tau", "0"), "tau must be above 0"),
        (("--low-rank", "50%", "--tau", "-1"), "tau must be at least 0, got -1"),
        (("--low-rank", "50%", "--low-rank-mode", "mean", "--tau", "0.2"), "tau"),
        (("--tau", "0.1"), "--tau belongs to low-rank training: give --low-rank, too"),
        (("--low-rank-mode", "mean"), "--low-rank-mode belongs to low-rank training: give --low-rank, too"),
        (("--low-rank", "50%", "--nuclear", "1=0.01"), "are for full weights"),
        (("--low-rank", "50%", "--method", "l1-0.01"), "are for full weights"),
        (("--low-rank", "50%", "--adversarial-weights", "0.01"), "are for full weights"),
        (("--low-rank", "50%", "--optimizer", "adam"), "sgd"),
    ],
)
def test_what_makes_no_sense_is_refused_before_any_work(refimpl, options, message):
    assert message in refimpl("train", *SMALL, *options, code=2).stderr
    assert not Path("runs").exists()
