"""Stacks of runs: ordinary folders, the bits of a stack that was never stopped, and what becomes of one that fails."""

import json
import shutil
import time
from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose

from refimpl import SGD, Adam, DataError, NumericalError, UsageError
from refimpl.atomic import append_line
from refimpl.attacks import FGSM, PGD
from refimpl.backend import backend
from refimpl.data import strokes
from refimpl.networks import CNN, FCNN
from refimpl.regularizers import L1, Nuclear
from refimpl.runs import checkpoint as checkpoints
from refimpl.runs.config import Config
from refimpl.runs.fit import fit
from refimpl.runs.fit_stack import alike, fitting_stack
from refimpl.runs.folder import Run
from refimpl.runs.train import resume
from refimpl.runs.trained import open_run
from refimpl.training.loop import epoch_log

NUMPY, SMALL = backend("numpy"), strokes(seed=0, n_train=96, n_test=40)
BASE = Config(
    dataset="strokes", epochs=5, optimizer=Adam(learning_rate=0.005), network=FCNN((784, 8, 10)), checkpoint_every=2,
    batch_size=32,
)  # fmt: skip
TERMS = [(L1({"W1": 0.01}),), (L1({"W1": 0.003}), Nuclear({"W1": 0.01}))]
CONFIGS = [
    replace(BASE, monitor="fooling", monitor_examples=10),
    *(replace(BASE, regularizers=terms) for terms in TERMS),
]
SGD_ONLY = [replace(one, optimizer=SGD(learning_rate=1.0)) for one in (*CONFIGS[:2], BASE)]
LOST = replace(SGD_ONLY[2], regularizers=(L1({"W2": 1e5}),))


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Neither the disk is waited for nor git is asked."""
    monkeypatch.setattr("os.fsync", lambda file: None)
    monkeypatch.setattr("refimpl.runs.manifest.git_state", lambda: None)


def stack(root, configs=CONFIGS):
    """New folders of a stack."""
    names = [f"run{i}" for i in range(len(configs))]
    return [Run.create(root / name, one, SMALL, stack=names) for name, one in zip(names, configs, strict=True)]


def trained(runs, stop_after=None, warn=lambda message: None):
    """The runs after their last epoch, or with training interrupted after an earlier one; what was logged."""
    logged, epochs = [], fitting_stack(runs, SMALL, NUMPY, warn)
    for logs in epochs:
        logged.append(logs)
        if len(logged) == stop_after:
            with pytest.raises(KeyboardInterrupt):
                epochs.throw(KeyboardInterrupt())
    return logged


MEASURED = ("started", "ended", "seconds", "cpu_seconds", "peak_memory_bytes", "git")


def contents(run):
    """All but what the clock and git wrote."""
    files = {str(p.relative_to(run.folder)): p.read_bytes() for p in run.folder.rglob("*") if p.is_file()}
    manifest = json.loads(files.pop("manifest.json"))
    return files, {key: manifest[key] for key in manifest if key not in MEASURED}


def assert_same(runs, others):
    for run, other in zip(runs, others, strict=True):
        files, manifest = contents(run)
        expected, its = contents(other)
        assert manifest == its
        assert {name for name in expected if name not in files} == set()
        for name, content in expected.items():
            assert files[name] == content, name


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    """A stack that was never stopped."""
    runs = stack(tmp_path_factory.mktemp("straight"))
    trained(runs)
    return runs


@pytest.mark.parametrize("i", range(3))
def test_each_run_is_what_a_single_one_is_to_rounding(straight, tmp_path, i):
    single = Run.create(tmp_path / "single", CONFIGS[i], SMALL)
    fit(single, SMALL, NUMPY, lambda log: None)
    files, manifest = contents(straight[i])
    alone, its = contents(single)
    assert set(files) == set(alone)
    assert files["config.toml"] == alone["config.toml"]
    assert manifest.pop("stack") == {"size": 3, "runs": ["run0", "run1", "run2"]}
    assert {**manifest, "history_sha256": ""} == {**its, "history_sha256": ""}
    for line, other in zip(straight[i].history, single.history, strict=True):
        assert line.keys() == other.keys()
        assert line["loss"] == pytest.approx(other["loss"], rel=1e-4)
    for epoch in (2, 4, 5):
        ours, theirs = (checkpoints.read(run.checkpoint_path(epoch)) for run in (straight[i], single))
        assert_allclose(ours.params["W1"], theirs.params["W1"], atol=1e-4)
    assert open_run(straight[i].folder, data=SMALL).measure(save=False).accuracy == straight[i].history[-1]["accuracy"]


def test_seconds_are_a_share(tmp_path, monkeypatch):
    ticks = iter(range(10**6))
    monkeypatch.setattr("refimpl.runs.usage.time.monotonic", lambda: float(next(ticks)))
    runs = stack(tmp_path)
    before = time.process_time()
    trained(runs)
    assert 0 < sum(run.manifest["seconds"] for run in runs) <= next(ticks)
    assert 0 < sum(run.manifest["cpu_seconds"] for run in runs) <= time.process_time() - before + 0.01


@pytest.mark.parametrize("epoch", [2, 3])
def test_an_interrupted_stack_ends_with_the_same_bits(straight, tmp_path, epoch):
    runs = stack(tmp_path)
    trained(runs, stop_after=epoch)
    assert [(run.status, run.latest().epoch, len(run.history)) for run in runs] == [("interrupted", epoch, epoch)] * 3
    assert len(trained(runs)) == 5 - epoch
    for run in runs:
        if epoch % 2:
            run.checkpoint_path(epoch).unlink()
    assert_same(runs, straight)


def test_an_interrupt_between_two_runs_leaves_all_at_one_epoch(straight, tmp_path, monkeypatch):
    runs = stack(tmp_path)
    epochs = fitting_stack(runs, SMALL, NUMPY)
    for _ in range(3):
        next(epochs)

    def interrupted(path, line):
        if path.parent.name == "run1":
            raise KeyboardInterrupt
        append_line(path, line)

    with monkeypatch.context() as patched:
        patched.setattr("refimpl.runs.fit.append_line", interrupted)
        with pytest.raises(KeyboardInterrupt):
            next(epochs)
    assert [(run.status, run.latest().epoch, len(run.history)) for run in runs] == [("interrupted", 3, 3)] * 3
    trained(runs)
    for run in runs:
        run.checkpoint_path(3).unlink()
    assert_same(runs, straight)


def killed_between(straight, folder, epochs):
    """Copies of the runs as a kill leaves them that met each after another epoch."""
    runs = []
    for run, epoch in zip(straight, epochs, strict=True):
        copy = Run(shutil.copytree(run.folder, folder / run.folder.name))
        if epoch < 5:
            lines = (copy.folder / "history.jsonl").read_text().splitlines(keepends=True)
            (copy.folder / "history.jsonl").write_text("".join(lines[:epoch]))
            copy.remove_checkpoints_after(epoch)
            manifest = {key: value for key, value in copy.manifest.items() if key not in ("ended", "history_sha256")}
            copy.write_manifest(manifest | {"status": "running"})
        runs.append(copy)
    return runs


@pytest.mark.parametrize("epochs", [(2, 1, 1), (4, 3, 3), (5, 5, 4)])
def test_a_killed_stack_ends_with_the_same_bits(straight, tmp_path, epochs):
    runs = killed_between(straight, tmp_path, epochs)
    finished = {run.folder: contents(run) for run, epoch in zip(runs, epochs, strict=True) if epoch == 5}
    trained(runs)
    assert_same(runs, straight)
    assert all(contents(Run(folder)) == before for folder, before in finished.items())
    assert trained(runs) == []


def test_a_damaged_checkpoint_is_passed_over_by_all(straight, tmp_path):
    runs = killed_between(straight, tmp_path, (4, 4, 4))
    runs[1].checkpoint_path(4).write_bytes(b"torn")
    warnings = []
    assert len(trained(runs, warn=warnings.append)) == 3
    assert "trying the checkpoints before it" in warnings[0]
    assert_same(runs, straight)


def test_a_run_that_diverges_says_so_and_the_others_go_on(tmp_path):
    runs = stack(tmp_path / "whole", [SGD_ONLY[0], LOST, SGD_ONLY[1]])
    first, *others = trained(runs)
    assert isinstance(first[1], NumericalError)
    assert [set(logs) for logs in others] == [{0, 2}] * 4
    assert [run.status for run in runs] == ["finished", "failed", "finished"]
    assert runs[1].manifest["reason"] == str(first[1])
    assert runs[1].manifest["diverged"] == 1
    again = stack(tmp_path / "stopped", [SGD_ONLY[0], LOST, SGD_ONLY[1]])
    trained(again, stop_after=2)
    assert [run.status for run in again] == ["interrupted", "failed", "interrupted"]
    trained(again)
    assert_same(again, runs)


def test_a_run_that_diverged_is_in_the_stack_until_it_does(tmp_path, monkeypatch):
    """Killed after a divergence, and gone on from before it, the bits are those of a stack with all."""

    def failing(epoch, *arguments):
        log = epoch_log(epoch, *arguments)
        if epoch == 4 and log.state["v.W1"].sum() == state:
            raise NumericalError("lost")
        return log

    made = [replace(BASE, seed=seed) for seed in (0, 1)]
    probe = stack(tmp_path / "probe", made)
    trained(probe)
    state = probe[1].load_epoch(4, NUMPY).state["v.W1"].sum()
    monkeypatch.setattr("refimpl.training.stack.epoch_log", failing)
    runs = stack(tmp_path / "whole", made)
    trained(runs)
    assert (runs[1].status, runs[1].manifest["diverged"]) == ("failed", 4)
    copies = killed_between(runs[:1], tmp_path / "killed", (3,))
    copies += [Run(shutil.copytree(runs[1].folder, tmp_path / "killed" / "run1"))]
    assert len(trained(copies)) == 3
    assert_same(copies, runs)


def test_one_run_of_a_stack_is_not_resumed_alone(straight, tmp_path):
    runs = stack(tmp_path)
    trained(runs, stop_after=2)
    with pytest.raises(UsageError, match="run1 is trained in a stack of 3 runs: the `refimpl sweep`"):
        resume(runs[1].folder, data=SMALL).result()
    copies = killed_between(straight, tmp_path / "copies", (5, 5, 5))
    warnings = []
    longer = resume(copies[0].folder, data=SMALL, epochs=6, warn=warnings.append).result()
    assert longer.epoch == 6
    assert "goes on alone" in warnings[0]


def test_runs_start_from_weights(straight, tmp_path):
    start = straight[0].latest()
    configs = [replace(BASE, epochs=2, start="elsewhere", attack=PGD(eps=0.02, steps=2, seed=s)) for s in (0, 1)]
    runs = [Run.create(tmp_path / str(i), one, SMALL, start, ("0", "1")) for i, one in enumerate(configs)]
    assert len(trained(runs, stop_after=1)) == 1
    trained(runs)
    single = Run.create(tmp_path / "single", configs[0], SMALL, start)
    fit(single, SMALL, NUMPY, lambda log: None)
    assert_allclose(runs[0].latest().params["W1"], single.latest().params["W1"], atol=1e-4)


def test_two_at_once_and_other_data_are_refused(tmp_path):
    runs = stack(tmp_path)
    with runs[2].lock(), pytest.raises(UsageError, match="run2: another process"):
        trained(runs)
    with pytest.raises(DataError, match="trained on other data"):
        next(fitting_stack(runs, strokes(seed=1, n_train=96, n_test=40), NUMPY))


def test_what_makes_no_stack_is_refused(tmp_path):
    runs = stack(tmp_path, [BASE, replace(BASE, attack=FGSM())])
    with pytest.raises(UsageError, match="runs in a stack are of one fully connected net"):
        trained(runs)


def test_who_can_be_in_a_stack():
    assert alike(BASE) == alike(replace(BASE, seed=3, regularizers=TERMS[1], monitor="all", start="x"))
    attacked = replace(BASE, attack=PGD(eps=0.02))
    assert alike(attacked) == alike(replace(attacked, attack=PGD(eps=0.02, seed=7)))
    different = [replace(BASE, batch_size=16), replace(BASE, epochs=6), attacked, replace(BASE, dtype="float64")]
    assert all(alike(one) != alike(BASE) for one in different)
    assert alike(Config(network=CNN())) is None
    assert alike(Config.from_table({"low_rank": {"fraction": 0.5}})) is None
    assert np.all([alike(one) is not None for one in CONFIGS])
