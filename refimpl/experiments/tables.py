"""The reproduced tables as text: Markdown for the README, rows for a page."""

from typing import Any

from .plan import READINGS

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
    readings = [reading for reading in READINGS[arch] if any(row["reading"] == reading for row in rows)]
    if not readings:
        return None
    cells = {(row["method"], row["reading"]): row for row in rows}
    body = []
    for method in dict.fromkeys(row["method"] for row in rows):
        paper = next(row["paper"] for row in rows if row["method"] == method)
        ours = [_accuracy(cells.get((method, reading))) for reading in readings]
        body.append([method, "" if paper is None else f"{100 * paper:.2f} %", *ours])
    return TITLES[arch], ["method", "paper", *readings], body


def _accuracy(row: dict[str, Any] | None) -> str:
    if row is None:
        return ""
    spread = "" if row["standard_deviation"] is None else f" ± {100 * row['standard_deviation']:.2f}"
    return f"{100 * row['mean']:.2f}{spread} %" + (" *" if row["reproduced"] else "")


def markdown(found: dict[str, Any]) -> str:
    parts = []
    for title, header, rows in tables(found):
        lines = [header, ["---"] * len(header), *rows]
        parts.append(f"**{title}**\n\n" + "\n".join("| " + " | ".join(cells) + " |" for cells in lines))
    return "\n\n".join(parts) + "\n"
