"""A run is a folder that survives: interrupted, killed, damaged, it ends with the same bits or says why not."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from numpy.testing import assert_array_equal

from refimpl import DataError, UsageError, load
from refimpl.backend import backend
from refimpl.data import strokes
from refimpl.runs.checkpoint import read
from refimpl.runs.config import Config
from refimpl.runs.fit import fit
from refimpl.runs.folder import Run, list_runs

SMALL = strokes(seed=1, n_train=640, n_test=100)
REFIMPL = "from importlib.metadata import entry_points as find; find(name='refimpl')['refimpl'].load()()"
CONFIG = Config(dataset="strokes", epochs=6, optimizer="adam", checkpoint_every=2, widths=(784, 8, 10))


def trained(folder: Path, config: Config = CONFIG, stop_after: int | None = None) -> Run:
    run = Run.create(folder, config, SMALL)
    continued(run, stop_after)
    return run


def continued(run: Run, stop_after: int | None = None, warn=lambda message: None):
    def on_epoch(record):
        if record.epoch == stop_after:
            raise KeyboardInterrupt

    try:
        fit(run, SMALL, backend("numpy"), on_epoch, warn)
    except KeyboardInterrupt:
        assert stop_after is not None


def assert_same_run(a: Run, b: Run):
    assert (a.folder / "history.jsonl").read_bytes() == (b.folder / "history.jsonl").read_bytes()
    one, other = a.latest(), b.latest()
    assert one.epoch == other.epoch
    for name, p in (one.params | one.state).items():
        assert_array_equal(p, (other.params | other.state)[name])
    name = f"epoch-{one.epoch:05d}.safetensors"
    assert (a.folder / "checkpoints" / name).read_bytes() == (b.folder / "checkpoints" / name).read_bytes()


def test_what_a_run_folder_holds(tmp_path):
    run = trained(tmp_path / "run")
    assert run.config == CONFIG
    assert [record["epoch"] for record in run.history] == list(range(1, 7))
    assert sorted(run.history[0]) == ["accuracy", "epoch", "layers", "loss", "test_loss"]
    names = sorted(path.name for path in (run.folder / "checkpoints").iterdir())
    assert names == [f"epoch-{epoch:05d}.safetensors" for epoch in (2, 4, 6)]
    manifest = run.manifest
    assert manifest["status"] == "finished"
    assert manifest["data"]["sha256"] == SMALL.sha256
    assert manifest["seed"] == {"entropy": 0, "streams": ["init", "shuffle", "attack", "noise"]}
    for key in ("python", "packages", "blas", "platform", "processor", "started", "ended", "seconds", "git"):
        assert key in manifest


def test_equal_runs_have_equal_files(tmp_path):
    assert_same_run(trained(tmp_path / "a"), trained(tmp_path / "b"))


@pytest.mark.parametrize("epoch", [1, 2, 3, 5])
def test_an_interrupted_run_ends_with_the_same_bits(tmp_path, epoch):
    run = trained(tmp_path / "stopped", stop_after=epoch)
    assert run.manifest["status"] == "interrupted"
    assert run.latest().epoch == epoch
    continued(run)
    assert_same_run(run, trained(tmp_path / "straight"))


def test_more_epochs_are_the_longer_run(tmp_path):
    run = trained(tmp_path / "short", Config(**{**vars(CONFIG), "epochs": 4}))
    run.write_config(CONFIG)
    continued(run)
    assert_same_run(run, trained(tmp_path / "long"))


def test_a_damaged_checkpoint_is_passed_over_with_a_warning(tmp_path):
    run = trained(tmp_path / "damaged")
    last = run.checkpoint_path(6)
    last.write_bytes(last.read_bytes()[:-1])
    warnings = []
    continued(run, warn=warnings.append)
    assert "epoch-00006" in warnings[0]
    assert_same_run(run, trained(tmp_path / "straight"))


def test_with_every_checkpoint_damaged_it_says_so(tmp_path):
    run = trained(tmp_path / "damaged")
    for path in (run.folder / "checkpoints").iterdir():
        path.write_bytes(b"")
    with pytest.raises(DataError, match="none of the 3 checkpoints"):
        continued(run)


def test_a_torn_last_line_of_the_history_is_no_harm(tmp_path):
    run = trained(tmp_path / "torn", stop_after=3)
    with (run.folder / "history.jsonl").open("a") as file:
        file.write('{"epoch": 4, "lo')
    assert len(run.history) == 3
    continued(run)
    assert_same_run(run, trained(tmp_path / "straight"))


def test_a_history_that_lost_epochs_is_refused(tmp_path):
    run = trained(tmp_path / "lost")
    (run.folder / "history.jsonl").write_text("")
    with pytest.raises(DataError, match="has 0 epochs, but the latest checkpoint is of epoch 6"):
        continued(run)


def test_other_data_are_refused(tmp_path):
    run = trained(tmp_path / "run", stop_after=2)
    with pytest.raises(DataError, match="trained on other data"):
        fit(run, strokes(seed=2, n_train=640, n_test=100), backend("numpy"), lambda record: None)


def test_an_existing_folder_is_not_overwritten(tmp_path):
    trained(tmp_path / "run", stop_after=1)
    with pytest.raises(UsageError, match="exists"):
        Run.create(tmp_path / "run", CONFIG, SMALL)


def test_two_at_once_are_refused(tmp_path):
    run = trained(tmp_path / "run", stop_after=1)
    run.write_manifest(run.manifest | {"status": "running"})
    with run.lock():
        assert run.status == "running"
        with pytest.raises(UsageError, match="another process"):
            continued(run)


def test_other_versions_are_warned_of(tmp_path):
    run = trained(tmp_path / "run", stop_after=2)
    manifest = run.manifest
    manifest["packages"]["numpy"] = "1.0"
    run.write_manifest(manifest)
    warnings = []
    continued(run, warn=warnings.append)
    assert any("1.0" in warning and "bits may differ" in warning for warning in warnings)


def test_not_a_run_and_a_damaged_manifest_are_refused(tmp_path):
    with pytest.raises(DataError, match="is not a run"):
        Run.open(tmp_path)
    run = trained(tmp_path / "run", stop_after=1)
    (run.folder / "manifest.json").write_text("{")
    with pytest.raises(DataError, match=r"manifest\.json cannot be read"):
        continued(run)


def test_runs_are_listed(tmp_path):
    for name in ("b", "a"):
        trained(tmp_path / name, stop_after=1)
    assert [run.folder.name for run in list_runs(tmp_path)] == ["a", "b"]


@pytest.mark.parametrize("moment", [0.0, 0.15, 0.4, 0.8])
def test_a_killed_process_loses_nothing(tmp_path, moment):
    """SIGKILL, at several moments of real training, and then --resume: the same bits as a run never touched."""
    command = [sys.executable, "-c", REFIMPL]
    settings = ["train", "--dataset", "strokes", "--epochs", "30", "--checkpoint-every", "3", "--no-report", "--out"]
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}

    def start(*arguments: str) -> subprocess.Popen:
        return subprocess.Popen([*command, *arguments], env=environment, stderr=subprocess.DEVNULL)

    killed = Run(tmp_path / "killed")
    process = start(*settings, str(killed.folder))
    history = killed.folder / "history.jsonl"
    while process.poll() is None and not (history.exists() and history.stat().st_size):
        time.sleep(0.001)
    time.sleep(moment)
    process.send_signal(signal.SIGKILL)
    process.wait()
    if moment == 0.0:
        assert killed.manifest["status"] == "running"
        assert killed.status == "killed"
    assert start("train", "--resume", str(killed.folder), "--no-report").wait() == 0
    assert json.loads((killed.folder / "manifest.json").read_text())["status"] == "finished"

    straight = Run(tmp_path / "straight")
    assert start(*settings, str(straight.folder)).wait() == 0
    assert_same_run(killed, straight)
    assert read(killed.checkpoint_path(30)).epoch == 30


def test_real_mnist_is_on_the_way_to_the_papers_accuracy(real_data, tmp_path):
    """Plain SGD, 0.001, batch 128, the first 12 of the 240 epochs after which Table 1's .9508 is met."""
    data = load("mnist", data_dir=real_data)
    run = Run.create(tmp_path / "mnist", Config(dataset="mnist", epochs=12), data)
    fit(run, data, backend("numpy"), lambda record: None)
    losses = [record["loss"] for record in run.history]
    assert losses == sorted(losses, reverse=True)
    assert run.history[-1]["accuracy"] > 0.7
