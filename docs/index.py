"""Where each item of the paper is derived, coded, tested, tried by `verify` and drawn, by docstrings and tests."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from .names import Names
from .paper import Item, items
from .sources import Block, Module

TESTS_SHOWN = 5

CODE = ("refimpl.bench", "refimpl.fast")
"""Packages of `refimpl` whose docstrings do not count as the code of an item: they time it, or do it again."""


@dataclass(frozen=True)
class Place:
    """An address in the site, and what stands there."""

    address: str
    words: str


@dataclass
class Entry:
    """An item with its places."""

    item: Item
    derived: list[Place] = field(default_factory=list)
    coded: list[Place] = field(default_factory=list)
    tested: list[Place] = field(default_factory=list)
    tried: list[Place] = field(default_factory=list)
    drawn: list[Place] = field(default_factory=list)


def place(module: Module, block: Block | None = None) -> Place:
    """Of a module, or of a definition in it."""
    folder = "tests" if module.name.startswith("tests.") else "modules"
    address = f"{folder}/{module.name}.html"
    return Place(f"{address}#{block.name}", block.name) if block else Place(address, module.name)


def index(
    library: Sequence[Module],
    tests: Sequence[Module],
    used: Mapping[str, list[Place]],
    texts: Mapping[Place, str],
    tried: Mapping[str, Mapping[Place, str]],
) -> list[Entry]:
    """An entry for each item.

    `used` has the tests of each definition; `texts` are lessons; `tried` is what `verify` tries, with its words, by the
    full name of the test that tries it, too.
    """
    return [_entry(item, library, tests, used, texts, tried) for item in items()]


def _entry(
    item: Item,
    library: Iterable[Module],
    tests: Iterable[Module],
    used: Mapping[str, list[Place]],
    texts: Mapping[Place, str],
    tried: Mapping[str, Mapping[Place, str]],
) -> Entry:
    entry = Entry(item, derived=[where for where, text in texts.items() if _named(item, text)])
    entry.tested = [place(module, block) for module in tests for block in module.blocks if _named(item, block.doc)]
    for module, block, doc in _documented(library, item):
        where = place(module, block)
        if module.name.startswith("refimpl_figures."):
            entry.drawn.append(where)
        else:
            entry.derived += [where] if "$" in doc else []
            entry.coded += [where] if block else []
        if block:
            entry.tested += used.get(f"{module.name}.{block.name}", [])
    for test, spoken in tried.items():
        found = [where for where, text in spoken.items() if _named(item, text) or item.cited(text)]
        entry.tried += found
        if found:
            file, _, name = test.rpartition(".")
            entry.tested.insert(0, Place(f"tests/{file}.html#{name}", name))
    if item.key.startswith("Figure"):
        entry.coded = entry.drawn
        entry.drawn = [Place(f"figures.html#{item.anchor}", "picture")]
    entry.tested = list(dict.fromkeys(entry.tested))[:TESTS_SHOWN]
    return entry


def _documented(library: Iterable[Module], item: Item) -> Iterator[tuple[Module, Block | None, str]]:
    """Modules and definitions whose docstrings speak of the item."""
    for module in library:
        if module.name.startswith(CODE) or module.name.split(".")[0] not in ("refimpl", "refimpl_figures"):
            continue
        if item.within and not module.name.startswith(item.within):
            continue
        if not module.is_package and item.cited(module.doc):
            yield module, None, module.doc
        for block in module.blocks:
            if block.doc and item.cited(block.doc):
                yield module, block, block.doc


def _named(item: Item, text: str) -> bool:
    """Whether a text cites the item by its key, or by its name where it has no number."""
    return bool(re.search(rf"\b{re.escape(item.key)}\b", text)) if item.pattern else item.cited(text)


def uses(names: Names, tests: Iterable[Module]) -> dict[str, list[Place]]:
    """The tests that use each definition, by its full name."""
    found: dict[str, list[Place]] = defaultdict(list)
    for module in tests:
        blocks = {block.name: block for block in module.blocks}
        for node in module.tree.body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                for full in {names.full(dotted, module) for dotted in _dotted(node)}:
                    if full and not full.startswith("tests."):
                        found[full].append(place(module, blocks[node.name]))
    return found


def _dotted(node: ast.AST) -> set[str]:
    """The names, with what follows their dots, in a piece of code."""
    names = {ast.unparse(one) for one in ast.walk(node) if isinstance(one, ast.Attribute)}
    names |= {one.id for one in ast.walk(node) if isinstance(one, ast.Name)}
    return {name for name in names if re.fullmatch(r"[\w.]+", name)}
