"""The reproduced tables as text: Markdown for the README, rows for a page."""

import statistics
from collections import Counter
from collections.abc import Sequence
from typing import Any

from .assumptions import ASSUMPTIONS, JUDGED
from .paper import ACCURACY, DATASETS, TOLERANCE
from .plan import SOURCE

TITLES = {"fcnn": "Table 1, fully connected net, MNIST", "cnn": "Table 2, CNN, Fashion-MNIST"}
NETS = {"fcnn": "Fully connected net", "cnn": "CNN"}
Table = tuple[str, list[str], list[list[str]]]


def tables(found: dict[str, Any]) -> list[Table]:
    """A title, a header and rows of cells for each table of the paper, and for its claims.

    Of other data than the paper's there is no comparison with its numbers.
    """
    made = [made for arch in TITLES if (made := _accuracies(arch, found["numbers"]))]
    claims = [[row["claim"], row["words"], row["verdict"]] for row in found["claims"]]
    others = sorted({row["dataset"] for row in found["claims"] if not of_paper(row)})
    title = f"Claims, measured on {' and '.join(others)}" if others else "Claims"
    return [*made, (title, ["", "the paper", "verdict"], claims)]


def of_paper(row: dict[str, Any]) -> bool:
    """Whether a row is of the data that the paper trains the net on."""
    return bool(row["dataset"] == DATASETS[row["arch"]])


def _accuracies(arch: str, numbers: list[dict[str, Any]]) -> Table | None:
    """A number within the tolerance of the paper's is marked with an asterisk."""
    rows = [row for row in numbers if row["arch"] == arch and row["assumption"] in JUDGED[arch]]
    if not rows:
        return None
    assumptions = [name for name in JUDGED[arch] if any(row["assumption"] == name for row in rows)]
    cells = {(row["method"], row["assumption"]): row for row in rows}
    compared, body = of_paper(rows[0]), []
    for method in dict.fromkeys(row["method"] for row in rows):
        paper = next(row["paper"] for row in rows if row["method"] == method)
        theirs = ["" if paper is None else f"{100 * paper:.2f} %"] if compared else []
        body.append([method, *theirs, *(_accuracy(cells.get((method, name))) for name in assumptions)])
    title = TITLES[arch] if compared else f"{NETS[arch]}, {rows[0]['dataset']}"
    return title, ["method", *(["paper"] if compared else []), *assumptions], body


def _accuracy(row: dict[str, Any] | None) -> str:
    if row is None:
        return ""
    spread = "" if row["standard_deviation"] is None else f" ± {100 * row['standard_deviation']:.2f}"
    return f"{100 * row['mean']:.2f}{spread} %" + (" *" if row["reproduced"] else "")


def comparison(found: dict[str, Any], arch: str) -> Table:
    """Every assumption against all rows of the paper's table: points off on average, and how often PGD fools."""
    methods = list(ACCURACY[arch])
    body = []
    for name, assumption in ASSUMPTIONS[arch].items():
        numbers = [r for r in found["numbers"] if (r["arch"], r["assumption"]) == (arch, name) and of_paper(r)]
        rows = {row["method"]: row for row in numbers}
        if rows.keys() >= set(methods):
            off = statistics.fmean(abs(rows[method]["mean"] - ACCURACY[arch][method]) for method in methods)
            cells = [_accuracy(rows[method] | {"standard_deviation": None}) for method in methods]
            seeds = str(min(rows[method]["n"] for method in methods))
            fools = f"{100 * rows[SOURCE]['pgd_fools']:.1f} %"
            body.append([f"`{name}`: {assumption.words}", seeds, *cells, f"{100 * off:.2f}", fools])
    paper = ["the paper", "", *(f"{100 * accuracy:.2f} %" for accuracy in ACCURACY[arch].values()), "", "below 100 %"]
    header = ["assumption", "seeds", *methods, "points off", "PGD fools natural"]
    return f"Assumptions against {TITLES[arch]}", header, [paper, *body]


def numbers_in_words(found: dict[str, Any]) -> str:
    """How many accuracies are near the paper's, or that they are of other data."""
    if others := sorted({row["dataset"] for row in found["numbers"] if not of_paper(row)}):
        return f"of {' and '.join(others)}, other data than the paper's: not compared"
    judged = [row["reproduced"] for row in found["numbers"] if row["reproduced"] is not None]
    return f"{sum(judged)} of {len(judged)} within {100 * TOLERANCE:g} points of the paper's"


def claims_in_words(found: dict[str, Any]) -> str:
    """How many claims have which verdict."""
    verdicts = Counter(row["verdict"] for row in found["claims"])
    return ", ".join(f"{n} {words}" for words, n in verdicts.items()) or "none"


def markdown(found: Sequence[Table]) -> str:
    parts = []
    for title, header, rows in found:
        lines = [header, ["---"] * len(header), *rows]
        parts.append(f"**{title}**\n\n" + "\n".join("| " + " | ".join(cells) + " |" for cells in lines))
    return "\n\n".join(parts) + "\n"
