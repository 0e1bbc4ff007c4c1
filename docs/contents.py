"""The paper's contents, and the index of equations: each item with where it is."""

from collections.abc import Mapping
from html import escape

from refimpl.webpage import Markup, table

from .index import Entry
from .markdown import Heading, Rendered, inline
from .module_page import link
from .paper import NEIGHBOURS, PAPER, Part

COLUMNS = {"derived": "Derived", "coded": "Code", "tested": "Tests", "tried": "Verify", "drawn": "Drawn"}
"""The fields of an entry, and what they are called."""

WELCOME = """
This is the documentation of refimpl, the reference implementation of *On the Effect of Low-Rank Weights on Adversarial
Robustness of Neural Networks* (Langenberg, Balda, Behboodi and Mathar 2019) in NumPy and CuPy. Here are the paper's
contents; below each equation, theorem, table and figure stands where it is derived, coded, tested, tried by
`refimpl verify`, and drawn.
"""


def home(entries: Mapping[str, Entry]) -> Rendered:
    """The contents of the paper and of its neighbours, each item with its places."""
    title = "The paper, line by line"
    parts, headings = [f"<h1>{title}</h1>\n<p>{inline(WELCOME)}</p>\n"], [Heading(1, "", title)]
    for part in (*PAPER, *NEIGHBOURS):
        headings.append(Heading(2, part.anchor, escape(_name(part))))
        parts.append(f'<h2 id="{part.anchor}">{escape(_name(part))}</h2>\n')
        parts += [_item(entries[item.key]) for item in part.items]
        headings += [Heading(3, item.anchor, f"{escape(item.key)}: {inline(item.title)}") for item in part.items]
        if not part.items:
            parts.append("<p>Nothing in it is numbered.</p>\n")
    return Rendered("".join(parts), tuple(headings))


def equations(entries: Mapping[str, Entry]) -> Rendered:
    """A table for each section."""
    title = "Index of equations, theorems, tables, figures and methods"
    words = "Generated from the docstrings of packages and tests; a test fails where an item has no code or no test."
    parts, headings = [f"<h1>{title}</h1>\n<p>{words}</p>\n"], [Heading(1, "", title)]
    for part in (*PAPER, *NEIGHBOURS):
        if part.items:
            headings.append(Heading(2, part.anchor, escape(_name(part))))
            parts.append(f'<h2 id="{part.anchor}">{escape(_name(part))}</h2>\n')
            rows = [_row(entries[item.key]) for item in part.items]
            parts.append(table(part.title, ["Item", *COLUMNS.values()], rows))
    return Rendered("".join(parts), tuple(headings))


def _name(part: Part) -> str:
    return f"{part.key}: {part.title}" if part in PAPER else f"{part.title}, {part.key}"


def _item(entry: Entry) -> str:
    item = entry.item
    rows = [
        f"<dt>{words}</dt><dd>{_links(entry, column)}</dd>"
        for column, words in COLUMNS.items()
        if getattr(entry, column)
    ]
    said = f"<p>{inline(item.statement)}</p>\n" if item.statement else ""
    return (
        f'<section id="{item.anchor}">\n<h3>{escape(item.key)}: {inline(item.title)}</h3>\n{said}'
        f'<dl class="places">{"".join(rows)}</dl>\n</section>\n'
    )


def _row(entry: Entry) -> list[str]:
    item = entry.item
    name = Markup(f'<a href="index.html#{item.anchor}">{escape(item.key)}</a>')
    return [name, *(Markup(_links(entry, column)) for column in COLUMNS)]


def _links(entry: Entry, column: str) -> str:
    return ", ".join(map(link, getattr(entry, column)))
