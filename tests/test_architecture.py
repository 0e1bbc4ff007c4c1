"""The four wings of CONTRIBUTING.md: who may import whom, and who may name what."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LIBRARY = sorted((ROOT / "refimpl").rglob("*.py"))
FIGURES = sorted((ROOT / "figures").rglob("*.py"))
DOCS = sorted((ROOT / "docs").rglob("*.py"))
SOURCES = [*LIBRARY, *sorted((ROOT / "cli").rglob("*.py")), *FIGURES, *DOCS]

CORE = (
    *("errors", "backend", "tape", "rng", "atomic", "registry", "parameters", "settings", "validation", "tables"),
    *("layers", "networks", "attacks", "regularizers", "optimizers", "measures", "training"),
)
"""From the ground up: a package imports from those before it, and from itself."""

WINGS = {
    **dict.fromkeys(CORE, "core"),
    **dict.fromkeys(("low_rank", "theory"), "neighbours"),
    "fast": "fast twins",
    **dict.fromkeys(("data", "runs", "experiments", "bench", "audit", "device"), "machinery"),
    **dict.fromkeys(("exercises", "interop", "webpage"), "machinery"),
}
MAY_IMPORT = {
    "core": {"core"},
    "neighbours": {"core", "neighbours"},
    "fast twins": {"core", "neighbours", "fast twins"},
    "machinery": {"core", "neighbours", "machinery"},
}


def package(name: str) -> str:
    """The package or module below refimpl that a dotted name belongs to."""
    return name.split(".")[1]


def imports(path: Path) -> set[str]:
    """Absolute names of the modules a file imports, anywhere in it."""
    parts = list(path.relative_to(ROOT).with_suffix("").parts[:-1])
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = parts[: len(parts) - node.level + 1] if node.level else []
            stem = ".".join([*base, *([node.module] if node.module else [])])
            names |= {stem} if node.module else {f"{stem}.{alias.name}" for alias in node.names}
    return names


def inside(path: Path) -> list[str]:
    """What of refimpl a file imports."""
    return sorted(name for name in imports(path) if name.startswith("refimpl."))


def belongs_to(path: Path) -> str:
    return path.relative_to(ROOT / "refimpl").parts[0].removesuffix(".py")


WINGED = [path for path in LIBRARY if path.parent != ROOT / "refimpl" or not path.name.startswith("__")]


def test_every_package_is_in_a_wing():
    assert {belongs_to(path) for path in WINGED} == set(WINGS)


@pytest.mark.parametrize("path", WINGED, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_wing_imports_only_what_it_may(path):
    wing = WINGS[belongs_to(path)]
    for name in inside(path):
        assert WINGS[package(name)] in MAY_IMPORT[wing], name


@pytest.mark.parametrize("path", [p for p in WINGED if WINGS[belongs_to(p)] == "core"], ids=lambda path: path.stem)
def test_imports_of_the_core_run_one_way(path):
    here = belongs_to(path)
    for name in inside(path):
        there = package(name)
        in_order = CORE.index(there) <= CORE.index(here)
        assert in_order or (here, there) in {("optimizers", "regularizers")}, name


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_who_may_name_what(path):
    tops = {name.split(".")[0] for name in imports(path)}
    if path == ROOT / "refimpl" / "__main__.py":
        assert tops <= {"importlib", "refimpl_cli"}
    elif path in LIBRARY:
        assert not tops & {"click", "rich", "matplotlib", "refimpl_cli", "refimpl_figures", "refimpl_docs"}
    elif path in FIGURES:
        assert not tops & {"rich", "refimpl_cli", "refimpl_figures", "refimpl_docs"}
    elif path in DOCS:
        assert not tops & {"rich", "scipy", "refimpl_cli", "refimpl_docs"}
    else:
        assert not tops & {"numpy", "scipy", "matplotlib", "refimpl_cli", "refimpl_figures", "refimpl_docs"}
    if path.name != "backend.py":
        assert "cupy" not in tops
    if "interop" not in path.relative_to(ROOT).parts:
        assert not tops & {"art", "onnx", "onnxruntime"}
        assert path.parent.name == "peers" or not tops & {"torch", "jax"}
    if path.parent.name != "statements":
        assert "hypothesis" not in tops
    if path.name != "autograd_reference.py":
        assert "autograd" not in tops


def test_matplotlib_and_hypothesis_are_loaded_only_when_they_are_used():
    code = "import sys, refimpl, refimpl_cli.main, refimpl_figures.command, refimpl_docs.command\n"
    code += "print([m for m in ('matplotlib', 'hypothesis', 'autograd') if m in sys.modules])"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert loaded == "[]\n"


def test_the_backend_is_the_one_place_that_copies_to_the_host():
    for path in LIBRARY:
        if path.name != "backend.py":
            assert not re.search(r"\.get\(\)|asnumpy|\.item\(\)", path.read_text()), path


def test_names_of_parameters_are_read_in_one_place():
    """Elsewhere than in `parameters`, and the factors of `low_rank`, no file looks into a parameter's name."""
    pattern = re.compile(r"""startswith\(["'][WbUSV]["']\)|(name|layer)\[(0|1:|:1)\]""")
    for path in SOURCES:
        if path.name != "parameters.py" and path.parent.name != "low_rank":
            assert not pattern.search(path.read_text()), path


PACKAGES = [path for path in SOURCES if path.name == "__init__.py"]


@pytest.mark.parametrize("path", PACKAGES, ids=lambda path: str(path.parent.relative_to(ROOT)))
def test_each_package_says_what_it_is_for_and_in_which_order_to_read_it(path):
    said = ast.get_docstring(ast.parse(path.read_text())) or ""
    assert len(said) > 80
    if path.parent.parent in (ROOT, ROOT / "refimpl") and path.parent.name != "refimpl":
        assert re.search(r"[Rr]ead `", said)


WITHOUT_REGISTRY = ("layers", "measures", "training", "fast", "low_rank", "theory", "data", "runs", "experiments")


@pytest.mark.parametrize("name", WITHOUT_REGISTRY)
def test_a_package_whose_files_are_no_list_of_alike_things_names_each_of_them(name):
    package = ROOT / "refimpl" / name
    said = (package / "__init__.py").read_text().partition("\nfrom ")[0]
    for path in package.glob("[!_]*.py"):
        assert re.search(rf"\b{path.stem}\b", said), path
