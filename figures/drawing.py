"""A figure, and the numbers it shows."""

import csv
import io
import textwrap
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import matplotlib
import matplotlib.style
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from refimpl.atomic import write_bytes, write_text

WIDTH = 6.5
"""Inches, the text of a page."""

CHARACTERS, LINE_HEIGHT = 120, 0.14
"""Of text above a figure: how many fit beside each other, and inches between two lines."""

COLORS = 7
DASHES = ("-", "--", ":", "-.")
MARKERS = ("o", "s", "^", "D", "v", "X", "<", "P", ">", "*")


@dataclass(frozen=True)
class Drawing:
    """`columns`, arrays or lists as long as each other, are the CSV file."""

    name: str
    figure: Figure
    columns: Mapping[str, Any]

    def save(self, folder: Path, formats: Sequence[str]) -> list[Path]:
        """The picture in each format, without a date, and its CSV; the same numbers give the same bytes."""
        folder.mkdir(parents=True, exist_ok=True)
        self.figure.draw_without_rendering()
        self.figure.set_layout_engine("none")  # it would settle anew for each format
        written = []
        for kind in formats:
            content = io.BytesIO()
            dateless = {"pdf": {"CreationDate": None}, "svg": {"Date": None}, "png": {"Software": None}}[kind]
            self.figure.savefig(content, format=kind, metadata=dateless)
            written.append(folder / f"{self.name}.{kind}")
            write_bytes(written[-1], content.getvalue())
        written.append(folder / f"{self.name}.csv")
        write_text(written[-1], self.csv())
        return written

    def csv(self) -> str:
        text = io.StringIO()
        rows = csv.writer(text, lineterminator="\n")
        rows.writerow(self.columns)
        rows.writerows(zip(*self.columns.values(), strict=True))
        return text.getvalue()


def read_csv(text: str) -> dict[str, list[Any]]:
    """The columns of a CSV file, numbers as numbers."""
    header, *rows = csv.reader(io.StringIO(text))
    return {
        name: [_number(cell) for cell in cells] for name, cells in zip(header, zip(*rows, strict=True), strict=True)
    }


def _number(cell: str) -> Any:
    for kind in (int, float):
        with suppress(ValueError):
            return kind(cell)
    return cell


def styled() -> Any:
    """A context in which figures look alike."""
    with as_file(files(__package__) / "paper.mplstyle") as sheet:
        return matplotlib.style.context(sheet)


def figure(height: float, *texts: str) -> Figure:
    """An empty figure, `WIDTH` by `height` inches beneath texts that say what it shows, of what, and how to read it."""
    lines = [line for text in texts for line in textwrap.wrap(text, CHARACTERS, break_on_hyphens=False)]
    made = Figure(figsize=(WIDTH, height + LINE_HEIGHT * len(lines)))
    made.suptitle("\n".join(lines), x=0.01, ha="left", fontsize=7, linespacing=1.3, parse_math=False)
    return made


def style(i: int) -> dict[str, Any]:
    """Colour, dashes and marker of the i-th line, alike in no two of them for 28 lines."""
    return {
        "color": f"C{i % COLORS}",
        "linestyle": DASHES[i // COLORS % len(DASHES)],
        "marker": MARKERS[i % len(MARKERS)],
        "markersize": 3,
    }


def sparse_markers(i: int) -> dict[str, Any]:
    """Markers of the i-th line of many points: a few of them, not where those of the lines beside it are."""
    return {"markevery": (0.02 + 0.025 * (i % 10), 0.25)}


def widen(axes: Sequence[Axes], fraction: float = 0.2) -> None:
    """Make each y axis span at least this fraction of its largest value, so that what hardly changes looks so."""
    for ax in axes:
        low, high = ax.get_ylim()
        lacking = fraction * max(abs(low), abs(high)) - (high - low)
        if lacking > 0:
            ax.set_ylim(low - lacking / 2, high + lacking / 2)


def colours(name: str) -> matplotlib.colors.Colormap:
    """A colour map in which what is no number is grey."""
    return matplotlib.colormaps[name].with_extremes(bad="0.75")
