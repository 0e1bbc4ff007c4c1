"""What people see: tables on standard output, progress and notes on standard error."""

import sys
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self, TextIO

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from refimpl.runs.results import to_json

LOG_WIDTH = 500  # in a log or a pipe a line may be as long as it needs to be


def _console(stream: TextIO) -> Console:
    return Console(stderr=stream is sys.stderr, highlight=False, width=None if stream.isatty() else LOG_WIDTH)


out, err = _console(sys.stdout), _console(sys.stderr)

LOG_SECONDS = 10.0


def note(message: str) -> None:
    err.print(message, markup=False, soft_wrap=True)


def warn(message: str) -> None:
    err.print(f"warning: {message}", style="yellow", markup=False, soft_wrap=True)


def table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, words: int = 1) -> None:
    """A plain table: the first `words` columns are words, flush left, the others numbers, flush right."""
    grid = Table(box=None, pad_edge=False, header_style="bold")
    for i, column in enumerate(columns):
        grid.add_column(column, justify="left" if i < words else "right", overflow="fold")
    for row in rows:
        grid.add_row(*map(Text, row))
    with out.capture() as capture:
        out.print(grid)
    click.echo("\n".join(line.rstrip() for line in capture.get().splitlines()))


def report(value: Any) -> None:
    """One JSON object on standard output, and nothing else."""
    click.echo(to_json(value))


def percent(share: float) -> str:
    return f"{100 * share:.2f} %"


class Bar:
    """Long work: a bar with the time left on a terminal; elsewhere a line now and then, and one at the end."""

    def __init__(self, label: str, total: int, unit: str) -> None:
        self.label, self.total, self.unit = label, total, unit
        self.done, self.spoke = 0, -LOG_SECONDS
        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn(unit),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
            console=err,
            disable=not err.is_terminal,
        )
        self.task = self.bar.add_task(label, total=total, note="")

    def __enter__(self) -> Self:
        self.bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bar.stop()

    def update(self, done: int, remark: str = "") -> None:
        if done == self.done:
            return
        self.done = done
        if err.is_terminal:
            self.bar.update(self.task, completed=done, note=remark)
        elif time.monotonic() - self.spoke >= LOG_SECONDS or done >= self.total:
            self.spoke = time.monotonic()
            note(f"{self.label}: {done}/{self.total} {self.unit}" + (f"  {remark}" if remark else ""))
