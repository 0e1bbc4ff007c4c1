"""The reproduced tables as text: Markdown for the README, rows for a page."""

import statistics
from collections.abc import Sequence
from typing import Any

from .assumptions import JUDGED, READINGS
from .paper import ACCURACY
from .plan import SOURCE

TITLES = {"fcnn": "Table 1, fully connected net, MNIST", "cnn": "Table 2, CNN, Fashion-MNIST"}
Table = tuple[str, list[str], list[list[str]]]


def tables(found: dict[str, Any]) -> list[Table]:
    """A title, a header and rows of cells for each table of the paper, and for its claims."""
    made = [made for arch in TITLES if (made := _accuracies(arch, found["numbers"]))]
    claims = [[row["claim"], row["words"], row["verdict"]] for row in found["claims"]]
    return [*made, ("Claims", ["", "the paper", "verdict"], claims)]


def _accuracies(arch: str, numbers: list[dict[str, Any]]) -> Table | None:
    """A number within the tolerance of the paper's is marked with an asterisk."""
    rows = [row for row in numbers if row["arch"] == arch]
    readings = [reading for reading in JUDGED[arch] if any(row["reading"] == reading for row in rows)]
    if not readings:
        return None
    cells = {(row["method"], row["reading"]): row for row in rows}
    body = []
    for method in dict.fromkeys(row["method"] for row in rows if row["reading"] in readings):
        paper = next(row["paper"] for row in rows if row["method"] == method)
        ours = [_accuracy(cells.get((method, reading))) for reading in readings]
        body.append([method, "" if paper is None else f"{100 * paper:.2f} %", *ours])
    return TITLES[arch], ["method", "paper", *readings], body


def _accuracy(row: dict[str, Any] | None) -> str:
    if row is None:
        return ""
    spread = "" if row["standard_deviation"] is None else f" ± {100 * row['standard_deviation']:.2f}"
    return f"{100 * row['mean']:.2f}{spread} %" + (" *" if row["reproduced"] else "")


def comparison(found: dict[str, Any], arch: str) -> Table:
    """Every reading against all rows of the paper's table: how far off, on average, and how far PGD reaches."""
    methods = list(ACCURACY[arch])
    body = []
    for reading, read in READINGS[arch].items():
        rows = {r["method"]: r for r in found["numbers"] if (r["arch"], r["reading"]) == (arch, reading)}
        if rows.keys() >= set(methods):
            off = statistics.fmean(abs(rows[method]["mean"] - ACCURACY[arch][method]) for method in methods)
            cells = [_accuracy(rows[method] | {"standard_deviation": None}) for method in methods]
            seeds = str(min(rows[method]["n"] for method in methods))
            fools = f"{100 * rows[SOURCE]['pgd_fools']:.1f} %"
            body.append([f"`{reading}`: {read.words}", seeds, *cells, f"{100 * off:.2f}", fools])
    paper = ["the paper", "", *(f"{100 * accuracy:.2f} %" for accuracy in ACCURACY[arch].values()), "", "below 100 %"]
    header = ["reading", "seeds", *methods, "points off", "PGD fools natural"]
    return f"Readings against {TITLES[arch]}", header, [paper, *body]


def markdown(found: Sequence[Table]) -> str:
    parts = []
    for title, header, rows in found:
        lines = [header, ["---"] * len(header), *rows]
        parts.append(f"**{title}**\n\n" + "\n".join("| " + " | ".join(cells) + " |" for cells in lines))
    return "\n\n".join(parts) + "\n"
