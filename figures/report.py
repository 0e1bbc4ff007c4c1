"""refimpl report"""

import base64
import io
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any

import click

from refimpl.atomic import write_text
from refimpl.errors import DataError
from refimpl.experiments import JUDGED, PROFILES, TOLERANCE, TOLERANCE_REASON
from refimpl.experiments.tables import comparison, markdown, of_paper, tables
from refimpl.runs.schema import Verdict, read_json

from .base import FIGURES, PaperFigure, in_order

STYLE = """
body { font: 15px/1.5 sans-serif; max-width: 75em; margin: 2em auto; padding: 0 1em; color: #222; }
table { border-collapse: collapse; margin: 1em 0 2em; }
th, td { text-align: left; vertical-align: top; padding: .3em 1em .3em 0; border-bottom: 1px solid #ddd; }
img { max-width: 100%; }
"""


@click.command()
@click.argument("root", metavar="DIR", type=click.Path(file_okay=False, path_type=Path))
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), show_default="DIR/report.html")
@click.option("--markdown", "as_markdown", is_flag=True, help="Print the tables as Markdown instead.")
def report(root: Path, out: Path | None, as_markdown: bool) -> None:
    """A web page of what `refimpl reproduce --out DIR` found: tables, verdicts and figures, all in one file."""
    path = root / "verdict.json"
    if not path.exists():
        raise DataError(f"{path} is not there; `refimpl reproduce --out {root}` writes it")
    found: Any = read_json(path, Verdict)
    if as_markdown:
        click.echo(markdown(tables(found)), nl=False)
    else:
        out = out or root / "report.html"
        write_text(out, _page(found, root))
        click.echo(out)


def _page(found: dict[str, Any], root: Path) -> str:
    words = PROFILES[found["profile"]].words
    compared = dict.fromkeys(row["arch"] for row in found["numbers"] if of_paper(row))
    parts = [f"<p>Profile {escape(found['profile'])}: {escape(words)}.</p>"]
    if compared:
        parts.append(
            f"<p>An asterisk marks a number within {100 * TOLERANCE:g} points of the paper's; {TOLERANCE_REASON}.</p>"
        )
    for title, header, rows in [*tables(found), *(comparison(found, arch) for arch in compared)]:
        parts += [f"<h2>{escape(title)}</h2>", _table(header, rows)]
    effects = [
        [
            row["claim"],
            effect["assumption"],
            effect["effect"],
            effect["verdict"],
            f"{effect['mean']:+.3g}",
            _interval(effect),
        ]
        for row in found["claims"]
        for effect in row["effects"]
    ]
    header = ["claim", "assumption", "effect", "verdict", "difference", "95 % interval over seeds"]
    parts += ["<h2>Effects behind the claims</h2>", _table(header, effects), "<h2>Figures</h2>", *_figures(root)]
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>refimpl report</title>'
        f"<style>{STYLE}</style></head>\n<body><h1>The paper, reproduced</h1>\n"
        + "\n".join(parts)
        + "\n</body></html>\n"
    )


def _interval(effect: dict[str, Any]) -> str:
    low, high = effect["interval_95"]
    return "" if low is None else f"{low:+.3g} to {high:+.3g}"


def _table(header: list[str], rows: list[list[str]]) -> str:
    lines = ["".join(f"<th>{escape(cell)}</th>" for cell in header)]
    lines += ["".join(f"<td>{escape(cell)}</td>" for cell in row) for row in rows]
    return "<table>" + "\n".join(f"<tr>{line}</tr>" for line in lines) + "</table>"


def _figures(root: Path) -> Iterator[str]:
    """Those of the paper whose runs are there, under each assumption."""
    from .drawing import styled

    for name in in_order(FIGURES.names()):
        figure = FIGURES[name]
        if not isinstance(figure, PaperFigure):
            continue
        for assumption in JUDGED[figure.arch]:
            content = io.BytesIO()
            try:
                with styled():
                    drawn = figure.draw(figure.collect(root, assumption))
                    drawn.savefig(content, format="png", dpi=110, metadata={"Software": None})
            except DataError as error:
                yield f"<p>{escape(str(error))}</p>"
                continue
            words = escape(figure.words or "")
            source = base64.b64encode(content.getvalue()).decode()
            yield f"<h3>{words} Assumption: {assumption}</h3>"
            yield f'<img alt="{words}" src="data:image/png;base64,{source}">'
