"""The command line through its installed entry point, as people and scripts meet it."""

import functools
import importlib
import json
import math
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from refimpl.attacks.base import ATTACKS
from refimpl.backend import cupy_trouble
from refimpl.bench.memory import peak_bytes
from refimpl.runs.checkpoint import read
from refimpl.runs.folder import Run

QUICK = ("--dataset", "strokes", "--epochs", "2")


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """An empty folder to run in, and no real data to be found."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("REFIMPL_DATA", raising=False)


@pytest.fixture
def run(refimpl) -> Path:
    refimpl("train", *QUICK, "--no-report")
    return Path("runs/fcnn-strokes-seed0")


def last_object(result):
    """--json prints one JSON object on standard output, and nothing else."""
    return json.loads(result.stdout)


def test_train_leaves_a_run_attacked_and_measured(refimpl):
    result = refimpl("train", *QUICK)
    for word in ("fgsm", "pgd", "gnm", "fooling ratio", "effective rank", "W6", "test accuracy"):
        assert word in result.stdout
    assert "training: 2/2 epochs" in result.stderr
    run = Run.open(Path("runs/fcnn-strokes-seed0"))
    assert run.manifest["status"] == "finished"
    assert (run.folder / "measure.json").is_file()
    assert sorted(path.name for path in (run.folder / "attacks").glob("*.json")) == [
        f"{name}-eps0.05.json" for name in sorted(ATTACKS)
    ]


def test_train_without_the_papers_data_says_so_in_one_line(refimpl, monkeypatch):
    finding = importlib.import_module("refimpl.data.find")
    monkeypatch.setattr(finding, "cache", lambda: Path("no-cache"))
    monkeypatch.setattr(finding, "SYSTEM", Path("no-system"))
    result = refimpl("train", "--epochs", "1", "--no-report")
    (line,) = [line for line in result.stderr.splitlines() if "not found" in line]
    assert "using the built-in set `strokes`" in line
    assert "refimpl data fetch mnist" in line
    assert Run.open(Path("runs/fcnn-strokes-seed0")).manifest["data"]["name"] == "strokes"


def test_train_again_takes_the_next_name(refimpl, run):
    refimpl("train", *QUICK, "--no-report")
    assert Path("runs/fcnn-strokes-seed0-2").is_dir()


def test_train_json(refimpl):
    summary = last_object(refimpl("train", *QUICK, "--json"))
    assert {"accuracy", "layers", "attacks", "epoch", "dataset"} <= set(summary)
    assert [layer["name"] for layer in summary["layers"]] == [f"W{i}" for i in range(1, 7)]
    assert {"effective_rank", "effective_sparsity"} <= set(summary["layers"][0])
    for attack in summary["attacks"]:
        assert {"attack", "eps", "fooling_ratio", "n_correct", "accuracy"} <= set(attack)


def test_a_runs_config_does_it_again(refimpl, run):
    refimpl("train", "--config", run / "config.toml", "--out", "again", "--no-report")
    assert (run / "history.jsonl").read_bytes() == Path("again/history.jsonl").read_bytes()


def test_options_win_over_the_file_and_the_file_over_the_defaults(refimpl):
    Path("my.toml").write_text("dataset = 'strokes'\nepochs = 1\nseed = 5\nbatch_size = 64\n")
    refimpl("train", "--config", "my.toml", "--seed", "7", "--out", "run", "--no-report")
    config = Run.open(Path("run")).config
    assert (config.seed, config.batch_size, config.epochs, config.learning_rate) == (7, 64, 1, 0.001)


@pytest.mark.parametrize(
    ("option", "value", "setting"),
    [
        ("--dtype", "float64", "float64"),
        ("--seed", "3", 3),
        ("--batch-size", "50", 50),
        ("--optimizer", "adam", "adam"),
        ("--learning-rate", "0.01", 0.01),
        ("--momentum", "0.9", 0.9),
        ("--widths", "784,12,10", (784, 12, 10)),
        ("--checkpoint-every", "2", 2),
        ("--threads", "2", 2),
        ("--l1", "1=0.01,2=0.02", {"W1": 0.01, "W2": 0.02}),
        ("--nuclear", "1=0.03", {"W1": 0.03}),
        ("--joint", "0.001", 0.001),
        ("--proximal", None, True),
        ("--watch", "all", "all"),
        ("--watch-examples", "50", 50),
        ("--adversarial", "fgsm", "fgsm"),
        ("--eps", "0.1", 0.1),
        ("--clip", None, True),
        ("--backend", "auto", None),
    ],
)
def test_every_option_reaches_the_config(refimpl, option, value, setting):
    given = (option,) if value is None else (option, value)
    refimpl("train", *QUICK, *given, "--out", "run", "--no-report")
    config = Run.open(Path("run")).config
    if setting is None:
        assert config.backend in ("numpy", "cupy")
    else:
        assert getattr(config, option[2:].replace("-", "_")) == setting


def test_fine_tuning_starts_from_a_runs_weights_and_takes_its_net_and_data(refimpl):
    refimpl("train", *QUICK, "--widths", "784,12,10", "--dtype", "float64", "--out", "natural", "--no-report")
    refimpl("train", "--from", "natural", "--adversarial", "fgsm", "--eps", "0.1", "--epochs", "2", "--no-report")
    tuned = Run.open(Path("runs/fcnn-strokes-fgsm-seed0"))
    assert (tuned.config.widths, tuned.config.dtype, tuned.config.start) == ((784, 12, 10), "float64", "natural")
    start, natural = read(tuned.checkpoint_path(0)), Run.open(Path("natural")).latest()
    for name, p in natural.params.items():
        assert (start.params[name] == p).all()
    assert tuned.history[0]["loss"] > Run.open(Path("natural")).history[-1]["loss"]


def test_a_fine_tuning_needs_its_source_only_once(refimpl, run):
    refimpl("train", "--from", run, "--adversarial", "pgd", "--epochs", "1", "--out", "tuned", "--no-report")
    refimpl("train", "--from", run, "--adversarial", "pgd", "--epochs", "2", "--out", "straight", "--no-report")
    shutil.rmtree(run)
    refimpl("train", "--resume", "tuned", "--epochs", "2", "--no-report")
    assert Path("tuned/history.jsonl").read_bytes() == Path("straight/history.jsonl").read_bytes()
    assert "--from" in refimpl("train", "--config", "tuned/config.toml", code=2).stderr


def test_adversarial_training_lowers_the_fooling_ratio(refimpl):
    common = ("train", "--dataset", "strokes", "--optimizer", "adam", "--no-report")
    refimpl(*common, "--epochs", "5", "--out", "natural")
    refimpl(*common[:1], *common[3:], "--from", "natural", "--epochs", "3", "--adversarial", "pgd", "--out", "tuned")
    ratios = [
        last_object(refimpl("attack", run, "--no-save-images", "--json"))["attacks"][0]["fooling_ratio"]
        for run in ("natural", "tuned")
    ]
    assert ratios[1] < 0.7 * ratios[0]


def test_a_method_is_a_row_of_the_papers_table(refimpl):
    refimpl("train", *QUICK, "--method", "l1-0.01-nuclear-0.03", "--seed", "3", "--no-report")
    run = Run.open(Path("runs/fcnn-strokes-l1-0.01-nuclear-0.03-seed3"))
    assert (run.config.l1, run.config.nuclear) == ({"W1": 0.01}, {"W1": 0.03})
    assert {"l1", "nuclear"} < set(run.history[0])
    refimpl(
        "train",
        *QUICK,
        "--method",
        "pgd",
        "--eps",
        "0.01",
        "--adversarial-share",
        "0.5",
        "--out",
        "mixed",
        "--no-report",
    )
    mixed = Run.open(Path("mixed"))
    assert (mixed.config.adversarial, mixed.config.eps, mixed.config.adversarial_share) == ("pgd", 0.01, 0.5)
    assert "is not one of 'natural', 'fgsm'" in refimpl("train", "--method", "trades", code=2).stderr
    config = run.folder / "config.toml"
    refimpl("train", "--config", config, "--method", "natural", "--out", "natural", "--no-report")
    assert Run.open(Path("natural")).config.method == "natural"


def test_an_adversarial_run_watches_its_fooling_ratio(refimpl, run):
    refimpl(
        "train",
        "--from",
        run,
        "--method",
        "fgsm",
        "--epochs",
        "9",
        "--watch-examples",
        "60",
        "--out",
        "tuned",
        "--no-report",
    )
    history = Run.open(Path("tuned")).history
    assert [line["epoch"] for line in history if "attacks" in line] == [1, 2, 3, 4, 5, 6, 8, 9]  # and the last
    for found in history[0]["attacks"]:
        assert found["n"] == 60
        assert 0 <= found["fooling_ratio"] <= 1
    assert not any("attacks" in line for line in Run.open(run).history)


def test_the_cnn_is_trained_attacked_and_measured_like_the_other(refimpl):
    refimpl("train", "--arch", "cnn", "--dataset", "strokes", "--epochs", "1", "--no-report", "--out", "cnn")
    config = Run.open(Path("cnn")).config
    assert (config.batch_size, config.learning_rate, config.threads) == (64, 0.01, 1)
    tuned = ("train", "--from", "cnn", "--method", "l1-0.01-nuclear-0.05", "--epochs", "1", "--no-report", "--out")
    refimpl(*tuned, "tuned")
    refimpl(*tuned, "tuned-2", "--threads", "2")
    assert Path("tuned/history.jsonl").read_bytes() == Path("tuned-2/history.jsonl").read_bytes()
    run = Run.open(Path("tuned"))
    assert (run.config.learning_rate, run.config.nuclear) == (0.001, {"W2": 0.05})
    assert {"l1", "nuclear"} < set(run.history[0])
    assert [layer["name"] for layer in run.history[0]["layers"]] == ["W1", "W2", "W3", "W4"]
    attacked = last_object(refimpl("attack", "tuned", "--examples", "200", "--no-save-images", "--json"))["attacks"][0]
    assert attacked["fooling_ratio"] > 0.1
    assert "32 x 288" in refimpl("measure", "tuned").stdout
    assert "chain" in refimpl("train", "--from", "cnn", "--joint", "0.1", code=2).stderr
    assert "is no method of cnn" in refimpl("train", "--from", "cnn", "--method", "nuclear-0.01", code=2).stderr


def test_resume_goes_on_for_longer(refimpl, run):
    assert "warning" not in refimpl("train", "--resume", run, "--epochs", "4", "--no-report").stderr
    refimpl("train", "--dataset", "strokes", "--epochs", "4", "--out", "straight", "--no-report")
    assert (run / "history.jsonl").read_bytes() == Path("straight/history.jsonl").read_bytes()


def test_resume_keeps_the_settings(refimpl, run):
    assert "--resume keeps" in refimpl("train", "--resume", run, "--seed", "1", code=2).stderr
    assert "less" in refimpl("train", "--resume", run, "--epochs", "1", code=2).stderr


def test_attack_takes_a_list_of_budgets_and_keeps_each_example(refimpl, run):
    result = refimpl(
        "attack", run, "--attack", "pgd", "--eps", "0.01,0.05", "--steps", "3", "--step-size", "0.02", "--json"
    )
    low, high = last_object(result)["attacks"]
    assert (low["eps"], high["eps"]) == (0.01, 0.05)
    assert low["n_fooled"] <= high["n_fooled"]
    assert low["n_correct"] == high["n_correct"]
    saved = load_file(run / "attacks" / "pgd-eps0.05-steps3-step-size0.02.safetensors")
    assert saved["x_adv"].shape == (high["n_correct"], 784)
    assert (saved["adversarial_label"] != saved["label"]).sum() == high["n_fooled"]


def test_attack_options(refimpl, run):
    base = ("attack", run, "--examples", "100", "--json")
    unclipped = last_object(refimpl(*base, "--attack", "gnm", "--norm", "2", "--eps", "1.5"))["attacks"][0]
    assert (unclipped["norm"], unclipped["n"]) == ("2", 100)
    clipped = last_object(refimpl(*base, "--clip", "--random-start", "--restarts", "2", "--no-save-images"))["attacks"][
        0
    ]
    assert (clipped["clip"], clipped["restarts"]) == ([0.0, 1.0], 2)
    saved = load_file(run / "attacks" / "pgd-eps0.05-random-start-restarts2-clip.safetensors")
    assert "x_adv" not in saved


def test_measure_prints_a_table_and_writes_json(refimpl, run):
    result = refimpl("measure", run)
    for line in [f"W{i}" for i in range(1, 7)]:
        assert line in result.stdout
    assert json.loads((run / "measure.json").read_text()) == last_object(refimpl("measure", run, "--json"))


def test_measure_bounds_what_the_hidden_layers_know(refimpl, run):
    *hidden, last = last_object(refimpl("measure", run, "--mi", "--json"))["layers"]
    assert "mutual_information_lower" not in last
    for layer in hidden:
        assert 0 <= layer["mutual_information_lower"] <= layer["mutual_information_upper"] <= math.log2(2000)
        assert 0 <= layer["label_information_lower"] <= layer["label_information_upper"] <= math.log2(10)
    assert "I(x;t), bits" in refimpl("measure", run, "--mi", "--sigma2", "0.5").stdout
    assert "sigma2 must be" in refimpl("measure", run, "--mi", "--sigma2", "0", code=2).stderr


def test_bench_mi_computes_the_same_bounds(refimpl, monkeypatch):
    monkeypatch.setattr("refimpl.bench.race.os.sched_setaffinity", lambda pid, cpus: None, raising=False)
    (row,) = last_object(refimpl("bench", "mi", "--examples", "300", "--repeats", "1", "--json"))["benchmarks"]
    assert row["bounds"] == pytest.approx(row["peer_bounds"], rel=1e-9)
    assert row["peak_bytes"] < row["peer_peak_bytes"]


def test_bench_nuclear_computes_the_same_gradient(refimpl, monkeypatch):
    monkeypatch.setattr("refimpl.bench.race.os.sched_setaffinity", lambda pid, cpus: None, raising=False)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    rows = last_object(refimpl("bench", "nuclear", "--dataset", "strokes", "--repeats", "1", "--json"))["benchmarks"]
    gram, svd, absent, step = rows
    for row in (gram, svd):
        assert row["error"] < 1e-6
        assert row["peer_error"] < 1e-6
    assert absent["peer"] == "torch"
    assert step["peer"] == "the same without the term"
    assert "SVD" in refimpl("bench", "nuclear", "--dataset", "strokes", "--repeats", "1").stdout


def test_bench_cost_prints_exponents(refimpl, monkeypatch):
    monkeypatch.setattr("refimpl.bench.race.os.sched_setaffinity", lambda pid, cpus: None, raising=False)
    monkeypatch.setattr("refimpl.bench.cost.GRID", {"batch": (4, 16), "side": (14, 20)})
    monkeypatch.setattr("refimpl.bench.cost.EVALUATED", (512, 1024))
    rows = last_object(refimpl("bench", "cost", "--repeats", "1", "--json"))["costs"]
    fits = {row["varied"]: row for row in rows if "size" not in row}
    assert set(fits) == {"batch", "side", "images evaluated"}
    assert fits["images evaluated"]["peak_bytes_exponent"] < 0.1  # bounded by the chunk, not by the data
    assert "grows as its power" in refimpl("bench", "cost", "--repeats", "1").stdout


def test_peak_memory_is_what_a_fresh_process_needs():
    small, large = (peak_bytes(functools.partial, np.ones, 10**6 * mb // 8) for mb in (10, 110))
    assert 90e6 < large - small < 110e6


def test_accuracy_is_the_same_wherever_it_is_said(refimpl, run):
    measured = last_object(refimpl("measure", run, "--json"))
    attacked = last_object(refimpl("attack", run, "--attack", "fgsm", "--json"))["attacks"][0]
    assert measured["accuracy"] == attacked["accuracy"]
    assert math.isclose(measured["accuracy"], Run.open(run).history[-1]["accuracy"], rel_tol=1e-6)


def test_runs_lists_good_and_damaged(refimpl, run):
    Path("runs/broken").mkdir()
    Path("runs/broken/config.toml").write_text("nonsense = 1\n")
    listed = {row["run"]: row for row in last_object(refimpl("runs", "--json"))["runs"]}
    assert listed["runs/fcnn-strokes-seed0"]["status"] == "finished"
    assert "unknown setting" in listed["runs/broken"]["status"]
    assert "2/2" in refimpl("runs").stdout


def test_doctor_shows_everything_on_one_screen(refimpl):
    result = refimpl("doctor")
    for word in ("python", "numpy", "openblas", "gpu", "mnist", "/usr/share/datasets"):
        assert word in result.stdout
    assert len(result.stdout.splitlines()) < 30
    facts = last_object(refimpl("doctor", "--json"))
    assert (facts["gpu"] is None) == (facts["gpu_trouble"] is not None)
    if facts["gpu_trouble"]:
        assert "refimpl[cuda12]" in result.stdout


def test_bench_says_who_is_absent_and_times_the_readable_step(refimpl, monkeypatch):
    monkeypatch.setattr("refimpl.bench.race.os.sched_setaffinity", lambda pid, cpus: None, raising=False)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    rows = last_object(refimpl("bench", "train", "--dataset", "strokes", "--repeats", "1", "--json"))["benchmarks"]
    assert {"name", "ours_s", "peer", "peer_s", "ratio", "threads", "repeats"} <= set(rows[0])
    assert math.isclose(rows[0]["ratio"], rows[0]["peer_s"] / rows[0]["ours_s"])
    assert math.isclose(rows[0]["accuracy"], rows[0]["peer_accuracy"], abs_tol=0.005)
    assert rows[-1]["absent"] == "torch is not installed: `pip install torch`"


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("train", "--backend", "cupy"), 2, "refimpl[cuda12]"),
        (("train", "--dataset", "mnits"), 2, "did you mean mnist"),
        (("train", "--data-dir", "nowhere"), 3, "nowhere is not a folder"),
        (("train", "--config", "nowhere.toml"), 2, "cannot be read"),
        (("train", *QUICK, "--learning-rate", "-1"), 2, "learning rate must be"),
        (("train", *QUICK, "--learning-rate", "1e9"), 4, "training failed at epoch 1, batch"),
        (("train", *QUICK, "--widths", "784,ten"), 2, "comma-separated"),
        (("train", *QUICK, "--out", "."), 2, "exists"),
        (("train", *QUICK, "--l1", "7=0.1"), 2, "a regularized layer must be one of W1"),
        (("train", *QUICK, "--l1", "1=-0.1"), 2, "lambda must be finite and at least 0"),
        (("train", *QUICK, "--nuclear", "first"), 2, "is not a list like 1=0.01"),
        (("train", *QUICK, "--joint", "nan"), 2, "lambda must be finite"),
        (("train", *QUICK, "--adversarial-share", "0.5"), 2, "needs an attack"),
        (("train", *QUICK, "--proximal", "--optimizer", "adam"), 2, "proximal steps have the length of sgd's"),
        (("train", "--resume", "nowhere", "--method", "pgd"), 2, "--resume keeps the run's own settings"),
        (("train", *QUICK, "--eps", "-0.1"), 2, "eps must be finite and at least 0"),
        (("train", *QUICK, "--from", "nowhere"), 3, "is not a run"),
        (("train", *QUICK, "--out", "/dev/null/run"), 3, "the system refused"),
        (("train", "--resume", "nowhere"), 3, "is not a run"),
        (("attack", "nowhere"), 3, "is not a run"),
        (("attack", "nowhere", "--eps", "-1"), 2, "eps must be finite and at least 0"),
        (("attack", "nowhere", "--attack", "fgms"), 2, "Invalid value"),
        (("measure", "nowhere"), 3, "is not a run"),
    ],
)
def test_errors_are_one_line_with_their_exit_code(refimpl, arguments, code, message):
    if "cupy" in arguments and cupy_trouble() is None:
        pytest.skip("CuPy works here: there is nothing to complain of")
    result = refimpl(*arguments, code=code)
    (line,) = [line for line in result.stderr.splitlines() if message in line]
    assert "Traceback" not in result.output
    if not line.startswith("Error:"):
        assert line.startswith("refimpl: ")


def test_a_damaged_checkpoint_and_a_wrong_one_are_data_errors(refimpl, run):
    (checkpoint,) = (run / "checkpoints").iterdir()
    content = checkpoint.read_bytes()
    checkpoint.write_bytes(content[:-5])
    assert (
        "damaged" in refimpl("measure", run, code=3).output or "can be read" in refimpl("measure", run, code=3).output
    )
    checkpoint.write_bytes(content)
    config = run / "config.toml"
    config.write_text(config.read_text().replace("    20,\n    20,\n", "    20,\n    30,\n", 1))
    assert "the configuration says" in refimpl("measure", run, code=3).output


def test_ctrl_c_leaves_a_resumable_run_and_says_the_command(refimpl):
    command = "from importlib.metadata import entry_points as find; find(name='refimpl')['refimpl'].load()()"
    arguments = ["train", "--dataset", "strokes", "--epochs", "100000", "--out", "run"]
    process = subprocess.Popen([sys.executable, "-c", command, *arguments], stderr=subprocess.PIPE, text=True)
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


def test_help_shows_defaults_and_units(refimpl):
    for command in ("train", "attack", "measure", "runs", "doctor", "data", "bench"):
        assert refimpl(command, "--help").stdout
    text = re.sub(r"\s+", " ", refimpl("attack", "--help").stdout)
    assert "units of pixels in [0, 1]" in text
    assert "[default: (0.05; 0.5 for pgd-l2 and lora-pgd)]" in text
    assert "[default: (0.001; cnn 0.01 from scratch; lenet5 0.1)]" in re.sub(
        r"\s+", " ", refimpl("train", "--help").stdout
    )


def test_verify_shows_what_holds_and_what_does_not(refimpl, tmp_path):
    result = refimpl("verify", "appendix-b-rank", "eq-2", "--examples", 300, "--html", tmp_path / "v.html")
    assert re.search(r"eq-2-bounds .* holds with 300 examples", result.stdout)
    assert re.search(r"appendix-b-rank .* holds as corrected with 300 examples", result.stdout)
    assert re.search(r"but with W = \[\[.*\]\], image = \[\[", result.stdout)
    assert re.search(r"2 statements, 300 examples each, in \d processes: about \d+ seconds", result.stderr)
    assert "verifying: 2/2 statements" in result.stderr
    *_, counts, seconds = result.stdout.splitlines()
    assert counts == "statements: 1 hold, 1 refuted as expected and hold as corrected, 0 unexpected"
    assert re.fullmatch(r"\d+ seconds", seconds)
    page = (tmp_path / "v.html").read_text()
    assert "<td>appendix-b-rank</td>" in page
    assert "has the effective rank of W~" in page
    assert "http" not in page
    assert not Path(".hypothesis").exists()


def test_verify_gradients_and_json(refimpl):
    found = last_object(refimpl("verify", "gradients", "--json"))
    assert found["statements"] == []
    assert {row["name"] for row in found["gradients"]} >= {"affine", "conv2d", "nuclear norm", "joint term"}
    assert all(row["as_expected"] for row in found["gradients"])
    assert found["summary"]["derivatives"] == len(found["gradients"])
    found = last_object(refimpl("verify", "remark-1", "--examples", 20, "--json", "--seed", 3))
    assert [row["name"] for row in found["statements"]] == ["remark-1"]
    assert found["statements"][0]["outcome"] == "holds"
    assert found["gradients"] == []


def test_verify_finds_the_same_in_any_number_of_processes(refimpl):
    def found(jobs):
        arguments = ("eq-3", "p-eps-one", "fgsm", "gradients", "--examples", 40, "--seed", 5, "--json", "--jobs", jobs)
        return last_object(refimpl("verify", *arguments))

    one, three = found(1), found(3)
    assert [row["name"] for row in one["statements"]] == [
        "p-eps-one-perturbation", "fgsm-optimal", "eq-3-bounds", "eq-3-invariant", "eq-3-rotation",
    ]  # fmt: skip
    assert {key: one[key] for key in one if key != "summary"} == {key: three[key] for key in three if key != "summary"}


def test_verify_without_enough_examples_to_refute_is_no_contradiction(refimpl):
    result = refimpl("verify", "theorem-1-proof-premise", "--examples", 1)
    assert "not refuted with 1 examples" in result.stdout
    assert "0 hold, 0 refuted as expected and hold as corrected, 1 not refuted with 1 examples" in result.stdout
    (row,) = last_object(refimpl("verify", "theorem-1-proof-premise", "--examples", 1, "--json"))["statements"]
    assert (row["outcome"], row["as_expected"]) == ("not refuted", None)


@pytest.mark.parametrize("wrong", ["statement", "derivative"])
def test_verify_ends_with_5_where_a_statement_or_a_derivative_is_wrong(refimpl, monkeypatch, wrong):
    module = importlib.import_module("refimpl_cli.verify")
    statement = module.judge_one("remark-1", "numpy", 5, 0, ".")
    (derivative, *_) = module.check_gradients("numpy", 0)
    if wrong == "statement":
        measured = [{"quantity": "p_0(w)", "value": 0.5}]
        statement |= {"outcome": "refuted", "as_expected": False, "counterexample": {"w": [1.0]}, "measured": measured}
    else:
        derivative |= {"as_expected": False}
    monkeypatch.setattr(module, "compute", lambda *_: ([statement], [derivative]))
    result = refimpl("verify", "remark-1", "gradients", "--examples", 5, "--html", "page.html", code=5)
    name, words = {
        "statement": ("remark-1", "refuted; expected: holds"), "derivative": ("affine", "WRONG"),
    }[wrong]  # fmt: skip
    assert words in result.stdout
    assert f"1 of 2 verdicts are wrong: {name}" in result.stderr
    assert Path("page.html").read_text().count('class="wrong"') == 1


def test_verify_interrupted_ends_its_processes(tmp_path):
    command = [sys.executable, "-m", "refimpl_cli", "verify", "--examples", "100000", "--jobs", "2"]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    assert "2 processes" in process.stderr.readline()
    time.sleep(2)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    started = children.read_text().split() if children.exists() else []
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=20)
    assert process.returncode == 130
    assert stdout == ""
    assert stderr == "refimpl: interrupted\n"
    deadline = time.monotonic() + 10
    while any(map(running, started)):
        assert time.monotonic() < deadline
        time.sleep(0.1)


def running(process: str) -> bool:
    """Whether there is a process of this number; one that has ended but was not waited for has no command line."""
    command = Path(f"/proc/{process}/cmdline")
    return command.exists() and command.read_bytes() != b""


def test_verify_completes_the_names_of_statements(refimpl, monkeypatch):
    monkeypatch.setenv("_REFIMPL_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", "refimpl verify gr")
    monkeypatch.setenv("COMP_CWORD", "2")
    command = [sys.executable, "-c", "from refimpl_cli.main import main; main(prog_name='refimpl')"]
    assert subprocess.run(command, check=True, capture_output=True, text=True).stdout == "plain,gradients\n"
    monkeypatch.setenv("COMP_WORDS", "refimpl verify eq-7")
    assert subprocess.run(command, check=True, capture_output=True, text=True).stdout == "plain,eq-7-order\n"


def test_verify_refuses_an_unknown_name_and_too_few_examples(refimpl):
    assert "no statement is called 'theorem-2'" in refimpl("verify", "theorem-2", code=2).stderr
    assert "--examples" in refimpl("verify", "--examples", 0, code=2).stderr
    assert "there is no folder" in refimpl("verify", "--html", "nowhere/page.html", code=2).stderr
