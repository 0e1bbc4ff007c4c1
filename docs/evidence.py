"""The pages of what is tried and of what is drawn: statements, derivatives, figures from the numbers on record."""

import inspect
import io
from collections.abc import Iterator
from contextlib import suppress
from html import escape

import numpy as np
from refimpl_figures.base import FIGURES, Figure, PaperFigure, in_order
from refimpl_figures.drawing import Drawing, styled

from refimpl.backend import backend
from refimpl.errors import DataError
from refimpl.experiments import JUDGED
from refimpl.theory.gradcheck import Derivative, derivatives
from refimpl.theory.statements import STATEMENTS
from refimpl.webpage import Markup, table

from .index import Place, place
from .markdown import Heading, Rendered, slug
from .module_page import link
from .names import Names

Pictures = dict[str, bytes]


def tried() -> dict[str, dict[Place, str]]:
    """What `refimpl verify` tries, each with what it says of itself, by the name of the test that tries it, too."""
    claims = {_place(one.name): f"{one.name}, {one.location}: {one.claim.words}" for one in STATEMENTS}
    compared = {_place(one.name): f"{one.name}, {one.location}" for one in _derivatives()}
    return {
        "tests.test_statements.test_the_verdict_is_the_expected_one": claims,
        "tests.test_statements.test_every_derivative_is_right": compared,
    }


def statements(names: Names) -> Rendered:
    """Every statement with its claim, what is expected, its correction and its checks; every derivative."""
    title = "What refimpl verify tries"
    rows = []
    for one in STATEMENTS:
        claims = [claim for claim in (one.claim, one.correction) if claim]
        said = "<br>Corrected: ".join(escape(claim.words) for claim in claims)
        checks = dict.fromkeys(f"{claim.check.__module__}.{claim.check.__qualname__}" for claim in claims)
        found = filter(None, map(names.definition, checks))
        checked = ", ".join(link(place(*one)) for one in found)
        rows.append([_anchored(one.name), one.location, one.expected, Markup(said), Markup(checked)])
    compared = [[_anchored(one.name), one.location, f"{one.tolerance:.0e}"] for one in _derivatives()]
    html = (
        f"<h1>{title}</h1>\n<p>Statements of the paper and of its neighbours, which <code>refimpl verify</code> and "
        "the tests try to refute. A false one has a correction, which is tried in the same way.</p>\n"
        '<h2 id="statements">Statements</h2>\n'
        + table("Statements", ["Name", "Where", "Expected", "Claim", "Checked by"], rows)
        + '<h2 id="derivatives">Derivatives</h2>\n'
        "<p>Each is compared with difference quotients, and with autograd where that is installed.</p>\n"
        + table("Derivatives", ["Name", "Where", "Relative error allowed"], compared)
    )
    headings = (Heading(1, "", title), Heading(2, "statements", "Statements"), Heading(2, "derivatives", "Derivatives"))
    return Rendered(html, headings)


def figures() -> tuple[Rendered, Pictures]:
    """Every figure that is on record, drawn from its numbers; the paper's under the last assumption that is judged."""
    title = "Figures, from the numbers on record"
    parts, headings, pictures = [f"<h1>{title}</h1>\n"], [Heading(1, "", title)], Pictures()
    for name in in_order(name for name in FIGURES.names() if FIGURES[name].on_record):
        heading = f"Figure {name}" if name.isdecimal() else name
        parts.append(f'<h2 id="{slug(heading)}">{escape(heading)}</h2>\n')
        headings.append(Heading(2, slug(heading), escape(heading)))
        for file, words, picture in _drawings(name):
            pictures[f"figures/{file}.png"] = picture
            words = escape(words)
            image = f'<img class="picture" src="figures/{file}.png" alt="{words}">'
            parts.append(f"<figure>{image}<figcaption>{words}</figcaption></figure>\n")
    return Rendered("".join(parts), tuple(headings)), pictures


def _drawings(name: str) -> Iterator[tuple[str, str, bytes]]:
    """The name of each picture of a figure, what it shows, and the picture."""
    figure = FIGURES[name]
    words = figure.words if isinstance(figure, PaperFigure) else inspect.getdoc(inspect.getmodule(figure))
    with styled():
        for drawing in _recorded(figure):
            content = io.BytesIO()
            drawing.figure.savefig(content, format="png", dpi=110, metadata={"Software": None})
            yield drawing.name, (words or name).splitlines()[0], content.getvalue()


def _recorded(figure: Figure) -> Iterator[Drawing]:
    """The drawings of a figure; of the paper's under the last assumption that is judged and on record."""
    if not isinstance(figure, PaperFigure):
        return iter(figure.drawings(None, ""))
    for assumption in reversed(JUDGED):
        with suppress(DataError):
            return iter(list(figure.drawings(None, assumption)))
    raise DataError(f"there is no record of {figure.name}")


def _derivatives() -> list[Derivative]:
    return list(derivatives(backend("numpy"), np.random.default_rng(0)))


def _place(name: str) -> Place:
    return Place(f"statements.html#{slug(name)}", name)


def _anchored(name: str) -> Markup:
    return Markup(f'<span id="{slug(name)}">{escape(name)}</span>')
