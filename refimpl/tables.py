"""Tables as HTML: what notebooks show of results, `_repr_html_`."""

from collections.abc import Sequence
from html import escape


def html_table(caption: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table whose first column names the rows; the others are flush right. All text is escaped."""
    head = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in header)
    body = "".join(_row(row) for row in rows)
    return f"<table><caption>{escape(caption)}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def percent(fraction: float) -> str:
    """`0.0512` as `5.12 %`."""
    return f"{100 * fraction:.2f} %"


def percent_interval(interval: tuple[float, float]) -> str:
    """`(0.05, 0.06)` as `5.00 to 6.00 %`."""
    low, high = interval
    return f"{100 * low:.2f} to {100 * high:.2f} %"


def _row(cells: Sequence[str]) -> str:
    first, *others = (escape(cell) for cell in cells)
    numbers = "".join(f'<td style="text-align: right">{cell}</td>' for cell in others)
    return f'<tr><th scope="row">{first}</th>{numbers}</tr>'
