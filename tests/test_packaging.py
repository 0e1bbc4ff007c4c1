"""What is installed is what is in the tree, and what the documents say is what there is."""

import csv
import inspect
import json
import os
import pydoc
import re
import shutil
import statistics
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType

import click
import pytest

import refimpl as library

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
README = (ROOT / "README.md").read_text()
DOCUMENTS = sorted(
    [
        *ROOT.glob("*.md"),
        *(path for top in ("refimpl", "cli", "figures", "docs") for path in (ROOT / top).rglob("*.md")),
    ]
)
PICTURES = {".png", ".pdf"}
INSTALLED_AS = {
    "refimpl": "refimpl",
    "cli": "refimpl_cli",
    "figures": "refimpl_figures",
    "docs": "refimpl_docs",
    "tests": "refimpl_docs/tests",
}


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    """A folder with the tree's source distribution, and the wheel that is built from it."""
    tree = tmp_path_factory.mktemp("tree")
    for name in INSTALLED_AS:
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tree)
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", "dist", "."]
    subprocess.run(command, cwd=tree, check=True, capture_output=True)
    return tree / "dist"


def test_the_wheel_holds_the_tree_but_its_pictures(built):
    """Which `refimpl figures` draws from the CSV files beside them; of the tests it holds what the documentation shows.

    A new package needs no entry anywhere.
    """
    expected = set()
    for name, package in INSTALLED_AS.items():
        files = (path for path in (ROOT / name).rglob("*") if path.is_file() and path.suffix not in PICTURES)
        paths = (path for path in files if name != "tests" or path.suffix == ".py")
        names = (path.relative_to(ROOT / name).as_posix() for path in paths if "__pycache__" not in path.parts)
        expected |= {f"{package}/{name}" for name in names}
    (wheel,) = built.glob("*.whl")
    assert {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name} == expected


@pytest.mark.slow
def test_twine_accepts_the_distributions(built):
    files = sorted(built.iterdir())
    assert [path.name.split("-0")[0] for path in files] == ["refimpl", "refimpl"]
    subprocess.run([sys.executable, "-m", "twine", "check", "--strict", *files], check=True, capture_output=True)


def test_one_version_and_the_same_authors():
    citation = (ROOT / "CITATION.cff").read_text()
    assert library.__version__ == PROJECT["version"]
    assert f"## {library.__version__}" in (ROOT / "CHANGELOG.md").read_text()
    assert f"version: {library.__version__}" in citation
    assert [author["name"] for author in PROJECT["authors"]] == re.findall(r'^  - name: "(.*)"', citation, re.M)
    assert PROJECT["urls"]["Paper"] in citation


def test_the_extras_the_messages_name_are_there():
    assert {"cuda12", "cuda13", "docs", "test"} <= set(PROJECT["optional-dependencies"])


def public() -> Iterator[tuple[str, object]]:
    """Every name that refimpl exports, and every name that the packages among them export."""
    for name in library.__all__:
        thing = getattr(library, name)
        yield name, thing
        if isinstance(thing, ModuleType):
            yield from ((f"{name}.{inner}", getattr(thing, inner)) for inner in getattr(thing, "__all__", ()))


@pytest.mark.parametrize(("name", "thing"), list(public()), ids=lambda value: value if isinstance(value, str) else "")
def test_every_public_function_and_class_is_documented(name, thing):
    if inspect.isroutine(thing) or inspect.isclass(thing) or inspect.ismodule(thing):
        assert thing.__doc__, "no docstring"
        assert not thing.__doc__.startswith(f"{name.split('.')[-1]}("), "only the docstring that dataclass makes"


def test_help_shows_every_public_function():
    assert set(library.__all__) <= set(re.findall(r"\w+", library.__doc__))
    shown = pydoc.render_doc(library, renderer=pydoc.plaintext)
    for name in library.__all__:
        if inspect.isroutine(thing := getattr(library, name)):
            assert inspect.getdoc(thing).splitlines()[0] in shown


def anchors(document: Path) -> set[str]:
    """The headings of a document as GitHub's links name them."""
    headings = re.findall(r"^#+ (.*)$", document.read_text(), re.M)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(document):
    prose = re.sub(r"```.*?```|\$\$.*?\$\$|\$[^$\n]*\$", "", document.read_text(), flags=re.S)
    for target, anchor in re.findall(r"\]\((?!https://)([^)#\s]*)(?:#([^)\s]*))?\)", prose):
        path = document.parent / target if target else document
        assert path.exists(), target
        assert not anchor or anchor in anchors(path), f"{target}#{anchor}"


def test_the_readme_is_short():
    assert len(README.split()) <= 1000
    assert len(README.splitlines()) <= 130


def commands() -> Iterator[tuple[str, str]]:
    """Every refimpl command in the documents' shell blocks, with the document that shows it."""
    for document in DOCUMENTS:
        for block in re.findall(r"```sh\n(.*?)```", document.read_text(), re.S):
            for line in block.splitlines():
                for command in line.split("#")[0].split("&&"):
                    words = command.split()
                    if words and words[0].endswith("refimpl"):
                        yield str(document.relative_to(ROOT)), " ".join(words[1:])


@pytest.mark.parametrize(("document", "line"), sorted(set(commands())))
def test_the_commands_shown_exist(document, line):
    words = line.split()
    command = entry_points(group="console_scripts", name="refimpl")["refimpl"].load()
    while words and hasattr(command, "get_command"):
        command = command.get_command(None, words.pop(0))
    parameters = command.get_params(click.Context(command))
    known = {option for parameter in parameters for option in (*parameter.opts, *parameter.secondary_opts)}
    assert {word for word in words if word.startswith("--")} <= known


def test_the_first_command_makes_the_run_that_the_others_name(refimpl, monkeypatch, tmp_path):
    (first,) = re.findall(r"^python3 -m venv .*/refimpl (train.*)$", README, re.M)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("REFIMPL_DATA", raising=False)
    refimpl(*first.split(), "--epochs", "1", "--no-report")
    assert [str(path) for path in Path("runs").iterdir()] == list(
        set(re.findall(r" (runs/\S+)", "\n".join(line for _, line in commands())))
    )


def test_the_readmes_python_runs_and_its_attack_fools(monkeypatch, tmp_path, capsys):
    (code,) = re.findall(r"```python\n(.*?)```", README, re.S)
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "README.md", "exec"), {})  # the code of our own README
    clean, attacked, rank, sparsity = map(float, capsys.readouterr().out.split())
    assert attacked < 0.5 < 0.9 < clean
    assert 1 <= rank <= 20**0.5 < sparsity


def test_an_attack_of_one_file_is_found_through_an_entry_point(tmp_path):
    """As CONTRIBUTING has it: trained against and attacked with from the command line."""
    text = (ROOT / "CONTRIBUTING.md").read_text()
    (code,), (entry,) = (re.findall(f"```{kind}\n(.*?)```", text, re.S) for kind in ("python", "toml"))
    ((group, named),) = tomllib.loads(entry)["project"]["entry-points"].items()
    package, metadata = tmp_path / "my_package", tmp_path / "my_package-1.dist-info"
    for folder in (package, metadata):
        folder.mkdir()
    (package / "fgm.py").write_text(code)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: my-package\nVersion: 1\n")
    lines = "".join(f"{name} = {module}\n" for name, module in named.items())
    (metadata / "entry_points.txt").write_text(f"[{group}]\n{lines}")
    train = "train --dataset strokes-small --epochs 1 --adversarial fgm --no-report --out run"
    for line in (train, "attack run --attack fgm --eps 0.25 --json"):
        command = [sys.executable, "-m", "refimpl", *line.split()]
        environment = os.environ | {"PYTHONPATH": str(tmp_path)}
        done = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True, env=environment)
    (found,) = json.loads(done.stdout)["attacks"]
    assert (found["attack"], found["norm"], found["eps"]) == ("fgm", "2", 0.25)
    assert found["mean_distance"] == pytest.approx(0.25, rel=1e-5)


def block(document: str, name: str) -> str:
    """What stands between two comments of a document."""
    return (ROOT / document).read_text().split(f"<!-- {name} -->\n")[1].split(f"<!-- end of {name} -->")[0]


def test_the_tables_shown_are_those_on_record():
    from refimpl.experiments import record
    from refimpl.experiments.tables import comparison, markdown, tables

    found = tables(record())
    assert block("README.md", "table 1") == markdown(found[:1])
    assert block("refimpl/experiments/README.md", "tables") == markdown(found)
    compared = markdown([comparison(record(), arch) for arch in ("fcnn", "cnn")])
    assert block("refimpl/experiments/README.md", "assumptions") == compared


def test_the_assumptions_to_choose_from_shown_are_those_on_record_and_no_seed_of_theirs_is_reported():
    from refimpl.experiments import PROFILES, candidates, record
    from refimpl.experiments.tables import comparison, markdown

    numbers = candidates()["numbers"]
    compared = [comparison(candidates(), arch) for arch in dict.fromkeys(row["arch"] for row in numbers)]
    assert block("refimpl/experiments/README.md", "candidates") == markdown(compared)
    seeds = {int(seed) for row in numbers for seed in row["by_seed"]}
    reported = {int(seed) for row in record()["numbers"] for seed in row.get("by_seed", ())}
    assert seeds
    assert not seeds & (reported | {seed for profile in PROFILES.values() for seed in profile.seeds})


def test_the_contrary_evidence_shown_is_that_on_record():
    from refimpl.experiments.contrary import record, table
    from refimpl.experiments.tables import markdown

    assert block("refimpl/experiments/README.md", "contrary") == markdown([table(record())])


def rows(document: str, *header: str) -> dict[str, list[str]]:
    """The rows of the table whose header begins like this, by their first cell."""
    after = (ROOT / document).read_text().split(f"| {' | '.join(header)} |")[1]
    table = after.split("\n\n")[0].splitlines()[2:]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in table]
    return {first: others for first, *others in cells}


def on_record(name: str) -> list[dict[str, str]]:
    return list(csv.DictReader((ROOT / "figures" / "record" / f"{name}.csv").read_text().splitlines()))


def test_the_low_rank_attacks_shown_are_those_on_record():
    columns = [("lora-pgd", rank) for rank in ("1", "3", "6", "14", "28")]
    columns += [("pgd-l2", "28"), ("pgd-l2, truncated", "3")]
    found = {
        (
            row["series"],
            row["rank"],
            float(row["eps"]),
        ): f"{float(row['mean']):.1f} ({float(row['low']):.1f} to {float(row['high']):.1f})"
        for row in on_record("low-rank-attack")
        if row["panel"] == "fooling"
    }
    shown = rows("refimpl/attacks/README.md", "eps", "rank 1")
    assert shown == {eps: [found[*column, float(eps)] for column in columns] for eps in ("0.5", "1", "2")}


@pytest.mark.slow
@pytest.mark.parametrize(("assumption", "shown"), rows("refimpl/attacks/README.md", "net trained", "clean").items())
def test_the_stronger_attacks_shown_are_those_on_the_zoo(assumption, shown, real_data, tmp_path):
    """In processes of their own: here annotations are checked, which makes the ensemble six times as slow."""
    asked = ["--attack=pgd,ensemble", "--eps=0.05", "--clip", "--examples=1000", "--json", f"--out={tmp_path}"]
    found = []
    for seed in range(3):
        name = f"zoo:fcnn-{assumption.split('`')[1]}-natural-seed{seed}"
        command = [sys.executable, "-m", "refimpl", "attack", name, *asked]
        found.append(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)["attacks"])
    clean, pgd, *_, ensemble = map(float, shown)
    for said, ofs in zip((pgd, ensemble), zip(*found, strict=True), strict=True):
        assert 100 * statistics.fmean(of["accuracy"] for of in ofs) == pytest.approx(clean, abs=0.1)
        assert 100 * statistics.fmean(of["robust_accuracy"] for of in ofs) == pytest.approx(said, abs=0.1)


def test_the_perturbed_weights_shown_are_those_on_record():
    columns = [(0.0, 0.0), (0.0, 0.005), (0.0, 0.01), (0.05, 0.0), (0.05, 0.005), (0.05, 0.01)]
    found: dict[str, dict[tuple[float, float], str]] = {}
    for row in on_record("input-weight-surface"):
        if row["mode"] == "simultaneous":
            radii = float(row["eps"]), float(row["eps_weights"])
            found.setdefault(row["method"], {})[radii] = f"{float(row['accuracy']):.1f}"
    expected = sorted([of[radii] for radii in columns] for of in found.values())
    assert sorted(rows("refimpl/attacks/README.md", "trained", "clean").values()) == expected


def test_the_low_rank_training_shown_is_that_on_record():
    shown = {name.replace(" %", "%"): cells[3] for name, cells in rows("refimpl/low_rank/README.md", "network").items()}
    clean = {
        row["net"].removesuffix(", lambda to 0.06"): f"{float(row['mean']):.2f}"
        for row in on_record("low-rank-training")
        if (row["attack"], float(row["eps"])) == ("pgd", 0)
    }
    assert {name: accuracy.split(" ± ")[0] for name, accuracy in shown.items()} == clean
