"""A run is a folder that survives: interrupted, killed, damaged, it ends with the same bits or says why not."""

import errno
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from refimpl import DataError, NumericalError, UsageError, load
from refimpl.attacks import FGSM
from refimpl.backend import backend
from refimpl.data import strokes
from refimpl.networks import FCNN
from refimpl.optimizers import SGD, Adam
from refimpl.runs.checkpoint import name_of, read, write
from refimpl.runs.config import Config
from refimpl.runs.fit import fit
from refimpl.runs.folder import Run, list_runs

SMALL = strokes(seed=1, n_train=640, n_test=100)
REFIMPL = "from importlib.metadata import entry_points as find; find(name='refimpl')['refimpl'].load()()"
CONFIG = Config(dataset="strokes", epochs=6, optimizer=Adam(), checkpoint_every=2, network=FCNN(widths=(784, 8, 10)))


KILLED = (
    "train",
    "--arch",
    "fcnn",
    "--dataset",
    "strokes-small",
    "--epochs",
    30,
    "--checkpoint-every",
    3,
    "--no-report",
)


@pytest.fixture(scope="module")
def straight(refimpl, tmp_path_factory) -> Run:
    """The run of the same settings that nothing happened to."""
    folder = tmp_path_factory.mktemp("runs") / "straight"
    refimpl(*KILLED, "--no-report", "--out", folder)
    return Run.open(folder)


def trained(folder: Path, config: Config = CONFIG, stop_after: int | None = None) -> Run:
    run = Run.create(folder, config, SMALL)
    continued(run, stop_after)
    return run


def continued(run: Run, stop_after: int | None = None, warn=lambda message: None, epochs: int | None = None):
    def on_epoch(record):
        if record.epoch == stop_after:
            raise KeyboardInterrupt

    try:
        fit(run, SMALL, backend("numpy"), on_epoch, warn, epochs)
    except KeyboardInterrupt:
        assert stop_after is not None


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a folder but the lock, by name."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != ".lock"]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def without_end(run: Run) -> dict[str, object]:
    """The manifest of a run as it was when it was going on."""
    return {key: value for key, value in run.manifest.items() if key != "ended"} | {"status": "running"}


def assert_same_run(a: Run, b: Run):
    assert (a.folder / "history.jsonl").read_bytes() == (b.folder / "history.jsonl").read_bytes()
    one, other = a.latest(), b.latest()
    assert one.epoch == other.epoch
    for name, p in (one.params | one.state).items():
        assert_array_equal(p, (other.params | other.state)[name])
    name = name_of(one.epoch)
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
    assert manifest["seed"] == {"entropy": 0, "streams": ["init", "shuffle", "attack", "noise", "examples"]}
    for key in (
        "python",
        "packages",
        "blas",
        "platform",
        "processor",
        "started",
        "ended",
        "seconds",
        "cpu_seconds",
        "git",
    ):
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
    run = trained(tmp_path / "short", replace(CONFIG, epochs=4))
    continued(run, epochs=6)
    assert run.config == CONFIG
    assert_same_run(run, trained(tmp_path / "long"))


def test_seven_epochs_resumed_to_nine_have_the_history_of_nine(tmp_path):
    """Epoch 7 was monitored as the last, which it no longer is; 8 is due, and 9 is the last."""
    config = replace(CONFIG, attack=FGSM(), monitor="all", monitor_examples=10)
    run = trained(tmp_path / "short", replace(config, epochs=7))
    assert "attacks" in run.history[6]
    continued(run, epochs=9)
    assert ["attacks" in log for log in run.history] == [True] * 6 + [False, True, True]
    assert_same_run(run, trained(tmp_path / "long", replace(config, epochs=9)))


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
    run = trained(tmp_path / "lost", stop_after=5)
    (run.folder / "history.jsonl").write_text("")
    with pytest.raises(DataError, match="has 0 epochs, but the latest checkpoint is of epoch 5"):
        continued(run)


def test_checkpoints_go_by_number_also_from_epoch_100_000_on(tmp_path):
    run = trained(tmp_path / "run", stop_after=2)
    last = read(run.checkpoint_path(2))
    for epoch in (99_999, 100_000):
        write(run.checkpoint_path(epoch), last._replace(epoch=epoch))
    assert run.latest().epoch == 100_000


@pytest.mark.parametrize("stop_after", [1, 3, None])
@pytest.mark.parametrize("missing", ["folder", "files", "access"])
def test_a_run_that_lost_its_checkpoints_is_not_taken_for_a_new_one(tmp_path, stop_after, missing):
    run = trained(tmp_path / "run", replace(CONFIG, checkpoint_every=100), stop_after)
    shutil.rmtree(run.folder / "checkpoints")
    if missing == "files":
        (run.folder / "checkpoints").mkdir()
    if missing == "access":  # which root would have to a folder that others cannot read
        (run.folder / "checkpoints").touch()
    before = contents(run.folder)
    with pytest.raises(DataError, match="damaged"):
        continued(run)
    assert contents(run.folder) == before


def test_a_run_killed_as_it_went_on_does_not_start_afresh_without_its_checkpoint(tmp_path):
    run = trained(tmp_path / "run", replace(CONFIG, checkpoint_every=100), stop_after=2)
    manifest = without_end(run)
    shutil.rmtree(run.folder / "checkpoints")
    (run.folder / "checkpoints").mkdir()
    run.write_manifest(manifest)
    with pytest.raises(DataError, match="has lost its checkpoints"):
        continued(run)


def test_a_fine_tuning_that_lost_its_first_weights_does_not_start_from_others(tmp_path):
    start = trained(tmp_path / "natural", stop_after=1).latest()
    run = Run.create(tmp_path / "tuned", replace(CONFIG, start="natural"), SMALL, start)
    run.checkpoint_path(0).unlink()
    with pytest.raises(DataError, match="has lost its checkpoints"):
        continued(run)


def test_a_run_killed_before_its_first_checkpoint_starts_afresh(tmp_path):
    run = Run.create(tmp_path / "killed", CONFIG, SMALL)
    straight = trained(tmp_path / "straight")
    (run.folder / "history.jsonl").write_text((straight.folder / "history.jsonl").read_text().splitlines(True)[0])
    continued(run)
    assert_same_run(run, straight)


def test_a_history_changed_by_hand_is_refused(tmp_path):
    """One digit of a loss: JSON as before, and nobody could tell."""
    run = trained(tmp_path / "run")
    path = run.folder / "history.jsonl"
    content = path.read_text()
    place = content.index('"loss": 2.') + len('"loss": 2.')
    path.write_text(content[:place] + str((int(content[place]) + 1) % 10) + content[place + 1 :])
    for use in (lambda: run.history, lambda: continued(run), lambda: continued(run, epochs=8)):
        with pytest.raises(DataError, match=r"history\.jsonl was changed after the run"):
            use()
    path.unlink()
    with pytest.raises(DataError, match=r"history\.jsonl was changed after the run"):
        _ = run.history


def test_epochs_of_a_history_are_in_order(tmp_path):
    run = trained(tmp_path / "run", stop_after=3)
    path = run.folder / "history.jsonl"
    first, second, third = path.read_text().splitlines(True)
    path.write_text(first + third + second)
    with pytest.raises(DataError, match=r"history\.jsonl, line 2 is damaged: it is of epoch 3"):
        continued(run)


def test_a_finished_run_may_be_resumed_and_stays_what_it_was(tmp_path):
    run = trained(tmp_path / "run")
    before = (run.folder / "history.jsonl").read_bytes()
    continued(run)
    assert run.status == "finished"
    assert (run.folder / "history.jsonl").read_bytes() == before
    assert run.manifest["history_sha256"] == hashlib.sha256(before).hexdigest()


def test_other_data_are_refused(tmp_path):
    run = trained(tmp_path / "run", stop_after=2)
    before = contents(run.folder)
    with pytest.raises(DataError, match="trained on other data"):
        fit(run, strokes(seed=2, n_train=640, n_test=100), backend("numpy"), lambda record: None, epochs=30)
    assert contents(run.folder) == before


def test_a_refused_length_does_not_change_the_configuration(tmp_path):
    run = trained(tmp_path / "run", stop_after=3)
    before = contents(run.folder)
    with run.lock(), pytest.raises(UsageError, match="another process"):
        continued(Run.open(run.folder), epochs=30)
    with pytest.raises(UsageError, match="has 3 epochs already; --epochs 2 is less"):
        continued(run, epochs=2)
    (run.folder / "history.jsonl").rename(tmp_path / "away")
    with pytest.raises(DataError, match="has 0 epochs"):
        continued(run, epochs=30)
    (tmp_path / "away").rename(run.folder / "history.jsonl")
    assert contents(run.folder) == before


def test_an_existing_folder_is_not_overwritten(tmp_path):
    trained(tmp_path / "run", stop_after=1)
    with pytest.raises(UsageError, match="exists"):
        Run.create(tmp_path / "run", CONFIG, SMALL)
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("nowhere")
    for taken in ("file", "folder", "link"):
        with pytest.raises(UsageError, match="exists"):
            Run.create(tmp_path / taken, CONFIG, SMALL)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder", "link", "run"]


def test_where_no_folder_can_be_it_says_so(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="run cannot be created: Not a directory"):
        Run.create(tmp_path / "file" / "run", CONFIG, SMALL)


def test_a_creation_that_fails_leaves_the_name_free(tmp_path, monkeypatch):
    def full(self, config):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    write_config = Run.write_config
    monkeypatch.setattr(Run, "write_config", full)
    with pytest.raises(DataError, match="run cannot be created: No space left"):
        Run.create(tmp_path / "run", CONFIG, SMALL)
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr(Run, "write_config", write_config)
    trained(tmp_path / "run", stop_after=1)


def test_of_two_creations_at_once_one_is_refused(tmp_path, monkeypatch):
    """The second begins and ends while the first is at its last file."""
    write_config = Run.write_config

    def overtaken(self, config):
        write_config(self, config)
        monkeypatch.setattr(Run, "write_config", write_config)
        Run.create(tmp_path / "run", replace(config, seed=2), SMALL)

    monkeypatch.setattr(Run, "write_config", overtaken)
    with pytest.raises(UsageError, match="exists"):
        Run.create(tmp_path / "run", CONFIG, SMALL)
    assert Run.open(tmp_path / "run").config.seed == 2
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_a_creation_that_is_killed_leaves_no_run_and_a_free_name(tmp_path):
    """SIGKILL as soon as the configuration, of the last file, is there."""
    program = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from refimpl.data import load\n"
        "from refimpl.runs.config import Config\n"
        "from refimpl.runs.folder import Run\n"
        "write = Run.write_config\n"
        "def killed(self, config):\n"
        "    write(self, config)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "Run.write_config = killed\n"
        "Run.create(Path(sys.argv[1]), Config(), load('strokes-small'))\n"
    )
    process = subprocess.run([sys.executable, "-c", program, str(tmp_path / "run")], check=False)
    assert process.returncode == -signal.SIGKILL
    assert len(list(tmp_path.glob(".run.*.tmp/config.toml"))) == 1
    assert not (tmp_path / "run").exists()
    assert list_runs(tmp_path) == []
    Run.create(tmp_path / "run", CONFIG, SMALL)
    assert [run.folder.name for run in list_runs(tmp_path)] == ["run"]


@pytest.mark.parametrize("width", [10**12, 10**18, 10**30])
def test_more_weights_than_memory_are_refused_and_leave_nothing(tmp_path, width):
    config = replace(CONFIG, network=FCNN(widths=(784, width, 10)))
    with pytest.raises(UsageError, match="there is no memory for the weights of this fcnn"):
        Run.create(tmp_path / "run", config, SMALL)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (("--widths", "784,1000000000000,10"), "refimpl: there is no memory for the weights of this fcnn: "),
        (("--threads", "1025"), "refimpl: threads must be finite and at least 1 and at most 1024, got 1025"),
    ],
)
def test_train_refuses_what_no_machine_can_do_in_one_line(refimpl, tmp_path, settings, said):
    command = ("train", "--arch", "fcnn", "--dataset", "strokes-small", *settings)
    assert refimpl(*command, "--out", tmp_path / "run", code=2).stderr.splitlines()[-1].startswith(said)
    assert list(tmp_path.iterdir()) == []


def test_a_command_that_runs_out_of_memory_says_so_in_one_line(refimpl, tmp_path, monkeypatch):
    def too_many(*arguments):
        raise np._core._exceptions._ArrayMemoryError((10**9, 784), np.dtype("float32"))

    monkeypatch.setattr("refimpl.runs.fit.training", too_many)
    settings = ("--arch", "fcnn", "--dataset", "strokes-small", "--epochs", 1)
    said = refimpl("train", *settings, "--out", tmp_path / "run", code=2)
    assert said.stderr.splitlines()[-1].startswith("refimpl: there is not enough memory: Unable to allocate 2.85 TiB")
    run = Run.open(tmp_path / "run")
    assert (run.status, run.manifest["reason"][:15]) == ("failed", "Unable to alloc")


def test_a_closed_pipe_leaves_a_run_that_goes_on(refimpl, straight, tmp_path):
    """As in `refimpl train 2>&1 | head -1`: the reader of the progress is gone after the first line."""
    run = Run(tmp_path / "run")
    program = "import refimpl_cli.console as console; console.LOG_SECONDS = 0.0; " + REFIMPL
    command = [sys.executable, "-c", program, *map(str, KILLED), "--no-report", "--out", str(run.folder)]
    process = subprocess.Popen(command, env={**os.environ, "OPENBLAS_NUM_THREADS": "1"}, stderr=subprocess.PIPE)
    process.stderr.readline()
    process.stderr.close()
    assert process.wait() == 141
    assert run.status == "interrupted"
    assert len(run.history) == run.latest().epoch < 30
    refimpl("train", "--resume", run.folder, "--no-report")
    assert_same_run(run, straight)


def test_what_killed_processes_left_is_removed(tmp_path):
    run = trained(tmp_path / "run", stop_after=2)
    left = [run.folder / f".manifest.json.{'0' * 16}.tmp", run.folder / "checkpoints" / f".x.{'a' * 16}.tmp"]
    for path in left:
        path.write_text("half")
    with run.lock(), pytest.raises(UsageError):
        continued(Run.open(run.folder))
    assert all(path.exists() for path in left)
    continued(run)
    assert not any(path.exists() for path in left)


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
    with pytest.raises(DataError, match=r"manifest\.json is damaged"):
        continued(run)


def failing(run: Run, error: BaseException, at: int, epochs: int | None = None) -> Run:
    """The run, whose callback raised `error` after epoch `at`."""

    def on_epoch(log):
        if log.epoch == at:
            raise error

    with pytest.raises(type(error)):
        fit(run, SMALL, backend("numpy"), on_epoch, epochs=epochs)
    return run


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (NumericalError("the loss is nan"), "the loss is nan"),
        (DataError("history.jsonl cannot be written: No space left"), "history.jsonl cannot be written: No space left"),
        (MemoryError("Unable to allocate 5 TiB"), "Unable to allocate 5 TiB"),
        (ValueError(), "ValueError"),
    ],
)
def test_a_run_that_failed_says_why_until_it_goes_on(tmp_path, error, reason):
    run = failing(Run.create(tmp_path / "run", CONFIG, SMALL), error, at=3)
    assert (run.status, run.manifest["reason"]) == ("failed", reason)
    continued(run)
    assert run.status == "finished"
    assert "reason" not in run.manifest
    assert_same_run(run, trained(tmp_path / "straight"))


def test_a_run_that_diverged_says_where(tmp_path):
    run = Run.create(tmp_path / "run", replace(CONFIG, optimizer=SGD(learning_rate=1e9)), SMALL)
    with pytest.raises(NumericalError):
        continued(run)
    assert run.status == "failed"
    assert "training failed at epoch 1, " in run.manifest["reason"]


def test_a_full_disk_is_a_reason(tmp_path, monkeypatch):
    def full(path, line):
        raise DataError(f"{path} cannot be written: No space left on device")

    run = Run.create(tmp_path / "run", CONFIG, SMALL)
    monkeypatch.setattr("refimpl.runs.fit.append_line", full)
    with pytest.raises(DataError, match="No space left"):
        continued(run)
    assert run.status == "failed"
    assert run.manifest["reason"].endswith("history.jsonl cannot be written: No space left on device")


def test_a_full_disk_while_it_is_stopped_is_a_reason(tmp_path, monkeypatch):
    def full(path, last):
        raise DataError(f"{path} cannot be written: No space left on device")

    run = Run.create(tmp_path / "run", CONFIG, SMALL)
    monkeypatch.setattr("refimpl.runs.fit.checkpoints.write", full)
    with pytest.raises(DataError, match="No space left"):
        continued(run, stop_after=1)
    assert run.status == "failed"
    assert "No space left" in run.manifest["reason"]


def test_a_reader_that_went_away_interrupts(tmp_path):
    run = failing(Run.create(tmp_path / "run", CONFIG, SMALL), BrokenPipeError(errno.EPIPE, "Broken pipe"), at=3)
    assert run.status == "interrupted"
    assert "reason" not in run.manifest
    assert run.latest().epoch == 3
    continued(run)
    assert_same_run(run, trained(tmp_path / "straight"))


@pytest.mark.parametrize("error", [BrokenPipeError(errno.EPIPE, "Broken pipe"), KeyboardInterrupt()])
def test_after_the_last_epoch_the_run_is_finished_whoever_listens(tmp_path, error):
    run = failing(Run.create(tmp_path / "run", CONFIG, SMALL), error, at=6)
    assert run.status == "finished"
    assert_same_run(run, trained(tmp_path / "straight"))


def test_another_kernel_is_warned_of(tmp_path):
    run = trained(tmp_path / "run", stop_after=2)
    run.write_manifest({**run.manifest, "numpy_kernel": "Z80"})
    warnings = []
    continued(run, warn=warnings.append)
    assert any("numpy_kernel Z80, now" in warning for warning in warnings)


def test_runs_are_listed(tmp_path):
    for name in ("b", "a"):
        trained(tmp_path / name, stop_after=1)
    assert [run.folder.name for run in list_runs(tmp_path)] == ["a", "b"]


@pytest.mark.parametrize("epoch", [1, 4, 12, 20])
def test_a_killed_process_loses_nothing(refimpl, straight, tmp_path, epoch):
    """SIGKILL in real training, soon after an epoch was logged, and then --resume: the same bits."""
    killed = Run(tmp_path / "killed")
    command = [sys.executable, "-c", REFIMPL, *map(str, KILLED), "--no-report", "--out", str(killed.folder)]
    process = subprocess.Popen(command, env={**os.environ, "OPENBLAS_NUM_THREADS": "1"}, stderr=subprocess.DEVNULL)
    history = killed.folder / "history.jsonl"
    while process.poll() is None and not (history.exists() and history.read_bytes().count(b"\n") >= epoch):
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert killed.manifest["status"] == "running"
    assert killed.status == "killed"
    refimpl("train", "--resume", killed.folder, "--no-report")
    assert killed.status == "finished"
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
