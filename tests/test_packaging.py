"""What is installed is what is in the tree, and what the README says is what there is."""

import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import entry_points
from pathlib import Path

import pytest

import refimpl as library
from refimpl.experiments import record
from refimpl.experiments.tables import comparison, markdown, tables

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
README = (ROOT / "README.md").read_text()
PICTURES = {".png", ".pdf"}


def test_the_wheel_holds_the_tree_but_its_pictures(tmp_path):
    """Which `refimpl figures` draws from the CSV files beside them."""
    installed_as = {"refimpl": "refimpl", "cli": "refimpl_cli", "figures": "refimpl_figures"}
    expected = set()
    for name, package in installed_as.items():
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
        paths = (path for path in (tmp_path / name).rglob("*") if path.is_file() and path.suffix not in PICTURES)
        expected |= {f"{package}/{path.relative_to(tmp_path / name).as_posix()}" for path in paths}
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", "out", "."]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    (wheel,) = (tmp_path / "out").glob("*.whl")
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert names == expected


def test_one_version():
    assert library.__version__ == PROJECT["version"]
    assert f"## {library.__version__}" in (ROOT / "CHANGELOG.md").read_text()
    assert f"version: {library.__version__}" in (ROOT / "CITATION.cff").read_text()


def test_the_extras_the_messages_name_are_there():
    assert {"cuda12", "cuda13", "test"} <= set(PROJECT["optional-dependencies"])


def test_every_public_name_is_there():
    for name in library.__all__:
        assert hasattr(library, name)


def test_the_readmes_links_lead_somewhere():
    for target in re.findall(r"\]\((?!https?://)([^)#]+)\)", README):
        assert (ROOT / target).exists(), target


@pytest.mark.parametrize("line", re.findall(r"^refimpl (.*)$", README, re.M))
def test_the_readmes_commands_exist(line):
    words = line.split("#")[0].split()
    command = entry_points(group="console_scripts", name="refimpl")["refimpl"].load()
    while words and hasattr(command, "get_command"):
        command = command.get_command(None, words.pop(0))
    known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    assert {word for word in words if word.startswith("--")} <= known


def test_the_readmes_python_runs(monkeypatch, tmp_path):
    (code,) = re.findall(r"```python\n(.*?)```", README, re.S)
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "README.md", "exec"), {})  # the code of our own README


def test_the_readme_shows_the_tables_on_record():
    shown = README.split("<!-- tables -->\n")[1].split("<!-- end of tables -->")[0]
    assert shown == markdown(tables(record()))


def test_the_docs_compare_the_assumptions_on_record():
    text = (ROOT / "CONTRIBUTING.md").read_text()
    shown = text.split("<!-- assumptions -->\n")[1].split("<!-- end of assumptions -->")[0]
    assert shown == markdown([comparison(record(), arch) for arch in ("fcnn", "cnn")])
