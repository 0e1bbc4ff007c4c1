"""Weights on record: entries are made to the same bytes, read only, checked, and taken wherever a run is."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner

import refimpl as ri
from refimpl.data import find
from refimpl.errors import DataError, UsageError
from refimpl.experiments import plan, run_experiment
from refimpl.runs import zoo, zoo_entry
from refimpl.runs.folder import Run
from refimpl.runs.zoo import ZooRun, index, opened
from refimpl.runs.zoo_entry import write_entries

NAME = "fcnn-literal-natural-seed0"
TUNED = "fcnn-literal-l1-0.01-seed0"


@pytest.fixture(scope="module")
def reproduction(tmp_path_factory) -> Path:
    """Natural training and l1 from its weights, on built-in data."""
    root = tmp_path_factory.mktemp("reproduction")
    for experiment in plan("smoke", "fcnn", ["literal"], [0], ["l1-0.01"]):
        run_experiment(root, experiment)
    return root


@pytest.fixture(scope="module")
def entries(reproduction, tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("zoo")
    write_entries([Run(path.parent) for path in sorted(reproduction.glob("*/*/result.json"))], root)
    return root


@pytest.fixture
def there(entries, tmp_path, monkeypatch) -> Path:
    """A copy of the entries, in place of those of the package."""
    shutil.copytree(entries, tmp_path / "zoo")
    monkeypatch.setattr(zoo, "folder", lambda: tmp_path / "zoo")
    return tmp_path / "zoo"


def content(root):
    return {path.relative_to(root): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_equal_runs_give_equal_bytes_and_others_stay(reproduction, entries, tmp_path):
    names = write_entries([Run(reproduction / "fcnn-literal" / "natural-seed0")], tmp_path)
    write_entries([Run(reproduction / "fcnn-literal" / "l1-0.01-seed0")], tmp_path)
    assert names == [NAME]
    assert content(tmp_path) == content(entries)
    assert str(reproduction) not in "".join(map(str, content(entries).values()))


def test_an_entry_is_the_run_it_was_made_of(there, reproduction):
    run, entry = ri.open_run(reproduction / "fcnn-literal" / "natural-seed0"), ri.open_run(f"zoo:{NAME}")
    assert entry.history == run.history[-1:]
    assert entry.params.keys() == run.params.keys()
    assert all(np.array_equal(entry.params[name], p) for name, p in run.params.items())
    result = json.loads((reproduction / "fcnn-literal" / "natural-seed0" / "result.json").read_text())
    assert entry.measure().accuracy == result["accuracy"]
    assert entry.attack("pgd").summary["n_fooled"] == result["attacks"][1]["n_fooled"]
    assert (entry.title, entry.name, entry.folder) == (f"zoo:{NAME}", NAME, None)
    assert opened(f"zoo:{TUNED}").config.start == f"zoo:{NAME}"
    assert opened(f"zoo:{TUNED}").config == replace(
        Run(reproduction / "fcnn-literal" / "l1-0.01-seed0").config, start=f"zoo:{NAME}"
    )


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of pyparsing, in older releases of matplotlib
def test_the_command_line_takes_it_wherever_a_run_is_and_leaves_it_alone(there, refimpl, tmp_path):
    from refimpl_cli.main import main

    before, name = content(there), f"zoo:{NAME}"
    listed = json.loads(refimpl("zoo", "--json").stdout)["entries"]
    assert [row["name"] for row in listed] == [TUNED, NAME]
    assert NAME in refimpl("zoo").stdout
    assert "| fooling ratio | 95 % interval |" in refimpl("zoo", NAME).stdout
    assert f"{name} is read only: --out names a folder" in refimpl("attack", name, "--attack", "fgsm").stderr
    refimpl("attack", name, "--attack", "fgsm", "--out", tmp_path / "o")
    measured = json.loads(refimpl("measure", name, "--json", "--out", tmp_path / "o").stdout)
    assert measured["run"] == name
    assert {path.suffix for path in (tmp_path / "o").iterdir()} == {".json", ".safetensors"}
    asked = (name, "--examples", "20", "--steps", "2", "--queries", "2", "--draws", "1", "--restarts", "1")
    assert CliRunner().invoke(main, ["audit", *asked, "--out", str(tmp_path / "o")]).exit_code in (
        0,
        5,
    )  # green, or red
    assert (tmp_path / "o" / "audit.html").is_file()
    refimpl("export", name, "--to", "npz", "--out", tmp_path / "x.npz")
    refimpl("train", "--from", name, "--method", "l1-0.01", "--epochs", 1, "--no-report", "--out", tmp_path / "t")
    assert Run(tmp_path / "t").config.start == name
    compared = json.loads(refimpl("compare", name, f"zoo:{TUNED}", "--json").stdout)["runs"]
    assert [run["run"] for run in compared] == [name, f"zoo:{TUNED}"]
    assert [len(run["attacks"]) for run in compared] == [3, 3]
    assert content(there) == before
    assert not Path(name).exists()


def test_what_cannot_be_is_one_line(there, refimpl):
    assert f"did you mean zoo:{NAME}?" in refimpl("measure", f"zoo:{NAME}0", code=2).stderr
    assert "there is no zoo:x; `refimpl zoo` lists" in refimpl("zoo", "x", code=2).stderr
    assert f"`refimpl train --from zoo:{NAME}`" in refimpl("train", "--resume", f"zoo:{NAME}", code=2).stderr
    assert "--make and --into go together" in refimpl("zoo", "--make", there, code=2).stderr
    assert "no finished runs that match" in refimpl("zoo", "--make", there, "--into", there, code=2).stderr
    assert "--out takes the audit of one run" in refimpl("audit", f"zoo:{NAME}", there, "--out", there, code=2).stderr
    for file in zoo.FILES:
        path = there / NAME / file
        whole = path.read_bytes()
        path.write_bytes(whole[:-2] + b"  ")
        assert f"{path} is damaged: its SHA-256" in refimpl("measure", f"zoo:{NAME}", code=3).stderr
        path.unlink()
        assert f"{path} cannot be read" in refimpl("measure", f"zoo:{NAME}", code=3).stderr
        path.write_bytes(whole)
    (there / "index.json").write_text('{"entries": [{"name": "../x"}]}')
    assert "index.json is damaged" in refimpl("zoo", code=3).stderr


def test_names_are_completed(there):
    from refimpl_cli.measure import measure

    found = ShellComplete(measure, {}, "measure", "_X").get_completions([], f"zoo:{NAME[:12]}")
    assert [item.value for item in found] == [f"zoo:{TUNED}", f"zoo:{NAME}"]


def test_too_many_are_refused_and_nothing_is_written(reproduction, tmp_path, monkeypatch):
    monkeypatch.setattr(zoo_entry, "BUDGET", 2**16)
    with pytest.raises(UsageError, match="all together may be"):
        write_entries([Run(reproduction / "fcnn-literal" / "natural-seed0")], tmp_path)
    with pytest.raises(DataError, match="is no finished run of `refimpl reproduce`"):
        write_entries([Run.open(reproduction / "fcnn-literal" / "natural-seed0"), Run(tmp_path)], tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", list(index()))
def test_the_weights_on_record_are_whole(name):
    entry = ZooRun(name)
    assert entry.load(ri.backend("numpy")).epoch == index()[name]["epochs"]
    assert entry.measures(0)["accuracy"] == index()[name]["accuracy"]
    assert entry.card.startswith(f"# {name}\n")


def test_all_entries_are_within_their_budget():
    assert sum(path.stat().st_size for path in zoo.folder().rglob("*") if path.is_file()) < zoo_entry.BUDGET
    assert {path.name for path in zoo.folder().iterdir() if path.is_dir()} == set(index())


@pytest.mark.slow
@pytest.mark.parametrize("name", list(index()))
def test_each_entry_measures_on_real_data_what_its_card_says(name):
    """Another BLAS may classify an image on the border differently, hence the image or two."""
    if find(index()[name]["dataset"], None) is None:
        pytest.skip("REFIMPL_DATA is not set: no real data to test on")
    run = ri.open_run(f"zoo:{name}")
    known = {one["attack"]: one for _, one in run.run.attacks(run.epoch)}
    assert run.measure().accuracy == pytest.approx(index()[name]["accuracy"], abs=2e-4)
    settings = {key: known["fgsm"][key] for key in ("eps", "clip")}
    assert run.attack("fgsm", **settings).summary["n_fooled"] == pytest.approx(known["fgsm"]["n_fooled"], abs=5)
