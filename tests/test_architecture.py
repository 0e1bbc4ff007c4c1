"""The house as drawn in CONTRIBUTING.md: who may import whom, who names what, how large a room is."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LIBRARY = sorted((ROOT / "refimpl").rglob("*.py"))
FIGURES = sorted((ROOT / "figures").rglob("*.py"))
SOURCES = [*LIBRARY, *sorted((ROOT / "cli").rglob("*.py")), *FIGURES]

# Rooms from the ground up: a room imports only from those before it. One string, one floor.
FLOORS = (
    "errors methods",
    "backend atomic seeds",
    "tape projections metrics information regularizers matrix operators oracle",
    "ops conv loss optim penalty polar low_rank",
    "low_rank_net low_rank_sgd activations",
    "fcnn cnn attacks data block",
    "networks workspace fused_penalty theory certificates",
    "cnn_workspace reach",
    "fast",
    "objectives",
    "adversary joint layers derivatives statements",
    "step fused_step config",
    "evaluate train manifest checkpoint settings",
    "records watch spectra joint_evaluate",
    "runs",
    "fit",
    "bench experiments",
)
FLOOR = {room: height for height, floor in enumerate(FLOORS) for room in floor.split()}


def room(path: Path) -> str:
    return path.relative_to(ROOT / "refimpl").parts[0].removesuffix(".py")


def imports(path: Path) -> set[str]:
    """Absolute names of the modules a file imports, anywhere in it."""
    package = list(path.relative_to(ROOT).with_suffix("").parts[:-1])
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            stem = ".".join([*base, *([node.module] if node.module else [])])
            names |= {stem} if node.module else {f"{stem}.{alias.name}" for alias in node.names}
    return names


@pytest.mark.parametrize("path", LIBRARY, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_run_one_way(path):
    if path.parent == ROOT / "refimpl" and path.name == "__init__.py":
        return
    here = room(path)
    for name in imports(path):
        if name.startswith("refimpl."):
            there = name.split(".")[1]
            assert there == here or FLOOR[there] < FLOOR[here], (here, there)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_who_may_name_what(path):
    tops = {name.split(".")[0] for name in imports(path)}
    if path in LIBRARY:
        assert not tops & {"click", "rich", "matplotlib", "refimpl_cli", "refimpl_figures"}
    elif path in FIGURES:
        assert not tops & {"rich", "refimpl_cli", "refimpl_figures"}
    else:
        assert not tops & {"numpy", "scipy", "matplotlib", "refimpl_cli", "refimpl_figures"}
    if path.name != "backend.py":
        assert "cupy" not in tops
    if path.parent.name != "bench":
        assert not tops & {"torch", "jax"}
    if path.parent.name != "statements":
        assert "hypothesis" not in tops
    if path.name != "oracle.py":
        assert "autograd" not in tops


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_room_is_at_most_250_lines(path):
    assert len(path.read_text().splitlines()) <= 250


def test_matplotlib_and_hypothesis_are_loaded_only_when_they_are_used():
    code = "import sys, refimpl, refimpl_cli.main, refimpl_figures.command\n"
    code += "print([m for m in ('matplotlib', 'hypothesis', 'autograd') if m in sys.modules])"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert loaded == "[]\n"


def test_the_backend_is_the_one_place_that_copies_to_the_host():
    for path in LIBRARY:
        if path.name != "backend.py":
            assert not re.search(r"\.get\(\)|asnumpy|\.item\(\)", path.read_text()), path


def test_contributing_draws_these_floors():
    text = (ROOT / "CONTRIBUTING.md").read_text()
    for rooms in FLOORS:
        for name in rooms.split():
            assert name in text
