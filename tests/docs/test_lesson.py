"""Blocks of lessons: code from the source, experiments that run, their output and pictures."""

import pytest
from refimpl_docs.lesson import Runner, settings_directive, source_directive
from refimpl_docs.names import Names
from refimpl_docs.sources import Module

from refimpl.errors import DataError

BASE = Module("pkg.base", "pkg/base.py", 'def f(x):\n    """Half."""\n    # of it\n    return x / 2\n')
PACKAGE = Module("pkg", "pkg/__init__.py", '"""A package."""\n\nfrom .base import f\n')
CLASS = '''
class A:
    """Doc."""

    n: int = 1
    """How many."""

    def g(self):
        """Twice."""
        return f(2)


LIMIT = 3
"""At most."""
'''
USER = Module("pkg.user", "pkg/user.py", "from . import base\nfrom .base import f as half\n" + CLASS)
NAMES = Names([BASE, PACKAGE, USER])


@pytest.fixture
def run():
    saved: list[bytes] = []

    def save(picture: bytes) -> str:
        saved.append(picture)
        return f"picture-{len(saved)}.svg"

    runner = Runner("docs/lessons/x.md", NAMES, lambda name: None, save)
    runner.saved = saved
    return runner


@pytest.mark.parametrize(
    ("name", "module", "full"),
    [
        ("half", USER, "pkg.base.f"),
        ("base.f", USER, "pkg.base.f"),
        ("A.g", USER, "pkg.user.A.g"),
        ("LIMIT", USER, "pkg.user.LIMIT"),
        ("f", PACKAGE, "pkg.base.f"),
        ("pkg.f", None, "pkg.base.f"),
        ("user", PACKAGE, "pkg.user"),
        ("f", USER, None),
        ("os.path", USER, None),
        ("pkg.nothing", None, None),
    ],
)
def test_names_are_found_as_python_finds_them(name, module, full):
    assert NAMES.full(name, module) == full


def test_a_module_is_cut_into_what_is_said_and_the_source_without_it():
    blocks = {block.name: block for block in USER.blocks if block.name}
    assert {name: block.doc for name, block in blocks.items()} == {"A": "Doc.", "A.g": "Twice.", "LIMIT": "At most."}
    assert blocks["A.g"].source == "def g(self):\n    return f(2)"
    assert blocks["A"].source.startswith("class A:\n    n: int = 1")
    assert "def g" not in blocks["A"].source
    assert "return f(2)" in blocks["A"].whole
    assert "Doc." not in blocks["A"].whole
    assert blocks["LIMIT"].source == "LIMIT = 3"


def test_the_source_is_taken_from_the_module_without_its_docstring():
    html = source_directive(NAMES, lambda name: f"{name}.html")("pkg.f", "", 7)
    assert "of it" in html
    assert "Half" not in html
    assert 'href="pkg.f.html"' in html
    with pytest.raises(DataError, match=r"line 7: no function, class or value is called 'pkg.nothing'"):
        source_directive(NAMES, lambda name: None)("pkg.nothing", "", 7)


def test_code_runs_prints_and_remembers(run):
    assert "<samp>" not in run("", "x = 2\n", 1)
    assert "<samp>4 &lt; 5\n</samp>" in run("", "print(x + 2, '<', 5)\n", 5)


def test_a_figure_is_kept_with_its_words_and_the_same_bytes(run):
    code = "# alt: A line.\nfrom matplotlib import pyplot\npyplot.plot([0, 1])\n"
    html = run("", code, 1)
    assert '<img class="picture" src="picture-1.svg" alt="A line.">' in html
    assert "# alt" not in html
    assert run.saved[0].startswith(b"<?xml")
    run("", code, 1)
    assert run.saved[0] == run.saved[1]


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("\n1 / 0\n", "line 12: ZeroDivisionError"),
        ("import warnings\nwarnings.warn('careful')\n", "line 12: UserWarning: careful"),
        ("x =\n", "SyntaxError"),
        ("from matplotlib import pyplot\npyplot.figure()\n", "1 figures; 0 lines `# alt:`"),
        ("# alt: Nothing.\n", "0 figures; 1 lines `# alt:`"),
    ],
)
def test_an_error_names_the_line_of_the_page(run, code, words):
    with pytest.raises(DataError, match=words):
        run("", code, 10)


def test_the_settings_of_a_registry_are_a_table():
    html = settings_directive("refimpl.attacks.ATTACKS", "", 1)
    assert '<th scope="row">eps</th>' in html
    assert "pgd" in html
