"""The report of `refimpl verify` as one page that opens without a network."""

from html import escape
from typing import Any

from refimpl.webpage import Markup, Section, definitions, made_with, table, webpage

TERMS = {
    "statement": "What the paper claims, or what is claimed here beside it, of all examples of a kind. It is tried on"
    " many drawn at random; where one refutes it, the smallest such example is looked for.",
    "holds": "No example refutes the statement.",
    "holds as corrected": "An example refutes the statement as printed, as was expected; none refutes the correction.",
    "not refuted": "It should be refuted as printed, but these examples do not suffice.",
    "refuted": "An example refutes what should hold, the statement or its correction.",
    "w, Q, V": "A linear classifier, the projection on the subspace V of the data.",
    "s(w), r(W)": "Effective sparsity, the l1 norm divided by the Euclidean norm; effective rank, the nuclear norm"
    " divided by the Frobenius norm.",
    "p_eps(w)": "The error of the classifier w when each pixel may change by eps.",
    "derivative": "A derivative written by hand, against difference quotients or the program autograd: the"
    " error relative to the largest entry.",
}


def page(found: dict[str, Any], summary: list[str]) -> str:
    """The report, beneath the lines that sum it up."""
    sections = [Section("terms", "Terms", definitions(TERMS))]
    if statements := found["statements"]:
        rows = [_statement(row) for row in statements]
        columns = ("statement", "where", "verdict", "claim")
        sections.append(Section("statements", "Statements", table("What the paper says, in its order", columns, rows)))
        if refuted := [row for row in statements if row["counterexample"]]:
            sections.append(Section("counterexamples", "Counterexamples", "".join(map(_counterexample, refuted))))
    if found["gradients"]:
        rows = [_derivative(row) for row in found["gradients"]]
        header = ("derivative", "where", "against", "relative error", "allowed", "verdict")
        sections.append(Section("derivatives", "Derivatives", table("Derivatives written by hand", header, rows)))
    facts = made_with(found["backend"], examples=f"{found['examples']:,} a claim", seed=str(found["seed"]))
    return webpage("What the paper says, and what holds", f"{'; '.join(summary)}.".capitalize(), sections, facts)


def _statement(row: dict[str, Any]) -> list[str]:
    claim = escape(row["claim"])
    if row["correction"]:
        claim += f"<br>Corrected: {escape(row['correction'])}"
    if row["counterexample"]:
        claim += f'<br><a href="#{_anchor(row)}">Counterexample to {escape(row["name"])}</a>'
    return [row["name"], row["location"], _coloured(outcome(row), row["as_expected"]), Markup(claim)]


def _counterexample(row: dict[str, Any]) -> str:
    return (
        f'<h3 id="{_anchor(row)}">{escape(row["name"])}</h3>\n<p>Claimed: {escape(row["claim"])}.</p>\n'
        f"<p>But with <code>{escape(numbers(row['counterexample']))}</code>: "
        f"<code>{escape(measurements(row))}</code>.</p>\n"
    )


def _anchor(row: dict[str, Any]) -> str:
    return f"counterexample-{row['name']}"


def _derivative(row: dict[str, Any]) -> list[str]:
    error, tolerance = f"{row['relative_error']:.1e}", f"{row['tolerance']:.0e}"
    verdict = _coloured("right" if row["as_expected"] else "wrong", row["as_expected"])
    return [row["name"], row["location"], row["against"], error, tolerance, verdict]


def _coloured(words: str, as_expected: bool | None) -> str:
    """Red what is wrong, amber what is open."""
    colour = {False: "red", None: "amber"}.get(as_expected)
    return Markup(f'<span class="{colour}">{escape(words)}</span>') if colour else words


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
