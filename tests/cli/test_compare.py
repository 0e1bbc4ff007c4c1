"""Runs beside each other: the numbers are those of their files, spreads and intervals those computed by hand."""

import csv
import json
import math
from pathlib import Path

import numpy as np
import pytest

from refimpl.errors import DataError, UsageError
from refimpl.runs import checkpoint
from refimpl.runs.compare import (
    AttackCounts,
    Group,
    RunSummary,
    differences,
    differing,
    grouped,
    named,
    ordered,
    paired,
    shared,
    spread,
    spreads,
    student_interval,
    summarize,
)
from refimpl.runs.config import Config
from refimpl.runs.folder import Run
from refimpl.runs.toml import to_toml

T_1, T_2 = 12.7062, 4.30265  # Student's t at 0.975 with 1 and 2 degrees of freedom, from printed tables


DATA = {"a": "a" * 64, "b": "b" * 64}


def attack_summary(**changes) -> dict:
    summary = {"attack": "pgd", "norm": "inf", "eps": 0.05, "clip": None, "steps": 20, "step_size": 0.005}
    summary |= {"random_start": False, "restarts": 1, "seed": 0, "n": 100, "n_correct": 80, "n_fooled": 20, "epoch": 2}
    summary |= {"accuracy": 0.8, "robust_accuracy": 0.6, "fooling_ratio": 0.25, "mean_distance": 0.05}
    return summary | {"fooling_ratio_interval_95": [0.2, 0.3], "zero_gradients": 0} | changes


def manifest(data: str) -> dict:
    found = {"status": "interrupted", "started": "", "seconds": 3, "python": "", "platform": "", "processor": ""}
    found |= {"cores": None, "packages": {}, "blas": [], "numpy_kernel": None, "openblas_coretype": None, "git": None}
    found |= {"seed": {"entropy": 0, "streams": []}}
    return found | {"data": {"name": "strokes", "source": "", "sha256": {"test_images": DATA[data]}}}


def write_run(folder: Path, table: dict | None = None, *, accuracy=0.75, attacks=(), data="a", epochs=2) -> Path:
    """A run folder as `refimpl train`, `attack` and `measure` leave it, without the training."""
    config = Config.from_table({"dataset": "strokes", "epochs": 2} | (table or {}))
    for name in ("attacks", "checkpoints"):
        (folder / name).mkdir(parents=True)
    (folder / "config.toml").write_text(to_toml(config))
    (folder / "manifest.json").write_text(json.dumps(manifest(data)))
    layers = [{"name": "W1", "effective_rank": 2.0, "effective_sparsity": None}]
    lines = [{"epoch": i, "loss": 1.0, "test_loss": 1.0, "accuracy": 0.5, "layers": layers} for i in (1, 2)][:epochs]
    (folder / "history.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    path = Run(folder).checkpoint_path(2)
    checkpoint.write(path, checkpoint.Checkpoint(2, {"W1": np.ones((2, 2))}, {}))
    origin = {"checkpoint_sha256": checkpoint.read(path).sha256, "data_sha256": {"test_images": DATA[data]}}
    if accuracy is not None:
        measured = {"epoch": 2, "n": 100, "accuracy": accuracy, "layers": layers, "run": "", "dataset": "strokes"}
        measured |= {"test_loss": 1.0, "accuracy_interval_95": [0, 1], "weights": 4, "full_weights": 4}
        (folder / "measure.json").write_text(json.dumps(measured | origin))
    for i, attack in enumerate(attacks):
        (folder / "attacks" / f"{i}.json").write_text(json.dumps(attack | origin))
    return folder


def of_seed(seed: int, accuracy: float, run: str = "", settings: dict | None = None, attacks=()) -> RunSummary:
    return RunSummary(
        run=run or f"run-{seed}", arch="fcnn", method="natural", dataset="strokes", seed=seed,
        settings=settings or {"epochs": 1}, epochs=1, accuracy=accuracy, accuracy_interval=None, layers=(),
        attacks=tuple(attacks), weights=10, seconds=1.0,
    )  # fmt: skip


def test_ratios_are_those_of_the_counts():
    counts = AttackCounts("pgd-eps", 0.05, "inf", n=10, n_correct=8, n_fooled=2)
    assert (counts.fooling_ratio, counts.robust_accuracy) == (0.25, 0.6)
    assert counts.name == "pgd-eps0.05"
    nothing = AttackCounts("pgd-eps", 0.05, "inf", n=10, n_correct=0, n_fooled=0)
    assert (nothing.fooling_ratio, nothing.robust_accuracy) == (None, 0.0)


def test_the_spread_has_n_minus_one_in_its_denominator():
    found = spread([1.0, 2.0, 3.0, 4.0])
    assert (found.mean, found.n) == (2.5, 4)
    assert found.standard_deviation == pytest.approx(math.sqrt(5 / 3))
    assert spread([7.0]).standard_deviation is None


def test_the_interval_is_students():
    low, high = student_interval([1.0, 2.0, 3.0])
    assert low == pytest.approx(2 - T_2 / math.sqrt(3), abs=1e-4)
    assert high == pytest.approx(2 + T_2 / math.sqrt(3), abs=1e-4)
    assert student_interval([1.0]) is None


def test_differences_are_paired_by_seed():
    group = Group("a", tuple(of_seed(seed, value) for seed, value in ((0, 0.9), (1, 0.8), (2, 0.7))))
    baseline = Group("b", tuple(of_seed(seed, value) for seed, value in ((1, 0.6), (0, 0.5), (3, 0.1))))
    (found,) = (one for one in paired(group, baseline) if one.quantity == "accuracy")
    assert found.seeds == (0, 1)
    assert found.mean == pytest.approx(0.3)  # of 0.4 and 0.2, whose standard error is 0.1
    assert found.interval == pytest.approx((0.3 - 0.1 * T_1, 0.3 + 0.1 * T_1), abs=1e-4)


def test_one_seed_in_common_has_a_difference_and_no_interval_and_none_is_refused():
    a, b = Group("a", (of_seed(0, 0.9),)), Group("b", (of_seed(0, 0.5),))
    found, lines = differences([a, b], b)
    assert (found[0].mean, found[0].interval) == (pytest.approx(0.4), None)
    assert len(lines) == 1
    with pytest.raises(UsageError, match="no other group has a seed in common with b"):
        differences([Group("a", (of_seed(1, 0.9),)), b], b)


def test_an_undefined_value_is_left_out_of_mean_and_difference():
    undefined = AttackCounts("pgd-eps", 0.05, "inf", 10, 0, 0)
    defined = AttackCounts("pgd-eps", 0.05, "inf", 10, 8, 2)
    group = Group("a", (of_seed(0, 0.9, attacks=[undefined]), of_seed(1, 0.9, attacks=[defined])))
    assert spreads(group)["fooling_ratio:pgd-eps0.05"].n == 1
    baseline = Group("b", tuple(of_seed(seed, 0.5, attacks=[defined]) for seed in (0, 1)))
    (ratio,) = (one for one in paired(group, baseline) if one.quantity == "fooling_ratio:pgd-eps0.05")
    assert (ratio.seeds, ratio.mean) == ((1,), 0.0)


def test_rows_are_ordered_and_those_without_a_value_come_last():
    rows = [{"x": 2}, {"x": None}, {"x": 1}, {"x": 3}]
    assert [row["x"] for row in ordered(rows, "x", lambda row: row)] == [1, 2, 3, None]
    assert [row["x"] for row in ordered(rows, "-x", lambda row: row)] == [3, 2, 1, None]
    with pytest.raises(UsageError, match="there is no column 'y'"):
        ordered(rows, "y", lambda row: row)


def test_a_summary_is_what_the_files_say(tmp_path):
    run = summarize(write_run(tmp_path / "run", attacks=[attack_summary()]))
    assert (run.accuracy, run.epochs, run.seconds, run.method) == (0.75, 2, 3.0, "natural")
    assert run.weights == 784 * 20 + 4 * 400 + 200
    low, high = run.accuracy_interval
    assert low < 0.75 < high
    assert run.quantities()["effective_rank:W1"] == 2.0
    assert run.quantities()["effective_sparsity:W1"] is None
    assert run.quantities()["robust_accuracy:pgd-eps0.05"] == 0.6


def test_measures_and_attacks_of_another_epoch_are_not_the_runs(tmp_path):
    folder = write_run(tmp_path / "run", attacks=[attack_summary(epoch=1)])
    measured = json.loads((folder / "measure.json").read_text())
    (folder / "measure.json").write_text(json.dumps(measured | {"epoch": 1}))
    run = summarize(folder)
    assert (run.accuracy, run.accuracy_interval, run.attacks) == (0.5, None, ())


def test_attacks_are_shared_where_settings_and_number_of_examples_are_equal(tmp_path):
    a = summarize(write_run(tmp_path / "a", attacks=[attack_summary(), attack_summary(steps=40)]))
    b = summarize(write_run(tmp_path / "b", attacks=[attack_summary(seed=5), attack_summary(n=90, steps=40)]))
    kept, notes = shared([a, b])
    assert [[one.name for one in run.attacks] for run in kept] == [["pgd-eps0.05"]] * 2
    assert len(notes) == 2
    assert "pgd-eps0.05-steps40 on 100 examples" in notes[0]
    assert str(tmp_path / "a") in notes[0]


def test_of_several_numbers_of_examples_the_largest_shared_one_counts(tmp_path):
    results = [attack_summary(n=90, n_fooled=1), attack_summary(), attack_summary(n=95, n_fooled=3)]
    runs = [summarize(write_run(tmp_path / name, attacks=results[:2])) for name in "ab"]
    runs.append(summarize(write_run(tmp_path / "c", attacks=results)))
    kept, _ = shared(runs)
    assert [[one.n for one in run.attacks] for run in kept] == [[100]] * 3


def test_runs_that_differ_only_by_seed_are_a_group(tmp_path):
    tables = [{"seed": seed, "attack": {"pgd": {}}} for seed in (1, 0)]
    runs = [summarize(write_run(tmp_path / str(i), table)) for i, table in enumerate(tables)]
    (group,) = grouped(runs)
    assert (group.seeds, group.name) == ([0, 1], "fcnn-strokes-pgd")


@pytest.mark.parametrize(
    ("one", "other", "name"),
    [
        ({"table": {"batch_size": 64}}, {}, "batch_size"),
        ({"data": "b"}, {}, "data"),
        ({"epochs": 1, "accuracy": None}, {}, "epochs_done"),
        ({"table": {"start": "elsewhere"}}, {}, "start"),
        ({"table": {"attack": {"pgd": {}}}}, {"table": {"attack": {"pgd": {"eps": 0.1}}}}, "attack.pgd.eps"),
    ],
)
def test_unlike_runs_are_not_mixed_and_what_differs_is_named(tmp_path, one, other, name):
    runs = [summarize(write_run(tmp_path / "a", **one)), summarize(write_run(tmp_path / "b", **other))]
    groups = grouped(runs)
    assert len(groups) == 2
    assert name in differing([group.runs[0].settings for group in groups])
    assert all(name in group.name for group in groups)


def test_runs_that_started_from_alike_runs_are_alike(tmp_path):
    start = {name: write_run(tmp_path / name, table) for name, table in (
        ("natural0", {"seed": 0}), ("natural1", {"seed": 1}), ("l1", {"regularizer": {"l1": {"W1": 0.01}}}),
    )}  # fmt: skip
    tuned = {
        name: summarize(write_run(tmp_path / f"from-{name}", {"seed": i, "start": str(path)}))
        for i, (name, path) in enumerate(start.items())
    }
    assert [group.seeds for group in grouped(list(tuned.values()))] == [[0, 1], [2]]


def test_the_same_run_twice_is_refused():
    with pytest.raises(UsageError, match="a and b differ in nothing, seed 0"):
        grouped([of_seed(0, 0.5, "a"), of_seed(0, 0.5, "b")])


def test_a_group_is_named_by_its_name_or_by_one_of_its_runs():
    groups = grouped([of_seed(0, 0.5, "runs/a"), of_seed(0, 0.5, "runs/b", {"epochs": 2})])
    assert named(groups, "runs/b/") is groups[1]
    assert named(groups, "fcnn-strokes-natural epochs=1") is groups[0]
    with pytest.raises(UsageError, match="'c' is none of the runs and groups"):
        named(groups, "c")


@pytest.mark.parametrize(
    "changes",
    [
        {"n_fooled": 90},
        {"n": 0, "n_correct": 0, "n_fooled": 0},
        {"n": "many"},
        {"attack": "none"},
        {"eps": -1.0},
        {"epoch": None},
        {"restarts": "few"},
    ],
)
def test_a_damaged_result_of_an_attack_is_an_error_of_data(tmp_path, changes):
    folder = write_run(tmp_path / "run", attacks=[attack_summary(**changes)])
    with pytest.raises(DataError, match=str(folder / "attacks" / "0.json")):
        summarize(folder)


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("attacks/0.json", "{"),
        ("attacks/0.json", "[" * 100_000),
        ("measure.json", '{"epoch": 2}'),
        ("manifest.json", "{}"),
        ("history.jsonl", ""),
        ("history.jsonl", "3\n"),
        ("config.toml", "epochs = 'two'"),
    ],
)
def test_a_damaged_file_is_an_error_of_data(tmp_path, file, content):
    folder = write_run(tmp_path / "run")
    (folder / file).write_text(content)
    with pytest.raises(DataError, match=str(folder)):
        summarize(folder)


@pytest.mark.parametrize("file", ["attacks/0.json", "measure.json"])
def test_a_result_of_another_net_is_an_error_of_data(tmp_path, file):
    folder = write_run(tmp_path / "run", attacks=[attack_summary()])
    found = json.loads((folder / file).read_text())
    (folder / file).write_text(json.dumps(found | {"checkpoint_sha256": "0" * 64}))
    with pytest.raises(DataError, match="was not made from"):
        summarize(folder)


@pytest.fixture
def three(tmp_path, monkeypatch):
    """Two seeds of natural training and one run trained against PGD, all attacked alike."""
    monkeypatch.chdir(tmp_path)
    for seed, fooled in ((0, 20), (1, 40)):
        attacks = [attack_summary(n_fooled=fooled)]
        write_run(Path(f"natural{seed}"), {"seed": seed}, accuracy=0.80 + seed / 10, attacks=attacks)
    write_run(Path("pgd0"), {"attack": {"pgd": {}}}, accuracy=0.70, attacks=[attack_summary(n_fooled=8)])
    return "natural0", "natural1", "pgd0"


def test_compare_prints_a_row_for_each_run(refimpl, three):
    lines = refimpl("compare", *three, "--sort", "accuracy").stdout.splitlines()
    assert [line.split()[0] for line in lines[1:4]] == ["pgd0", "natural0", "natural1"]
    assert "70.00 %" in lines[1]
    title = lines.index(next(line for line in lines if line.startswith("fooling ratio")))
    assert [line.split() for line in lines[title + 1 : title + 4]] == [
        ["pgd0", "10.00", "%"], ["natural0", "25.00", "%"], ["natural1", "50.00", "%"],
    ]  # fmt: skip


def test_compare_groups_seeds(refimpl, three):
    found = json.loads(refimpl("compare", *three, "--group", "--json").stdout)
    natural, pgd = found["groups"]
    assert (natural["group"], natural["seeds"], pgd["seeds"]) == ("fcnn-strokes-natural", [0, 1], [0])
    accuracy = natural["quantities"]["accuracy"]
    assert accuracy["mean"] == pytest.approx(0.85)
    assert accuracy["standard_deviation"] == pytest.approx(0.1 / math.sqrt(2))
    assert "85.00 ± 7.07 %" in refimpl("compare", *three, "--group").stdout


def test_compare_against_a_run_says_what_differs_and_which_seeds_have_no_pair(refimpl, three):
    result = refimpl("compare", *three, "--against", "pgd0")
    assert "+10.00 points" in result.stdout
    assert "fcnn-strokes-natural differs from fcnn-strokes-pgd in attack.pgd" in result.stderr
    assert "not paired, left out: seed 1" in result.stderr
    (accuracy, *_) = json.loads(refimpl("compare", *three, "--against", "pgd0", "--json").stdout)["differences"]
    assert (accuracy["quantity"], accuracy["interval_95"], accuracy["seeds"]) == ("accuracy", None, [0])


def test_compare_writes_the_table_as_csv(refimpl, three):
    refimpl("compare", *three, "--csv", "table.csv")
    rows = list(csv.DictReader(Path("table.csv").read_text().splitlines()))
    assert [row["run"] for row in rows] == list(three)
    assert [float(row["robust_accuracy:pgd-eps0.05"]) for row in rows] == [0.6, 0.4, 0.72]
    refimpl("compare", *three, "--group", "--csv", "groups.csv")
    (natural, _) = csv.DictReader(Path("groups.csv").read_text().splitlines())
    assert (natural["seeds"], float(natural["accuracy"])) == ("0 1", pytest.approx(0.85))


def test_compare_refuses_what_it_cannot_compare(refimpl, three):
    assert (
        "there is no column 'acuracy'; did you mean 'accuracy'?"
        in refimpl("compare", *three, "--sort", "acuracy", code=2).stderr
    )
    assert "none of the runs and groups" in refimpl("compare", *three, "--against", "x", code=2).stderr
    assert "is not a run" in refimpl("compare", "nowhere", code=3).stderr
    assert refimpl("compare", "natural0", "natural1", "--against", "natural0", code=2).stdout == ""
