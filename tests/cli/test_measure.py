"""`refimpl measure`, and the commands that look around: `runs` and `doctor`."""

import json
import math
from pathlib import Path

import pytest

from refimpl.runs.folder import Run


def measured(refimpl, *arguments):
    return json.loads(refimpl("measure", *arguments, "--json").stdout)


def test_measure_prints_a_table_and_writes_json(refimpl, run):
    result = refimpl("measure", run)
    for line in [f"W{i}" for i in range(1, 7)]:
        assert line in result.stdout
    assert json.loads((run / "measure.json").read_text()) == measured(refimpl, run)


def test_measure_bounds_the_mutual_information_of_the_hidden_layers(refimpl, run):
    *hidden, last = measured(refimpl, run, "--mi")["layers"]
    assert "mutual_information_lower" not in last
    for layer in hidden:
        assert 0 <= layer["mutual_information_lower"] <= layer["mutual_information_upper"] <= math.log2(1000)
        assert 0 <= layer["label_information_lower"] <= layer["label_information_upper"] <= math.log2(10)
    assert "I(x;t), bits" in refimpl("measure", run, "--mi", "--sigma2", "0.5").stdout


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--mi", "--sigma2", "0"), "sigma2 must be"),
        (("--mi", "--sigma2", "nan"), "sigma2 must be"),
        (("--sigma2", "-1"), "--sigma2 is the noise variance of --mi: give both"),
        (("--sigma2", "0.5"), "--sigma2 is the noise variance of --mi: give both"),
    ],
)
def test_a_noise_variance_that_means_nothing_is_refused(refimpl, run, options, message):
    assert message in refimpl("measure", run, *options, code=2).stderr
    assert not (run / "measure.json").exists()


def test_runs_lists_good_and_damaged(refimpl, trained):
    trained("runs/run", "--epochs", 2)
    Path("runs/broken").mkdir()
    Path("runs/broken/config.toml").write_text("nonsense = 1\n")
    listed = {row["run"]: row for row in json.loads(refimpl("runs", "--json").stdout)["runs"]}
    assert listed["runs/run"]["status"] == "finished"
    assert "unknown setting" in listed["runs/broken"]["status"]
    assert "2/2" in refimpl("runs").stdout


def test_runs_shows_what_attacks_found(refimpl, run, attacked):
    found = {}
    for name in ("fgsm", "pgd", "gnm"):
        (found[name],) = attacked(run, "--attack", name, "--examples", 40)
    shown = refimpl("runs", ".").stdout
    for name, result in found.items():
        assert f"{name} 0.05: {100 * result['fooling_ratio']:.2f} %" in shown
    assert "more" not in shown
    attacked(run, "--attack", "fgsm", "--eps", "0.01,0.02", "--examples", 40)
    assert "and 2 more" in refimpl("runs", ".").stdout
    (row,) = json.loads(refimpl("runs", ".", "--json").stdout)["runs"]
    named = [(one["attack"].partition("-eps")[0], one["eps"]) for one in row["attacks"]]
    assert named == [("fgsm", 0.01), ("fgsm", 0.02), ("fgsm", 0.05), ("gnm", 0.05), ("pgd", 0.05)]
    damaged = next(run.glob("attacks/pgd*.json"))
    damaged.write_text("{")
    assert f"damaged: {damaged}" in refimpl("runs", ".").stdout


def test_a_run_that_somebody_elses_process_may_be_training_is_listed_as_running(refimpl, run):
    """Its lock cannot be opened, as where the folder is read-only."""
    folder = Run.open(run)
    folder.write_manifest(folder.manifest | {"status": "running"})
    (row,) = json.loads(refimpl("runs", ".", "--json").stdout)["runs"]
    assert row["status"] == "killed"
    (run / ".lock").unlink(missing_ok=True)
    (run / ".lock").mkdir()
    (row,) = json.loads(refimpl("runs", ".", "--json").stdout)["runs"]
    assert (row["status"], row["epoch"]) == ("running", 2)


def test_doctor_shows_everything_on_one_screen(refimpl):
    result = refimpl("doctor")
    for word in ("python", "numpy", "openblas", "gpu", "mnist", "/usr/share/datasets"):
        assert word in result.stdout
    assert len(result.stdout.splitlines()) < 30
    facts = json.loads(refimpl("doctor", "--json").stdout)
    assert (facts["gpu"] is None) == (facts["gpu_trouble"] is not None)
    if facts["gpu_trouble"]:
        assert "refimpl[cuda12]" in result.stdout


def test_doctor_names_the_kernel_that_numpy_multiplies_with(refimpl, monkeypatch):
    """Not SciPy's; and it says what holds it below what the processor has."""
    held = "OPENBLAS_CORETYPE=Nehalem holds NumPy's BLAS to its kernel Nehalem; without it this processor gets Zen"
    for kernel, remark, shown in (("Zen", None, "Zen"), ("Nehalem", held, held), (None, None, "not named by its BLAS")):
        monkeypatch.setattr("refimpl.runs.manifest.numpy_kernel", lambda kernel=kernel: kernel)
        monkeypatch.setattr("refimpl_cli.doctor.kernel_remark", lambda remark=remark: remark)
        (row,) = (line for line in refimpl("doctor").stdout.splitlines() if line.startswith("numpy's kernel"))
        assert row.removeprefix("numpy's kernel").strip() == shown
        facts = json.loads(refimpl("doctor", "--json").stdout)
        assert (facts["numpy_kernel"], facts["kernel_remark"]) == (kernel, remark)
