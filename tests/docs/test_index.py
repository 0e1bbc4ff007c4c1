"""The index of the paper: everything that is numbered or named has code, and a test."""

import re

import pytest
from refimpl_docs.index import Place, index
from refimpl_docs.paper import NEIGHBOURS, PAPER, Item, citations, items
from refimpl_docs.site import site
from refimpl_docs.sources import Module

NUMBERED = [
    *(f"Eq. ({n})" for n in range(1, 9)),
    *("Theorem 1", "Remark 1", "Claim 1", "Claim 2", "Table 1", "Table 2", "Appendix A", "Appendix B"),
    *(f"Figure {n}" for n in range(1, 11)),
]
"""What the paper numbers."""


def test_everything_that_the_paper_numbers_is_an_item():
    keys = [item.key for part in PAPER for item in part.items]
    assert set(NUMBERED) <= set(keys)
    assert len({item.key for item in items()}) == len(list(items()))
    assert [len(part.items) > 3 for part in NEIGHBOURS] == [True] * 3


@pytest.mark.parametrize("item", list(items()), ids=lambda item: item.key)
def test_every_item_has_code_and_a_test(item):
    entry = site().entries[item.key]
    assert entry.coded, "no docstring of the code cites it"
    assert entry.tested, "no test uses that code, and no test's docstring cites it"


@pytest.mark.parametrize(
    "item", [i for i in items() if i.key.startswith(("Eq", "Theorem", "Remark"))], ids=lambda item: item.key
)
def test_what_the_paper_proves_is_tried_or_is_only_named(item):
    assert site().entries[item.key].tried or item.key == "Eq. (4)"


@pytest.mark.parametrize(
    ("text", "cited"),
    [
        ("Eq. (6), and its step", ["Eq. (6)"]),
        ("Eqs. (5) to (8)", ["Eq. (5)", "Eq. (6)", "Eq. (7)", "Eq. (8)"]),
        ("Eqs. (2) and (3)", ["Eq. (2)", "Eq. (3)"]),
        ("Figures 2, 3 and 10", ["Figure 2", "Figure 3", "Figure 10"]),
        ("Tables 1 and\n    2", ["Table 1", "Table 2"]),
        ("Theorem 1, its proof; Appendix B", ["Theorem 1", "Appendix B"]),
        ("their Figure 1", []),
        ("Appendix Birds", []),
    ],
)
def test_citations_are_read_as_they_are_written(text, cited):
    assert list(citations(text)) == cited


def test_an_item_without_code_or_test_is_seen():
    code = Module("refimpl.new", "refimpl/new.py", 'def f():\n    """Half, Eq. (6)."""\n')
    test = Module("tests.test_new", "tests/test_new.py", 'def test_f():\n    """Eq. (6)."""\n')
    (six,) = (one for one in index([code], [test], {}, {}, {}) if one.item.key == "Eq. (6)")
    assert six.coded == [Place("modules/refimpl.new.html#f", "f")]
    assert six.tested == [Place("tests/tests.test_new.html#test_f", "test_f")]
    (five,) = (one for one in index([code], [test], {}, {}, {}) if one.item.key == "Eq. (5)")
    assert not five.coded
    assert not five.tested


def test_a_pattern_finds_what_has_no_number():
    item = Item("GNM", "a method", pattern="Balda", within=("refimpl.attacks",))
    assert item.cited("(Balda et al. 2018)")
    assert not item.cited("GNM")


def test_the_glossary_has_every_key_of_the_files():
    """Keys of the schema that files are read by."""
    import typing

    from refimpl.runs import schema

    kinds = [kind for kind in vars(schema).values() if hasattr(kind, "__required_keys__")]
    keys = {key for kind in kinds for key in typing.get_type_hints(kind)}
    inside = {"__metadata__", "format", "sha256", "entropy", "streams"}  # of checkpoints, data and seed
    glossary = site().texts["glossary.html"]
    assert {key for key in keys - inside if f"`{key}`" not in glossary} == set()


def test_the_first_page_leads_to_every_item():
    html = site().pages["index.html"]()["index.html"].decode()
    assert set(re.findall(r'<section id="([^"]+)">', html)) == {item.anchor for item in items()}
