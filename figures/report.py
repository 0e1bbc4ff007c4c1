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
from refimpl.experiments.tables import claims_in_words, comparison, markdown, numbers_in_words, of_paper, tables
from refimpl.runs.folder import list_runs
from refimpl.runs.schema import VerdictFile, read_json
from refimpl.webpage import Section, definitions, made_with, table, webpage

from .base import FIGURES, Columns, PaperFigure, in_order

TERMS = {
    "method": "How a net was trained: natural; natural-continued, the same for as many more epochs; fgsm and pgd, on"
    " inputs attacked so; l1-0.01, nuclear-0.03, joint-0.001, with these regularizers, each with its lambda.",
    "assumption": "What is assumed where the paper is silent: optimizer, epochs, composition of adversarial batches.",
    "FGSM, PGD, GNM": "Attacks: one step along the sign of the loss's gradient; many small ones; a few against the"
    " margin of the class that is nearest to it, linearized.",
    "ε": "The budget of an attack: the most that a pixel may change, in units of pixels in [0, 1].",
    "fooling ratio": "The fraction of correctly classified test inputs whose label changes under attack.",
    "effective rank r(W)": "The nuclear norm of a weight matrix divided by its Frobenius norm, Eq. (3).",
    "effective sparsity s(W)": "The sum of the sizes of its entries divided by its Frobenius norm, Eq. (2); small means"
    " sparse.",
    "I(x; t)": "The mutual information of the input and a hidden layer, in bits, between a lower and an upper bound.",
    "claim, effect, verdict": "A claim of the paper is tested by effects, each a difference of two methods, seed by"
    " seed; a verdict says what their 95 % intervals over seeds (Student) decide, under each assumption: a claim is"
    " supported where all effects that decide it are.",
    "of interest": "The smallest effect that matters: five points of a ratio, a twentieth of the baseline. Where a fall"
    " as large is excluded, corrected for the number of effects (Holm), there is no effect of interest.",
    "could have been shown": "The smallest fall that so many seeds, with their spread, show in 80 % of cases.",
    "core hours": "Seconds of all cores together, of training and what is monitored in it.",
    "asterisk": f"A number within {100 * TOLERANCE:g} points of the paper's: {TOLERANCE_REASON}.",
}


@click.command()
@click.argument("root", metavar="DIR", type=click.Path(file_okay=False, path_type=Path))
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), show_default="DIR/report.html")
@click.option("--markdown", "as_markdown", is_flag=True, help="Print the tables as Markdown instead.")
def report(root: Path, out: Path | None, as_markdown: bool) -> None:
    """A web page of what `refimpl reproduce --out DIR` found: tables, verdicts and figures, all in one file."""
    path = root / "verdict.json"
    if not path.exists():
        raise DataError(f"{path} is not there; `refimpl reproduce --out {root}` writes it")
    found: Any = read_json(path, VerdictFile)
    if as_markdown:
        click.echo(markdown(tables(found)), nl=False)
    else:
        out = out or root / "report.html"
        write_text(out, _page(found, root))
        click.echo(out)


def _page(found: dict[str, Any], root: Path) -> str:
    profile = PROFILES.get(found["profile"])
    summary = (
        f"Accuracies: {numbers_in_words(found)}. Claims of the paper: {claims_in_words(found)}. "
        f"Profile {found['profile']}{f': {profile.words}' if profile else ''}."
    )
    sections = [
        Section("terms", "Terms", definitions(TERMS)),
        *_tables(found),
        *_figures(root),
    ]
    return webpage("The paper, reproduced", summary, sections, made_with(**_facts(found, root)))


def _facts(found: dict[str, Any], root: Path) -> dict[str, str]:
    """Seeds of the numbers; version, dates and machines of the runs."""
    numbers = [row["n"] for row in found["numbers"]]
    known = _listed({int(seed) for row in found["numbers"] for seed in row.get("by_seed", {})})
    least, most = min(numbers, default=0), max(numbers, default=0)
    seeds = known if known and least == most else f"{known}: {least} to {most} of each method".removeprefix(": ")
    manifests = [run.manifest for run in list_runs(root)]
    if not manifests:
        return {"seeds": seeds, "runs": f"not in {root.name}"}
    dates = sorted(manifest.get("ended", manifest["started"])[:10] for manifest in manifests)
    versions = _listed({manifest["packages"]["refimpl"] for manifest in manifests})
    machines = {f"{manifest['processor']}, {manifest['cores']} cores" for manifest in manifests}
    return {
        "seeds": seeds,
        "runs": f"{len(manifests)}, with refimpl {versions}, from {dates[0]} to {dates[-1]}",
        "machines_of_the_runs": "; ".join(sorted(machines)),
    }


def _listed(values: Any) -> str:
    return ", ".join(map(str, sorted(values)))


def _tables(found: dict[str, Any]) -> Iterator[Section]:
    for title, (first, *columns), rows in tables(found):
        what = "test accuracy, mean ± standard deviation over seeds" if first == "method" else "what came out of each"
        yield Section(_anchor(title), title, table(f"{title}: {what}", [first or "claim", *columns], rows))
    for arch in dict.fromkeys(row["arch"] for row in found["numbers"] if of_paper(row)):
        title, (first, *others), rows = comparison(found, arch)
        named = []
        for cell, *numbers in rows:
            name, _, words = cell.replace("`", "").partition(": ")
            named.append([name, words, *numbers])
        columns = [first, "what is assumed", *others]
        yield Section(_anchor(title), title, table(f"{title}: test accuracies", columns, named))


def _anchor(title: str) -> str:
    return "-".join("".join(c if c.isalnum() else " " for c in title.lower()).split())


def _figures(root: Path) -> Iterator[Section]:
    """Those of the paper, each under the assumptions that are judged; where runs are missing, which."""
    missing = []
    for name in in_order(FIGURES.names()):
        figure = FIGURES[name]
        if not isinstance(figure, PaperFigure):
            continue
        words, drawn = figure.words or figure.name, []
        for assumption in JUDGED:
            try:
                drawn.append(_figure(figure, f"{words} Assumption: {assumption}.", figure.collect(root, assumption)))
            except DataError as error:
                missing.append(f"{words} Assumption: {assumption}: {error}")
        if drawn:
            yield Section(figure.name, words.rstrip("."), "".join(drawn))
    if missing:
        items = "\n".join(f"<li>{escape(words)}</li>" for words in missing)
        yield Section("not-drawn", "Figures that were not drawn", f"<ul>\n{items}\n</ul>\n")


def _figure(figure: PaperFigure, words: str, columns: Columns) -> str:
    from .drawing import styled

    content = io.BytesIO()
    with styled():
        figure.draw(columns).savefig(content, format="png", dpi=130, metadata={"Software": None})
    source = base64.b64encode(content.getvalue()).decode()
    seen = escape(f"{words} {figure.outcome(columns)}".strip())
    return (
        f'<figure><img alt="{seen}" src="data:image/png;base64,{source}">'
        f"<figcaption>{escape(words)}</figcaption></figure>\n"
    )
