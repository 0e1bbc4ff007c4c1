"""`refimpl train`: what it leaves, where its settings come from, and what continues to the same bits."""

import importlib
import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from refimpl.runs import fit
from refimpl.runs.checkpoint import read
from refimpl.runs.folder import Run

SMALL = ("--dataset", "strokes-small")
ONE = (*SMALL, "--epochs", "1", "--no-report")


def config_of(refimpl, *options):
    refimpl("train", "--monitor-examples", "20", *ONE, *options, "--out", "run")
    return Run.open(Path("run")).config


def test_train_leaves_a_run_attacked_and_measured(refimpl):
    result = refimpl("train", *SMALL, "--epochs", "2")
    for word in ("fgsm", "pgd", "gnm", "fooling ratio", "effective rank", "W6", "test accuracy"):
        assert word in result.stdout
    assert "training: 2/2 epochs" in result.stderr
    run = Run.open(Path("runs/fcnn-strokes-small-seed0"))
    assert run.manifest["status"] == "finished"
    assert (run.folder / "measure.json").is_file()
    found = {path.name for path in (run.folder / "attacks").glob("*.json")}
    assert found == {"fgsm-eps0.05.json", "gnm-eps0.05.json", "pgd-eps0.05.json"}


def test_without_the_papers_data_it_says_so_in_one_line_and_names_no_data_set(refimpl, monkeypatch):
    finding = importlib.import_module("refimpl.data.find")
    monkeypatch.setattr(finding, "cache", lambda: Path("no-cache"))
    monkeypatch.setattr(finding, "SYSTEM", Path("no-system"))
    result = refimpl("train", "--epochs", "1", "--no-report")
    (line,) = [line for line in result.stderr.splitlines() if "not found" in line]
    assert "using the built-in set `strokes`" in line
    assert "refimpl data fetch mnist" in line
    assert Run.open(Path("runs/fcnn-seed0")).manifest["data"]["name"] == "strokes"


def test_the_name_of_a_run_says_what_was_asked_for(refimpl, run):
    refimpl("train", *ONE)
    refimpl("train", *ONE)  # takes the next name
    Path("my.toml").write_text("dataset = 'strokes-small'\nepochs = 1\n")
    refimpl("train", "--config", "my.toml", "--seed", "2", "--no-report")
    refimpl("train", "--from", run, "--method", "fgsm", "--epochs", "1", "--no-report")
    refimpl("train", "--from", run, *ONE, "--adversarial", "pgd", "--nuclear", "1=0.02")
    assert {path.name for path in Path("runs").iterdir()} == {
        "fcnn-strokes-small-seed0", "fcnn-strokes-small-seed0-2", "fcnn-strokes-small-seed2", "fcnn-fgsm-seed0",
        "fcnn-strokes-small-pgd-nuclear-seed0",
    }  # fmt: skip


def test_train_json(refimpl):
    summary = json.loads(refimpl("train", *SMALL, "--epochs", "1", "--json").stdout)
    assert {"accuracy", "layers", "attacks", "epoch", "dataset"} <= set(summary)
    assert [layer["name"] for layer in summary["layers"]] == [f"W{i}" for i in range(1, 7)]
    assert {"effective_rank", "effective_sparsity"} <= set(summary["layers"][0])
    for attack in summary["attacks"]:
        assert {"attack", "eps", "fooling_ratio", "n_correct", "accuracy"} <= set(attack)


def test_a_runs_config_does_it_again(refimpl, run):
    refimpl("train", "--config", run / "config.toml", "--out", "again", "--no-report")
    assert (run / "history.jsonl").read_bytes() == Path("again/history.jsonl").read_bytes()


def test_options_win_over_the_file_and_the_file_over_the_defaults(refimpl):
    Path("my.toml").write_text("dataset = 'strokes-small'\nepochs = 1\nseed = 5\nbatch_size = 64\n")
    refimpl("train", "--config", "my.toml", "--seed", "7", "--out", "run", "--no-report")
    config = Run.open(Path("run")).config
    assert (config.seed, config.batch_size, config.epochs, config.optimizer.learning_rate) == (7, 64, 1, 0.001)


@pytest.mark.parametrize(
    ("options", "path", "setting"),
    [
        (("--dtype", "float64"), "dtype", "float64"),
        (("--seed", "3"), "seed", 3),
        (("--batch-size", "50"), "batch_size", 50),
        (("--optimizer", "adam"), "optimizer.name", "adam"),
        (("--learning-rate", "0.01"), "optimizer.learning_rate", 0.01),
        (("--momentum", "0.9"), "optimizer.momentum", 0.9),
        (("--optimizer", "adam", "--beta2", "99%"), "optimizer.beta2", 0.99),
        (("--widths", "784,12,10"), "network.widths", (784, 12, 10)),
        (("--checkpoint-every", "2"), "checkpoint_every", 2),
        (("--threads", "2"), "threads", 2),
        (("--monitor", "all"), "monitor", "all"),
        (("--monitor-examples", "50"), "monitor_examples", 50),
        (("--proximal",), "proximal", True),
        (("--proximal", "--no-proximal"), "proximal", False),
        (("--adversarial", "fgsm"), "attack.name", "fgsm"),
        (("--adversarial", "none"), "attack", None),
        (("--adversarial", "fgsm", "--eps", "8/255"), "attack.eps", 8 / 255),
        (("--adversarial", "fgsm", "--clip"), "attack.clip", (0.0, 1.0)),
        (("--adversarial", "pgd", "--seed", "4"), "attack.seed", 4),
        (("--adversarial", "pgd", "--random-start", "--steps", "1"), "attack.random_start", True),
        (("--adversarial", "fgsm", "--adversarial-fraction", "50%"), "adversarial_fraction", 0.5),
        (("--adversarial-weights", "0.01"), "adversarial_weights", 0.01),
    ],
)
def test_every_option_reaches_the_config(refimpl, options, path, setting):
    found = config_of(refimpl, *options)
    for name in path.split("."):
        found = getattr(found, name)
    assert found == setting


@pytest.mark.parametrize(
    ("options", "terms"),
    [
        (("--l1", "1=0.01,2=0.02"), {"l1": {"W1": 0.01, "W2": 0.02}}),
        (("--nuclear", "1=0.03"), {"nuclear": {"W1": 0.03}}),
        (("--joint", "0.001"), {"joint": {"lam": 0.001}}),
        (("--operator-norms", "0.001"), {"operator-norms": {"mu": 0.001}}),
        (("--margin-bound", "0.1", "--margin-bound-eps-weights", "0.001", "--margin-bound-eps", "0.01"),
         {"margin-bound": {"lam": 0.1, "eps": 0.01, "eps_weights": 0.001}}),
        (("--joint", "0", "--margin-bound", "0", "--operator-norms", "0", "--l1", "1=0"), {}),
        (("--method", "l1-0.01-nuclear-0.03", "--l1", "1=0,2=0.02"), {"l1": {"W2": 0.02}, "nuclear": {"W1": 0.03}}),
        (("--joint", "0", "--method", "joint-0.001"), {}),
    ],
)  # fmt: skip
def test_regularizers_reach_the_config_and_without_a_factor_are_none(refimpl, options, terms):
    config = config_of(refimpl, *options)
    assert {term.name: term.table() for term in config.regularizers} == terms
    assert set(terms) <= set(Run.open(Path("run")).history[0])


def test_the_backend_that_was_found_reaches_the_config(refimpl):
    assert config_of(refimpl, "--backend", "auto").backend in ("numpy", "cupy")


def test_fine_tuning_starts_from_a_runs_weights_and_takes_its_net_and_data(refimpl):
    refimpl("train", *ONE, "--widths", "784,12,10", "--dtype", "float64", "--out", "natural")
    options = ("--adversarial", "fgsm", "--eps", "0.1", "--epochs", "2", "--no-report", "--out", "tuned")
    refimpl("train", "--from", "natural", *options)
    tuned = Run.open(Path("tuned"))
    config = tuned.config
    assert (config.network.widths, config.dtype, config.dataset) == ((784, 12, 10), "float64", "strokes-small")
    assert config.start == "natural"
    start, natural = read(tuned.checkpoint_path(0)), Run.open(Path("natural")).latest()
    for name, p in natural.params.items():
        assert (start.params[name] == p).all()
    assert tuned.history[0]["loss"] > Run.open(Path("natural")).history[-1]["loss"]


def test_a_fine_tuning_needs_its_source_only_once(refimpl, run):
    how = ("train", "--from", run, "--adversarial", "fgsm", "--monitor", "none", "--no-report")
    refimpl(*how, "--epochs", "1", "--out", "tuned")
    refimpl(*how, "--epochs", "2", "--out", "straight")
    shutil.rmtree(run)
    refimpl("train", "--resume", "tuned", "--epochs", "2", "--no-report")
    assert Path("tuned/history.jsonl").read_bytes() == Path("straight/history.jsonl").read_bytes()
    assert "--from" in refimpl("train", "--config", "tuned/config.toml", code=2).stderr


def test_adversarial_training_lowers_the_fooling_ratio(refimpl, natural, attacked):
    options = ("--optimizer", "adam", "--learning-rate", "0.005", "--epochs", "10", "--adversarial", "fgsm")
    refimpl("train", "--from", natural, *options, "--monitor", "none", "--out", "tuned", "--no-report")
    before, after = (attacked(run, "--eps", "0.02")[0]["fooling_ratio"] for run in (natural, "tuned"))
    assert after < 0.7 * before


def test_a_method_is_a_row_of_the_papers_table(refimpl):
    refimpl("train", *ONE, "--method", "l1-0.01-nuclear-0.03", "--seed", "3")
    run = Run.open(Path("runs/fcnn-strokes-small-l1-0.01-nuclear-0.03-seed3"))
    assert [term.table() for term in run.config.regularizers] == [{"W1": 0.01}, {"W1": 0.03}]
    assert {"l1", "nuclear"} < set(run.history[0])
    refimpl("train", *ONE, "--method", "pgd", "--eps", "0.01", "--adversarial-fraction", "0.5", "--out", "mixed")
    mixed = Run.open(Path("mixed")).config
    assert (mixed.attack.name, mixed.attack.eps, mixed.adversarial_fraction) == ("pgd", 0.01, 0.5)
    assert "is not one of 'natural', 'fgsm'" in refimpl("train", "--method", "trades", code=2).stderr
    config = run.folder / "config.toml"
    refimpl("train", "--config", config, "--method", "natural", "--out", "natural", "--no-report")
    assert Run.open(Path("natural")).config.method == "natural"


def test_an_adversarial_run_monitors_its_fooling_ratio(refimpl, run):
    options = ("--method", "fgsm", "--epochs", "9", "--monitor-examples", "20", "--out", "tuned", "--no-report")
    refimpl("train", "--from", run, *options)
    history = Run.open(Path("tuned")).history
    assert [line["epoch"] for line in history if "attacks" in line] == [1, 2, 3, 4, 5, 6, 8, 9]  # and the last
    for found in history[0]["attacks"]:
        assert found["n"] == 20
        assert 0 <= found["fooling_ratio"] <= 1
    assert not any("attacks" in line for line in Run.open(run).history)


def test_the_cnn_is_trained_attacked_and_measured_like_the_other(refimpl, attacked, few_images):
    options = (*SMALL, "--optimizer", "adam", "--learning-rate", "0.001", "--epochs", "10", "--no-report")
    refimpl("train", "--arch", "cnn", *options, "--out", "cnn")
    config = Run.open(Path("cnn")).config
    assert (config.batch_size, config.optimizer.learning_rate, config.threads) == (64, 0.001, 1)
    tuned = ("train", "--from", "cnn", "--method", "l1-0.01-nuclear-0.05", "--epochs", "1", "--no-report", "--out")
    refimpl(*tuned, "tuned")
    refimpl(*tuned, "tuned-2", "--threads", "2")
    assert Path("tuned/history.jsonl").read_bytes() == Path("tuned-2/history.jsonl").read_bytes()
    run = Run.open(Path("tuned"))
    assert run.config.optimizer.learning_rate == 0.001
    assert [term.table() for term in run.config.regularizers] == [{"W1": 0.01, "W2": 0.01}, {"W2": 0.05}]
    assert {"l1", "nuclear"} < set(run.history[0])
    assert [layer["name"] for layer in run.history[0]["layers"]] == ["W1", "W2", "W3", "W4"]
    assert attacked("tuned", "--attack", "fgsm")[0]["fooling_ratio"] > 0.1
    assert "32 x 288" in refimpl("measure", "tuned").stdout
    assert "dense networks only" in refimpl("train", "--from", "cnn", "--joint", "0.1", code=2).stderr
    assert "is no method of cnn" in refimpl("train", "--from", "cnn", "--method", "nuclear-0.01", code=2).stderr


def test_the_usual_settings_are_those_of_the_network(refimpl, few_images):
    config = config_of(refimpl, "--arch", "cnn")
    assert (config.batch_size, config.optimizer.learning_rate) == (64, 0.01)


def test_resume_goes_on_for_longer(refimpl, run, trained):
    assert "warning" not in refimpl("train", "--resume", run, "--epochs", "4", "--no-report").stderr
    straight = trained("straight", "--epochs", 4)
    assert (run / "history.jsonl").read_bytes() == (straight / "history.jsonl").read_bytes()


def test_resume_keeps_the_settings(refimpl, run):
    assert "--resume keeps" in refimpl("train", "--resume", run, "--seed", "1", code=2).stderr
    assert "less" in refimpl("train", "--resume", run, "--epochs", "1", code=2).stderr


def test_ctrl_c_leaves_a_resumable_run_and_says_the_command(refimpl):
    arguments = ["train", "--dataset", "strokes-small", "--epochs", "100000", "--out", "run"]
    command = [sys.executable, "-m", "refimpl", *arguments]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    while not Path("run/history.jsonl").exists() or not Path("run/history.jsonl").read_text():
        time.sleep(0.05)
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "`refimpl train --resume run` continues it" in errors
    assert "Traceback" not in errors
    run = Run.open(Path("run"))
    assert run.manifest["status"] == "interrupted"
    assert run.latest().epoch == len(run.history)


def test_an_interrupt_while_an_epoch_is_logged_leaves_the_log_and_the_weights_of_one_epoch(refimpl, monkeypatch):
    append = fit.append_line

    def interrupted(path, line):
        append(path, line)
        if '"epoch": 2,' in line:
            raise KeyboardInterrupt

    monkeypatch.setattr(fit, "append_line", interrupted)
    refimpl("train", *SMALL, "--epochs", "3", "--no-report", "--out", "run", code=130)
    run = Run.open(Path("run"))
    assert run.latest().epoch == len(run.history) == 1
