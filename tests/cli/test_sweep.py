"""`refimpl sweep`: which runs a grid has, what they leave, what becomes of one that fails, and that it goes on."""

import importlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import BrokenExecutor, Executor, Future
from contextlib import contextmanager
from pathlib import Path

import pytest

from refimpl.runs.folder import Run, list_runs

SMALL = ("sweep", "--dataset", "strokes-small", "--epochs", "2", "--widths", "784,8,10", "--batch-size", "100")


class Here(Executor):
    """Makes calls in this process as they come; the first `dying` of them fail as if their process had died."""

    def __init__(self):
        self.dying, self.calls = 0, 0

    def submit(self, f, /, *arguments, **options):
        future: Future = Future()
        self.calls += 1
        try:
            if self.calls <= self.dying:
                raise BrokenExecutor
            future.set_result(f(*arguments, **options))
        except Exception as error:
            future.set_exception(error)
        return future


@pytest.fixture
def here(monkeypatch):
    """Instead of processes."""
    executor = Here()

    @contextmanager
    def processes(jobs):
        yield executor

    monkeypatch.setattr(importlib.import_module("refimpl_cli.sweep"), "processes", processes)
    return executor


def listed(refimpl, *arguments):
    """Names of the runs, how each is trained, and its settings."""
    rows = json.loads(refimpl(*SMALL, *arguments, "--list", "--json").stdout)["runs"]
    return {Path(row["run"]).name: (row["stack"], row["settings"]) for row in rows}


def test_a_grid_has_every_combination_and_names_say_what_differs(refimpl):
    found = listed(refimpl, "--l1", "1=0,0.003", "--nuclear", "1=0,0.01", "--seeds", "0:2", "--learning-rate", "0.1")
    assert set(found) == {
        f"l1-{l1}-nuclear-{nuclear}-seed{seed}" for l1 in ("0", "0.003") for nuclear in ("0", "0.01") for seed in (0, 1)
    }
    assert "regularizer" not in found["l1-0-nuclear-0-seed1"][1]
    assert found["l1-0.003-nuclear-0-seed1"][1]["regularizer"] == {"l1": {"W1": 0.003}}
    assert found["l1-0.003-nuclear-0-seed1"][1]["seed"] == 1
    assert {settings["optimizer"]["sgd"]["learning_rate"] for _, settings in found.values()} == {0.1}
    assert not Path("sweep").exists()


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ((), {"natural-seed0"}),
        (("--seeds", "0:2,7"), {"natural-seed0", "natural-seed1", "natural-seed7"}),
        (("--method", "natural,l1-0.01"), {"natural-seed0", "l1-0.01-seed0"}),
        (("--method", "pgd", "--eps", "0.05,8/255"), {"eps-0.05-seed0", "eps-0.03137254901960784-seed0"}),
        (("--optimizer", "sgd,adam", "--momentum", "0.5"), "--momentum belongs to sgd, not to adam"),
        (("--l1", "1=0.01,0.03,2=0.01"), {"l1-W1-0.01-W2-0.01-seed0", "l1-W1-0.03-W2-0.01-seed0"}),
        (("--joint", "0,1e-3"), {"joint-0-seed0", "joint-0.001-seed0"}),
        (("--method", "natural,nuclear-0.01", "--nuclear", "1=0,0.01"), {"natural-nuclear-0-seed0",
                                                                         "natural-nuclear-0.01-seed0"}),
        (("--l1", "1=0,0,0.01"), {"l1-0-seed0", "l1-0.01-seed0"}),
    ],
)  # fmt: skip
def test_values_of_options(refimpl, options, names):
    if isinstance(names, str):
        assert names in refimpl(*SMALL, *options, "--list", code=2).stderr
    else:
        assert set(listed(refimpl, *options)) == names


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--seeds", "3:3"), "names no seeds"),
        (("--seeds", "0:100000"), "100,000 seeds: more than 1,000"),
        (("--seeds", "a"), "'a' is not a valid integer"),
        (("--l1", "1="), "'' is not a number"),
        (("--l1", "0.01"), "is not a list like 1=0,0.01"),
        (("--l1", "7=0,0.01"), "a regularized layer must be one of W1, W2"),
        (("--seeds", "0:200", "--l1", "1=0,1,2,3,4,5"), "the grid has 6 x 200 = 1,200 runs"),
        (("--method", "natural,x"), "'x' is not one of"),
        (("--method", "natural,pgd", "--eps", "0.1"), "natural: --eps belongs to adversarial training"),
        (("--jobs", "0"), "0 is not in the range"),
        (("--jobs", "2", "--scheduler", "tcp://127.0.0.1:1"), "give one of them"),
    ],
)
def test_what_is_no_grid_is_refused_in_a_line(refimpl, options, message):
    assert message in " ".join(refimpl(*SMALL, *options, code=2).stderr.split())
    assert not Path("sweep").exists()


def test_models_of_a_seed_share_a_stack_and_processes_are_not_without_work(refimpl):
    grid = ("--l1", "1=0,0.003,0.01", "--seeds", "0:2")
    assert {name[-1]: stack for name, (stack, _) in listed(refimpl, *grid, "--jobs", "1").items()} == {"0": 1, "1": 2}
    assert [stack for stack, _ in listed(refimpl, *grid, "--jobs", "3").values()] == [None, 2, 2, None, 4, 4]
    assert [stack for stack, _ in listed(refimpl, *grid, "--stack-size", "1").values()] == [None] * 6
    assert [stack for stack, _ in listed(refimpl, "--seeds", "0:3", "--jobs", "1").values()] == [1] * 3
    mixed = ("--method", "natural,pgd,nuclear-0.01", "--jobs", "1")
    assert {name: stack for name, (stack, _) in listed(refimpl, *mixed).items()} == {
        "natural-seed0": 1, "nuclear-0.01-seed0": 1, "pgd-seed0": None,
    }  # fmt: skip
    convolutional = ("sweep", "--dataset", "strokes-small", "--arch", "cnn", "--seeds", "0:2", "--list")
    assert refimpl(*convolutional).stdout.count("by itself") == 2


def test_a_sweep_leaves_ordinary_runs_and_is_not_done_twice(refimpl, here, attacked):
    grid = (*SMALL, "--method", "natural,fgsm", "--seeds", "0:2", "--jobs", "1", "--monitor-examples", "20")
    result = refimpl(*grid, "--optimizer", "adam")
    header, *rows = result.stdout.splitlines()
    assert header.split() == ["run", "accuracy", "fgsm", "0.05", "pgd", "0.05", "gnm", "0.05", "r(W1)", "s(W1)"]
    assert [row.split()[0] for row in rows] == ["natural-seed0", "natural-seed1", "fgsm-seed0", "fgsm-seed1"]
    assert "4 runs of fcnn on strokes-small (built in): 2 stacks of 2" in result.stderr
    assert "sweep: 8/8 epochs" in result.stderr
    assert here.calls == 2
    runs = list_runs(Path("sweep"))
    assert [(run.status, run.manifest["stack"]["size"]) for run in runs] == [("finished", 2)] * 4
    (found,) = attacked(runs[0].folder, "--attack", "fgsm", "--examples", "20")
    refimpl("measure", runs[0].folder)
    refimpl("attack", runs[1].folder, "--attack", "fgsm", "--examples", "20")
    compared = refimpl("compare", runs[0].folder, runs[1].folder, "--group").stdout
    assert "fgsm" in compared
    assert found["n"] == 20
    assert refimpl("runs", "sweep").stdout.count("finished") == 4
    again = refimpl(*grid, "--optimizer", "adam")
    assert "4 of 4 done already" in again.stderr
    assert again.stdout == result.stdout
    assert here.calls == 2
    assert "holds a run of other settings" in refimpl(*grid, code=3).stderr


def test_a_wider_grid_trains_what_is_new_and_leaves_the_stacks_that_are_there(refimpl, here):
    grid = (*SMALL, "--nuclear", "1=0.01", "--jobs", "1")
    refimpl(*grid, "--l1", "1=0.01,0.003")
    before = {path: path.stat().st_mtime_ns for path in Path("sweep").rglob("*.json*")}
    wider = refimpl(*grid, "--l1", "1=0.01,0.003,0.1,0.2,0.3", "--json")
    assert "5 runs of fcnn on strokes-small (built in): 1 stack of 2, 1 stack of 3" in wider.stderr
    runs = json.loads(wider.stdout)["runs"]
    assert [(one["status"], one["stack"]) for one in runs] == [("finished", 2)] * 2 + [("finished", 3)] * 3
    assert {path: path.stat().st_mtime_ns for path in before} == before
    shutil.rmtree("sweep/l1-0.1-seed0")
    needed = refimpl(*grid, "--l1", "1=0.01,0.2", "--json")  # finished, though a run of its stack is not asked for
    assert [one["status"] for one in json.loads(needed.stdout)["runs"]] == ["finished"] * 2


def test_a_run_that_diverges_is_reported_and_not_tried_again(refimpl, here):
    grid = (*SMALL, "--l1", "2=0,0.01,1e6", "--learning-rate", "1", "--jobs", "1")
    result = refimpl(*grid, code=4)
    assert "1 of 3 runs diverged: sweep/l1-1e+06-seed0: training failed at epoch 1" in result.stderr
    rows = [line.split()[:2] for line in result.stdout.splitlines()]
    assert rows == [["run", "status"], ["l1-0-seed0", "finished"], ["l1-0.01-seed0", "finished"],
                    ["l1-1e+06-seed0", "failed"]]  # fmt: skip
    again = refimpl(*grid, "--json", code=4)
    assert "3 of 3 done already" in again.stderr
    assert [one["diverged"] for one in json.loads(again.stdout)["runs"]] == [None, None, 1]
    assert here.calls == 1


def test_a_process_that_dies_costs_its_stack_until_the_next_time(refimpl, here):
    here.dying = 1
    grid = (*SMALL, "--seeds", "0:2", "--l1", "1=0,0.01", "--jobs", "1")
    result = refimpl(*grid, code=130)
    assert "the process of l1-0-seed0 and 1 more died" in result.stderr
    assert "2 runs not finished: the same command continues" in result.stderr
    refimpl(*grid)
    assert [run.status for run in list_runs(Path("sweep"))] == ["finished"] * 4


def test_runs_start_from_weights_and_from_a_file(refimpl, here, run):
    refimpl("sweep", "--from", run, "--epochs", "1", "--method", "l1-0.01,nuclear-0.01", "--jobs", "1")
    for one in list_runs(Path("sweep")):
        assert one.config.start == str(run)
        assert one.load_epoch(0, importlib.import_module("refimpl").backend("numpy")).epoch == 0
    Path("my.toml").write_text("dataset = 'strokes-small'\nepochs = 1\nseed = 5\n")
    refimpl("sweep", "--config", "my.toml", "--out", "other", "--l1", "1=0,0.01", "--jobs", "1")
    assert {path.name for path in Path("other").iterdir()} == {"l1-0-seed5", "l1-0.01-seed5"}


def test_one_run_of_a_stack_is_refused_alone_in_a_line(refimpl, here):
    refimpl(*SMALL, "--l1", "1=0,0.01,0.1", "--jobs", "1")
    run = Run.open(Path("sweep/l1-0-seed0"))
    run.write_manifest(run.manifest | {"status": "interrupted"})
    (line,) = refimpl("train", "--resume", run.folder, "--no-report", code=2).stderr.splitlines()[-1:]
    assert "is trained in a stack of 3 runs: the `refimpl sweep`" in line
    partly = refimpl(*SMALL, "--l1", "1=0,0.01", code=2).stderr
    assert "is trained in a stack with l1-0.1-seed0, which was not asked for" in partly


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_sweep_that_is_stopped_goes_on_to_the_same_bits(refimpl, number):
    grid = (*SMALL, "--epochs", "20", "--checkpoint-every", "2", "--l1", "1=0,0.003,0.01", "--jobs", "1")
    command = [sys.executable, "-m", "refimpl_cli", *grid, "--out", "stopped"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as process:
        while not Path("stopped/l1-0-seed0/checkpoints/epoch-00002.safetensors").exists():
            time.sleep(0.02)
        process.send_signal(number)
        said = process.communicate(timeout=60)[1]
    assert process.returncode in (130, -signal.SIGKILL), said
    assert "Traceback" not in said
    for run in list_runs(Path("stopped")):
        while run.status == "running":  # until the process that trains has seen that its parent is gone
            time.sleep(0.05)
        assert run.status == "interrupted"
    refimpl(*grid, "--out", "stopped")
    refimpl(*grid, "--out", "whole")
    for run in list_runs(Path("whole")):
        assert run.status == "finished"
        other = Run.open(Path("stopped") / run.folder.name)
        assert other.history_sha256 == run.history_sha256
        assert other.checkpoint_path(20).read_bytes() == run.checkpoint_path(20).read_bytes()


@pytest.mark.slow
def test_what_a_cluster_gives_up_goes_on_later_to_the_same_bits(refimpl):
    """A scheduler that forgives no death, and two workers on the loopback; one is killed at work."""
    distributed = pytest.importorskip("distributed", reason="Dask is not installed: nothing goes to a cluster")
    dask = importlib.import_module("dask")
    grid = (*SMALL, "--epochs", "20", "--checkpoint-every", "2", "--seeds", "0:2", "--l1", "1=0,0.01")
    refimpl(*grid, "--out", "here", "--stack-size", "16", "--jobs", "1")
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 0}),
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
    ):
        there = (*grid, "--out", "there", "--scheduler", cluster.scheduler_address)
        command = [sys.executable, "-m", "refimpl_cli", *there]
        with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as process:
            while not list(Path().glob("there/*/checkpoints/epoch-00002.safetensors")):
                assert process.poll() is None
                time.sleep(0.02)
            os.kill(cluster.workers[0].pid, signal.SIGKILL)
            said = process.communicate(timeout=240)[1]
        assert "2 stacks of 2" in said
        assert process.returncode == 130, said
        assert "and 1 more died" in said
        assert "Traceback" not in said
        refimpl(*there)
    for run in list_runs(Path("here")):
        other = Run.open(Path("there") / run.folder.name)
        assert other.status == "finished"
        assert other.history_sha256 == run.history_sha256
        assert other.checkpoint_path(20).read_bytes() == run.checkpoint_path(20).read_bytes()


def test_auto_trains_small_nets_on_numpy_beside_a_gpu(refimpl, tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.import_module("refimpl.backend"), "cupy_trouble", lambda: None)
    refimpl(*SMALL, "--backend", "auto", "--jobs", "1", "--out", tmp_path / "s")
    (run,) = list_runs(tmp_path / "s")
    assert run.config.backend == "numpy"
