"""A figure, and the numbers it shows."""

import csv
import io
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import matplotlib.style
from matplotlib.figure import Figure

from refimpl.atomic import write_bytes, write_text


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
