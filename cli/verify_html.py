"""The report of `refimpl verify` as one page that opens without a network."""

from html import escape
from typing import Any

STYLE = """
body { font: 15px/1.5 sans-serif; max-width: 70em; margin: 2em auto; padding: 0 1em; color: #222; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .4em .8em .4em 0; border-bottom: 1px solid #ddd; }
td:nth-child(3) { white-space: nowrap; }
code { font-size: .9em; overflow-wrap: anywhere; }
.wrong { color: #b00; font-weight: bold; }
"""


def page(found: dict[str, Any]) -> str:
    body = [f"<p>{found['examples']} examples a claim, seed {found['seed']}, backend {escape(found['backend'])}.</p>"]
    if found["statements"]:
        body.append(_table(("statement", "where", "verdict", "claim"), map(_statement, found["statements"])))
    if found["gradients"]:
        body.append("<h2>Derivatives</h2>")
        columns = ("derivative", "where", "against", "relative error", "allowed")
        body.append(_table(columns, map(_derivative, found["gradients"])))
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>refimpl verify</title>'
        f"<style>{STYLE}</style></head>\n<body><h1>What the paper says, and what holds</h1>\n"
        + "\n".join(body)
        + "\n</body></html>\n"
    )


def _table(columns: tuple[str, ...], rows: Any) -> str:
    head = "".join(f"<th>{column}</th>" for column in columns)
    return f"<table><tr>{head}</tr>\n" + "\n".join(rows) + "\n</table>"


def _statement(row: dict[str, Any]) -> str:
    claim = escape(row["claim"])
    if row["counterexample"]:
        claim += f"<br>But with <code>{escape(numbers(row['counterexample']))}</code>: "
        claim += f"<code>{escape(measurements(row))}</code>."
    if row["correction"]:
        claim += f"<br>Corrected: {escape(row['correction'])}"
    return _row(row, escape(row["name"]), escape(row["location"]), escape(outcome(row)), claim)


def _derivative(row: dict[str, Any]) -> str:
    error, tolerance = f"{row['relative_error']:.1e}", f"{row['tolerance']:.0e}"
    return _row(row, *map(escape, (row["name"], row["location"], row["against"], error, tolerance)))


def _row(row: dict[str, Any], *cells: str) -> str:
    kind = ' class="wrong"' if row["as_expected"] is False else ""
    return f"<tr{kind}>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"


def outcome(row: dict[str, Any]) -> str:
    """The outcome with the number of examples, and what was expected where it contradicts that."""
    words = row["outcome"] if row["outcome"] == "refuted" else f"{row['outcome']} with {row['examples']} examples"
    return f"{words}; expected: {row['expected']}" if row["as_expected"] is False else words


def measurements(row: dict[str, Any]) -> str:
    return numbers({one["quantity"]: one["value"] for one in row["measured"]})


def numbers(values: dict[str, Any]) -> str:
    return ", ".join(f"{name} = {_short(value)}" for name, value in values.items())


def _short(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + numbers(value) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_short, value)) + "]"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
