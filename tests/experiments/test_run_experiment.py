"""One experiment: done once, continued where it was left; and many of them, each after the one it starts from."""

import json
import math
import shutil
import statistics
from concurrent.futures import BrokenExecutor, Executor, Future
from dataclasses import replace
from pathlib import Path

import pytest
from filelock import FileLock

from refimpl.errors import DataError, NumericalError, UsageError
from refimpl.experiments import CONTROL, plan, results, run_experiment, schedule
from refimpl.experiments.claims import course
from refimpl.networks import CNN, FCNN
from refimpl.optimizers import SGD
from refimpl.runs.folder import Run, list_runs
from refimpl.training.loop import epoch_log


class AtOnce(Executor):
    """Does what it is given before it returns; the process of the method `dies`, where one is named, dies."""

    def __init__(self, dies=None):
        self.dies = dies

    def submit(self, f, /, *arguments, **options):
        future = Future()
        try:
            if self.dies in [one.method for one in arguments[1]]:
                raise BrokenExecutor
            future.set_result(f(*arguments, **options))
        except Exception as error:
            future.set_exception(error)
        return future


def some(*methods):
    """Natural training and these methods, of a small net."""
    runs = plan("smoke", "fcnn", ["literal"], methods=methods)
    small = {"network": FCNN((784, 8, 10)), "monitor_examples": 50}
    return [replace(run, config=replace(run.config, **small)) for run in runs]


def test_what_is_done_is_not_done_again(tmp_path):
    natural, tuned = some("l1-0.01")
    first = run_experiment(tmp_path, natural)
    assert first["accuracy"] == Run.open(tmp_path / natural.name).history[-1]["accuracy"]
    assert [a["attack"] for a in first["attacks"]] == ["fgsm", "pgd", "gnm"]
    assert first["layers"][0]["mutual_information_lower"] <= first["layers"][0]["mutual_information_upper"]
    files = {path: path.stat().st_mtime_ns for path in (tmp_path / natural.name).rglob("*")}
    assert run_experiment(tmp_path, natural) == json.loads((tmp_path / natural.name / "result.json").read_text())
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / natural.name).rglob("*")} == files
    assert run_experiment(tmp_path, tuned)["method"] == "l1-0.01"


def test_what_was_begun_is_continued_to_the_same_bits(tmp_path):
    (natural,) = some("natural")
    whole = run_experiment(tmp_path / "whole", natural)
    short = replace(natural, config=replace(natural.config, epochs=1))
    run_experiment(tmp_path / "torn", short)
    folder = tmp_path / "torn" / natural.name
    (folder / "result.json").unlink()
    Run.open(folder).write_config(natural.config)
    assert run_experiment(tmp_path / "torn", natural) == whole
    one, other = ((tmp_path / kind / natural.name / "history.jsonl").read_bytes() for kind in ("whole", "torn"))
    assert one == other


def test_a_folder_with_another_configuration_is_refused(tmp_path):
    (natural,) = some("natural")
    run_experiment(tmp_path, natural)
    other = replace(natural, config=replace(natural.config, optimizer=SGD(learning_rate=0.5)))
    with pytest.raises(DataError, match="holds a run of other settings"):
        run_experiment(tmp_path, other)


def test_nothing_starts_before_what_it_starts_from_and_an_error_is_raised(tmp_path):
    order = []
    runs = some("l1-0.01", CONTROL)
    schedule(list(reversed(runs)), tmp_path, AtOnce(), on_result=lambda experiment: order.append(experiment.method))
    assert order[0] == "natural"
    assert sorted(order) == ["l1-0.01", "natural", CONTROL]
    assert [run.status for run in list_runs(tmp_path)] == ["finished"] * 3
    (tmp_path / runs[1].name / "config.toml").write_text("nonsense = 1\n")
    with pytest.raises(DataError, match=r"config\.toml: unknown setting"):
        schedule(runs, tmp_path, AtOnce())


def test_a_convolutional_net_is_measured_without_mutual_information(tmp_path):
    (natural,) = plan("smoke", "cnn", ["literal"], methods=["natural"])
    small = replace(natural.config, network=CNN(filters=(2, 2)), epochs=1, monitor_examples=20)
    result = run_experiment(tmp_path, replace(natural, config=small))
    assert [layer["name"] for layer in result["layers"]] == ["W1", "W2", "W3", "W4"]
    assert "mutual_information_lower" not in result["layers"][0]
    assert [a["n"] for a in result["attacks"]] == [300] * 3


def test_a_trained_run_that_has_lost_its_configuration_is_never_removed(tmp_path):
    natural, tuned = some("l1-0.01")
    run_experiment(tmp_path, natural)
    folder = tmp_path / natural.name
    (folder / "config.toml").rename(tmp_path / "kept.toml")
    (folder / "result.json").unlink()
    before = sorted(folder.rglob("*"))
    with pytest.raises(DataError, match=r"natural-seed0 has lost its config\.toml"):
        run_experiment(tmp_path, natural)
    assert sorted(folder.rglob("*")) == before
    with pytest.raises(DataError, match="natural-seed0 is not finished"):
        run_experiment(tmp_path, tuned)
    (tmp_path / "kept.toml").rename(folder / "config.toml")
    with pytest.raises(DataError, match="natural-seed0 is not finished"):  # trained, but perhaps not to its end
        run_experiment(tmp_path, tuned)
    run_experiment(tmp_path, natural)
    assert run_experiment(tmp_path, tuned)["method"] == "l1-0.01"


def test_a_result_that_was_changed_or_is_of_another_checkpoint_is_refused(tmp_path):
    (natural,) = some("natural")
    result = run_experiment(tmp_path, natural)
    path = tmp_path / natural.name / "result.json"
    path.write_text(json.dumps(result | {"accuracy": "high"}))
    with pytest.raises(DataError, match=r"result\.json is damaged.*accuracy"):
        run_experiment(tmp_path, natural)
    path.write_text(json.dumps(result | {"checkpoint_sha256": "0" * 64}))
    with pytest.raises(DataError, match=r"result\.json was not made from"):
        results(tmp_path)


def test_two_processes_do_not_create_one_run(tmp_path):
    """The second leaves what the first has begun, which is no run yet."""
    (natural,) = some("natural")
    half_born = tmp_path / natural.name / "checkpoints"
    half_born.mkdir(parents=True)
    refused = pytest.raises(UsageError, match="another process is at work on this run")
    with FileLock(tmp_path / "fcnn-literal" / ".natural-seed0.lock"), refused:
        run_experiment(tmp_path, natural)
    assert half_born.is_dir()


def test_a_process_that_dies_costs_its_runs_and_what_starts_from_them(tmp_path):
    lost = []
    runs = some("l1-0.01", CONTROL, "fgsm")
    found = schedule(runs, tmp_path, AtOnce("l1-0.01"), on_loss=lambda experiment: lost.append(experiment.method))
    assert sorted(lost) == ["l1-0.01", CONTROL]  # which share a stack
    assert [name.split("/")[1] for name in found] == ["natural-seed0", "fgsm-seed0"]
    assert schedule(runs, tmp_path, AtOnce()).keys() == {run.name for run in runs}
    assert schedule(some("l1-0.01"), tmp_path / "new", AtOnce("natural")) == {}


@pytest.fixture(scope="module")
def stacked(tmp_path_factory):
    """Natural training and a stack of two runs that start from it: where they are, the runs, their results."""
    root, runs = tmp_path_factory.mktemp("stacked"), some("l1-0.01", CONTROL)
    return root, runs, schedule(runs, root, AtOnce())


def test_what_starts_from_one_net_is_trained_in_a_stack(tmp_path, stacked):
    root, runs, found = stacked
    together = {"size": 2, "runs": [f"{CONTROL}-seed0", "l1-0.01-seed0"]}
    assert [Run(root / one.name).manifest.get("stack") for one in runs] == [None, together, together]
    shutil.copytree(root / runs[0].name, tmp_path / runs[0].name)
    single = run_experiment(tmp_path, runs[1])
    assert found[runs[1].name].keys() == single.keys()
    assert found[runs[1].name]["accuracy"] == pytest.approx(single["accuracy"], abs=0.02)
    schedule(runs, tmp_path, AtOnce())
    assert [Run(tmp_path / one.name).manifest.get("stack") for one in runs] == [None] * 3  # the last was alone


def test_a_stack_that_was_begun_goes_on_to_the_same_bits_and_not_in_part(tmp_path, stacked):
    root, runs, whole = stacked
    torn = shutil.copytree(root, tmp_path / "torn")
    for one in runs[1:]:
        run = Run(torn / one.name)
        (run.folder / "result.json").unlink()
        run.write_manifest({**run.manifest, "status": "running"})
        run.remove_checkpoints_after(0)
    with pytest.raises(UsageError, match="was not asked for"):
        schedule(runs[:2], torn, AtOnce())
    with pytest.raises(UsageError, match="is trained in a stack of 2 runs"):
        run_experiment(torn, runs[1])
    assert schedule(runs, torn, AtOnce()) == whole


def test_a_run_of_a_stack_that_diverges_is_named_when_the_others_are_measured(tmp_path, monkeypatch):
    natural, *tuned = some("l1-0.01", CONTROL)
    run_experiment(tmp_path, natural)

    def failing(epoch, found, *arguments):
        if found["terms"]:
            raise NumericalError("lost")
        return epoch_log(epoch, found, *arguments)

    monkeypatch.setattr("refimpl.training.stack.epoch_log", failing)
    with pytest.raises(NumericalError, match=r"l1-0\.01-seed0: lost"):
        schedule([natural, *tuned], tmp_path, AtOnce())
    assert {Path(one["method"]).name for one in results(tmp_path)} == {"natural", CONTROL}


def watched(epoch, *pgd):
    return {"epoch": epoch} | ({"attacks": [{"attack": "pgd", "fooling_ratio": pgd[0]}]} if pgd else {})


def test_the_fooling_ratio_of_a_claim_is_the_mean_over_later_checkpoints(tmp_path):
    line = [watched(1, 1.0), watched(2, 1.0), watched(3, 0.5), watched(4), watched(5, 0.7)]
    assert course(line) == {"pgd": pytest.approx(0.6)}
    assert math.isnan(course([watched(1, None)])["pgd"])
    (natural,) = some("natural")
    run_experiment(tmp_path, natural)
    (found,) = results(tmp_path)
    late = [x["attacks"] for x in Run.open(tmp_path / natural.name).history if x["epoch"] >= 2]
    assert len(late) == 2
    for attack, mean in found["course"].items():
        assert mean == statistics.fmean(
            a["fooling_ratio"] for attacks in late for a in attacks if a["attack"] == attack
        )
