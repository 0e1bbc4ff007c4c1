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

WINGS = {
    "core": "errors backend tape rng atomic parameters validation layers networks attacks regularizers optimizers"
    " measures training",
    "fast": "fast",
    "neighbours": "low_rank theory",
    "machinery": "runs experiments data bench",
}


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
    if path.name != "autograd_reference.py":
        assert "autograd" not in tops


def test_matplotlib_and_hypothesis_are_loaded_only_when_they_are_used():
    code = "import sys, refimpl, refimpl_cli.main, refimpl_figures.command\n"
    code += "print([m for m in ('matplotlib', 'hypothesis', 'autograd') if m in sys.modules])"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert loaded == "[]\n"


def test_the_backend_is_the_one_place_that_copies_to_the_host():
    for path in LIBRARY:
        if path.name != "backend.py":
            assert not re.search(r"\.get\(\)|asnumpy|\.item\(\)", path.read_text()), path
