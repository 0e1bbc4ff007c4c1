"""The paper's experiments: planned whole, done once, continued where they were left, judged by what came out."""

import json
import math
import statistics
import subprocess
import sys
import time
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import replace

import pytest

from refimpl.errors import DataError, UsageError
from refimpl.experiments import ACCURACY, CONTROL, READINGS, carry_out, plan, results, schedule
from refimpl.experiments.claims import course
from refimpl.experiments.tables import comparison, tables
from refimpl.experiments.verdict import DEPENDS, SUPPORTED, UNDECIDED, UNSUPPORTED, verdict, worse
from refimpl.runs.folder import Run, list_runs
from refimpl.runs.presets import METHODS


class AtOnce(Executor):
    """Does what it is given before it returns."""

    def submit(self, f, /, *arguments, **options):
        future = Future()
        try:
            future.set_result(f(*arguments, **options))
        except Exception as error:
            future.set_exception(error)
        return future


def some(*methods):
    return plan("smoke", "fcnn", ["literal"], methods=methods)


def test_the_plan_holds_every_row_of_the_tables_and_a_control():
    for arch in ("fcnn", "cnn"):
        runs = plan("paper", arch, ["literal"], seeds=[0])
        assert {run.method for run in runs} == {*METHODS[arch], CONTROL} >= set(ACCURACY[arch])
        assert runs[0].source is None
        assert {run.source for run in runs[1:]} == {runs[0].name}
        assert len({run.name for run in runs}) == len(runs)
        (control,) = (run for run in runs if run.method == CONTROL)
        assert control.config.method == "natural"
        assert {run.config.epochs for run in runs[1:]} == {control.config.epochs}  # as long as every other
    assert {run.config.learning_rate for run in plan("paper", "cnn", ["literal"], seeds=[0])[1:]} == {0.001}
    adam = [run for run in plan("paper", "fcnn", ["adam"]) if run.config.adversarial != "none"]
    assert {(run.config.adversarial_share, run.config.optimizer) for run in adam} == {(0.5, "adam")}
    assert {run.config.seed for run in adam} == {0, 1, 2}


def test_every_reading_can_be_run_and_says_what_it_changes():
    for arch, readings in READINGS.items():
        for name, reading in readings.items():
            runs = {run.method: run.config for run in plan("paper", arch, [name], seeds=[0])}
            assert runs["natural"].epochs == reading.source["epochs"]
            assert runs["l1-0.01"].l1["W1"] == pytest.approx(0.01 * reading.lambdas)
            assert runs["pgd"].adversarial_share == reading.adversarial.get("adversarial_share", 1.0)
            assert (runs["natural"].l1, runs["natural"].adversarial_share) == ({}, 1.0)
    assert {run.config.joint for run in plan("paper", "fcnn", ["adam-lambda-10"], [0], ["joint-0.001"])} == {0, 0.01}


def test_a_loss_summed_over_the_batch_is_a_longer_step_and_a_smaller_lambda():
    """W - 0.001 (sum of gradients + lambda G) = W - 0.128 (their mean + lambda / 128 G)."""
    (_, run) = plan("paper", "fcnn", ["summed"], seeds=[0], methods=["l1-0.01"])
    assert run.config.learning_rate / run.config.batch_size == pytest.approx(0.001)
    assert run.config.learning_rate * run.config.l1["W1"] == pytest.approx(0.001 * 0.01)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("fast", "fcnn"), "no profile is called 'fast': choose one of smoke, quick, paper"),
        (("smoke", "cnn", ["adam"]), "no reading is called 'adam'"),
        (("smoke", "fcnn", ["literal"], [0], ["l2"]), "no method is called 'l2'"),
    ],
)
def test_an_unknown_name_is_refused(arguments, message):
    with pytest.raises(UsageError, match=message):
        plan(*arguments)


def test_what_is_done_is_not_done_again(tmp_path):
    natural, tuned = some("l1-0.01")
    first = carry_out(tmp_path, natural)
    assert first["accuracy"] == Run.open(tmp_path / natural.name).history[-1]["accuracy"]
    assert [a["attack"] for a in first["attacks"]] == ["fgsm", "pgd", "gnm"]
    assert first["layers"][0]["mutual_information_lower"] <= first["layers"][0]["mutual_information_upper"]
    files = {path: path.stat().st_mtime_ns for path in (tmp_path / natural.name).rglob("*")}
    assert carry_out(tmp_path, natural) == json.loads((tmp_path / natural.name / "result.json").read_text())
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / natural.name).rglob("*")} == files
    assert carry_out(tmp_path, tuned)["method"] == "l1-0.01"


def test_what_was_begun_is_continued_to_the_same_bits(tmp_path):
    (natural,) = some("natural")
    whole = carry_out(tmp_path / "whole", natural)
    short = replace(natural, config=replace(natural.config, epochs=1))
    carry_out(tmp_path / "torn", short)
    folder = tmp_path / "torn" / natural.name
    (folder / "result.json").unlink()
    Run.open(folder).write_config(natural.config)
    assert carry_out(tmp_path / "torn", natural) == whole
    one, other = ((tmp_path / kind / natural.name / "history.jsonl").read_bytes() for kind in ("whole", "torn"))
    assert one == other


def test_a_folder_without_a_configuration_is_begun_anew_and_one_with_another_refused(tmp_path):
    (natural,) = some("natural")
    (tmp_path / natural.name / "checkpoints").mkdir(parents=True)
    carry_out(tmp_path, natural)
    other = replace(natural, config=replace(natural.config, learning_rate=0.5))
    with pytest.raises(DataError, match="holds a run of other settings"):
        carry_out(tmp_path, other)


def test_nothing_starts_before_what_it_starts_from_and_an_error_is_raised(tmp_path):
    order = []
    runs = some("l1-0.01", CONTROL)
    schedule(list(reversed(runs)), tmp_path, AtOnce(), on_result=lambda experiment: order.append(experiment.method))
    assert order[0] == "natural"
    assert sorted(order) == ["l1-0.01", "natural", CONTROL]
    assert [run.status for run in list_runs(tmp_path)] == ["finished"] * 3
    (tmp_path / runs[1].name / "config.toml").write_text("nonsense = 1\n")
    with pytest.raises(UsageError, match="unknown setting"):
        schedule(runs, tmp_path, AtOnce())


def result(method, seed, reading="literal", accuracy=0.95, rank=4.0, pgd=0.9):
    layer = {"effective_rank": rank, "effective_sparsity": 100.0}
    layer |= {"mutual_information_lower": 8.0, "mutual_information_upper": 12.0}
    attacks = [{"attack": name, "fooling_ratio": pgd} for name in ("fgsm", "pgd", "gnm")]
    return {"arch": "fcnn", "reading": reading, "method": method, "seed": seed, "accuracy": accuracy,
            "layers": [layer] * 6, "attacks": attacks, "course": {"pgd": pgd}}  # fmt: skip


def rows(found, claim):
    (row,) = (row for row in found["claims"] if row["claim"] == claim)
    return row


def test_a_number_is_reproduced_within_its_tolerance_of_the_mean():
    found = verdict([result("natural", seed, accuracy=a) for seed, a in enumerate((0.9500, 0.9520, 0.9540))])
    (row,) = found["numbers"]
    assert (row["paper"], row["n"], row["reproduced"]) == (0.9508, 3, True)
    assert row["mean"] == pytest.approx(0.952)
    assert row["standard_deviation"] == pytest.approx(0.002)
    assert not verdict([result("natural", 0, accuracy=0.96)])["numbers"][0]["reproduced"]
    assert verdict([result(CONTROL, 0)])["numbers"][0]["reproduced"] is None


def test_an_effect_is_supported_when_its_interval_is_below_zero_and_not_when_above():
    for change, expected in ((-1.0, SUPPORTED), (1.0, UNSUPPORTED)):
        runs = [result("l1-0.01", s, rank=4 + change + 0.01 * s) for s in range(3)]
        runs += [result(CONTROL, s) for s in range(3)]
        row = rows(verdict(runs), "c")
        assert row["verdict"] == expected
        (effect,) = row["effects"]
        low, high = effect["interval_95"]
        assert effect["mean"] == pytest.approx(change + 0.01)
        assert low < effect["mean"] < high
        assert (high - low) / 2 == pytest.approx(4.3027 * 0.01 / 3**0.5, rel=1e-4)  # Student, 2 degrees of freedom


def test_one_seed_or_an_interval_around_zero_decides_nothing_and_two_readings_may_differ():
    pair = [result("l1-0.01", 0, rank=3.0), result(CONTROL, 0)]
    assert rows(verdict(pair), "c")["verdict"] == UNDECIDED
    noisy = [result("l1-0.01", s, rank=4 + (-1) ** s) for s in range(4)] + [result(CONTROL, s) for s in range(4)]
    assert rows(verdict(noisy), "c")["verdict"] == UNDECIDED
    runs = [result("l1-0.01", s, "literal", rank=3.0 + 0.01 * s) for s in range(3)]
    runs += [result("l1-0.01", s, "adam-long", rank=5.0 + 0.01 * s) for s in range(3)]
    runs += [result(CONTROL, s, reading) for s in range(3) for reading in ("literal", "adam-long")]
    assert rows(verdict(runs), "c")["verdict"] == DEPENDS
    assert rows(verdict(runs), "e")["verdict"] == UNDECIDED  # nothing ran for it


def test_natural_training_is_fooled_slightly_below_always():
    for pgd, expected in ((0.97, SUPPORTED), (0.5, UNSUPPORTED)):
        runs = [result("natural", s, pgd=pgd + 0.001 * s) for s in range(3)]
        assert rows(verdict(runs), "j")["verdict"] == expected


def watched(epoch, *pgd):
    return {"epoch": epoch} | ({"attacks": [{"attack": "pgd", "fooling_ratio": pgd[0]}]} if pgd else {})


def test_the_fooling_ratio_of_a_claim_is_the_mean_over_later_checkpoints(tmp_path):
    line = [watched(1, 1.0), watched(2, 1.0), watched(3, 0.5), watched(4), watched(5, 0.7)]
    assert course(line) == {"pgd": pytest.approx(0.6)}
    assert math.isnan(course([watched(1, None)])["pgd"])
    (natural,) = some("natural")
    carry_out(tmp_path, natural)
    (found,) = results(tmp_path)
    late = [x["attacks"] for x in Run.open(tmp_path / natural.name).history if x["epoch"] >= 2]
    assert len(late) == 2
    for attack, mean in found["course"].items():
        assert mean == statistics.fmean(
            a["fooling_ratio"] for attacks in late for a in attacks if a["attack"] == attack
        )


def test_a_number_that_is_none_decides_nothing():
    runs = [result("l1-0.01", s, rank=math.nan) for s in range(3)] + [result(CONTROL, s) for s in range(3)]
    assert rows(verdict(runs), "c")["verdict"] == UNDECIDED


def test_claims_rest_on_the_readings_judged_and_the_comparison_has_all():
    others = [result(method, 0, "late", accuracy=0.94) for method in ACCURACY["fcnn"]]
    found = verdict([result("natural", 0), *others])
    assert {effect["reading"] for claim in found["claims"] for effect in claim["effects"]} == {"literal"}
    assert "late" not in str(tables(found))
    title, header, (paper, late) = comparison(found, "fcnn")  # the literal reading lacks rows
    assert title == "Readings against Table 1, fully connected net, MNIST"
    assert header[-2:] == ["points off", "PGD fools natural"]
    off = statistics.fmean(abs(94 - 100 * accuracy) for accuracy in ACCURACY["fcnn"].values())
    assert late[-2:] == [f"{off:.2f}", "90.0 %"]
    assert paper[2] == "95.08 %"


def test_what_was_better_on_record_is_named():
    good = verdict([result("natural", 0, accuracy=0.95, pgd=0.97)])
    bad = verdict([result("natural", 0, accuracy=0.9, pgd=0.97)])
    assert worse(good, good) == worse(good, bad) == []
    assert worse(bad, good) == ["fcnn literal natural: 0.9000, was 0.9500"]
    supported = verdict([result("natural", s, pgd=0.97 + 0.001 * s) for s in range(3)])
    assert worse(good, supported) == ["claim j: undecided, was supported"]


def test_reproduce_in_a_smoke_test_then_again_without_work(refimpl, tmp_path):
    arguments = ("reproduce", "--profile", "smoke", "--arch", "fcnn", "--reading", "literal", "--method", "l1-0.01",
                 "--method", CONTROL, "--out", tmp_path / "all", "--jobs", 2)  # fmt: skip
    first = refimpl(*arguments)
    assert "reproducing: 3/3 runs" in first.stderr
    assert "l1 on W1 alone lowers its effective rank, too" in first.stdout
    found = json.loads((tmp_path / "all" / "verdict.json").read_text())
    assert [row["method"] for row in found["numbers"]] == ["natural", "l1-0.01", CONTROL]
    began = time.monotonic()
    again = json.loads(refimpl(*arguments, "--json").stdout)
    assert again == found
    assert time.monotonic() - began < 30


def test_reproduce_refuses_a_reading_that_there_is_none_of(refimpl, tmp_path):
    out = ("--out", tmp_path / "none")
    assert "'early' is not one of" in refimpl("reproduce", "--reading", "early", *out, code=2).stderr
    assert "no Dask scheduler answers" in refimpl("reproduce", "--scheduler", "tcp://127.0.0.1:1", *out, code=2).stderr


@pytest.mark.slow
def test_a_cluster_loses_nothing_when_a_worker_is_killed(refimpl, tmp_path):
    """A real scheduler and two workers on the loopback; one is killed while it works."""
    pytest.importorskip("distributed", reason="Dask is not installed: pip install 'refimpl[dask]'")
    address = tmp_path / "scheduler.json"
    dask = [sys.executable, "-m", "distributed.cli.dask_scheduler"]
    worker = [sys.executable, "-m", "distributed.cli.dask_worker", "--scheduler-file", str(address), "--no-nanny",
              "--nthreads", "1", "--no-dashboard", "--host", "127.0.0.1"]  # fmt: skip
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": tmp_path}
    options = ["--scheduler-file", str(address), "--host", "127.0.0.1", "--port", "0", "--no-dashboard"]
    processes = [subprocess.Popen([*dask, *options], **quiet)]
    try:
        while not address.exists():
            time.sleep(0.1)
        processes += [subprocess.Popen(worker, **quiet) for _ in range(2)]
        where = json.loads(address.read_text())["address"]
        out = tmp_path / "all"
        arguments = ("reproduce", "--profile", "smoke", "--arch", "fcnn", "--out", out, "--scheduler", where)
        with ThreadPoolExecutor(1) as thread:
            finished = thread.submit(refimpl, *arguments)
            while len(list(out.glob("*/*/config.toml"))) < 4:
                time.sleep(0.02)
            processes[-1].kill()
            finished.result(timeout=120)
        runs = list_runs(out)
        assert len(runs) == 20
        assert {run.status for run in runs} == {"finished"}
        for run in runs:
            assert [line["epoch"] for line in run.history] == list(range(1, run.config.epochs + 1))
            assert (run.folder / "result.json").is_file()
    finally:
        for process in processes:
            process.kill()
            process.wait()
