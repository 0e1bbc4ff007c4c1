"""What people see: tables on standard output, progress and notes on standard error, without control characters."""

import itertools
import shlex
import sys
import textwrap
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self, TextIO

import click
from rich.cells import cell_len
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Column

from refimpl.runs.results import to_json

LOG_WIDTH = 500  # in a log or a pipe a line may be as long as it needs to be
NARROW = 40  # columns in which the counter of a bar is still seen
GAP = 2  # blanks between the columns of a table


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Let the group of commands decide how to end; rich would exit with 1, which means a bug."""
        raise


def _console(stream: TextIO | None) -> Console:
    """`stream` is None where the process was started with it closed."""
    on_terminal = stream is not None and stream.isatty()
    return _Console(stderr=stream is sys.stderr, highlight=False, emoji=False, width=None if on_terminal else LOG_WIDTH)


out, err = _console(sys.stdout), _console(sys.stderr)

LOG_SECONDS = 10.0


def printable(text: str) -> str:
    r"""`text` on one line, every character that would steer a terminal escaped: a newline is `\n`, ESC is `\x1b`."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def count(n: int, noun: str) -> str:
    """1 epoch, 2 epochs."""
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def command(*arguments: object) -> str:
    """A command of refimpl, quoted for the shell: `refimpl train --resume 'my run'`."""
    return f"`refimpl {shlex.join(map(str, arguments))}`"


def note(message: str) -> None:
    err.print(printable(message), markup=False, soft_wrap=True)


def warn(message: str) -> None:
    err.print(printable(f"warning: {message}"), style="yellow", markup=False, soft_wrap=True)


def error_line(message: str) -> None:
    err.print(printable(f"refimpl: {message}"), style="bold red", markup=False, soft_wrap=True)


def table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, words: int = 1) -> None:
    """A plain table: the first `words` columns are words, flush left, the others numbers, flush right.

    Where it is too wide, columns of words but the first wrap at blanks, the widest first; no word is broken.
    """
    cells = [[printable(cell) for cell in row] for row in (columns, *rows)]
    widths = _widths(cells, words)
    for number, row in enumerate(cells):
        wrapped = [_wrapped(cell, width) for cell, width in zip(row, widths, strict=True)]
        for parts in itertools.zip_longest(*wrapped, fillvalue=""):
            padded = []
            for i, (part, width) in enumerate(zip(parts, widths, strict=True)):
                blanks = " " * (width - cell_len(part))
                padded.append(part + blanks if i < words else blanks + part)
            line = (" " * GAP).join(padded).rstrip()
            click.echo(click.style(line, bold=True) if number == 0 else line)


def _widths(cells: Sequence[Sequence[str]], words: int) -> list[int]:
    """Widths of a table's columns; the first row is the header, which wraps in every column."""
    header, *rows = (list(map(cell_len, row)) for row in cells)
    longest = [[max(map(cell_len, cell.split()), default=0) for cell in row] for row in cells]
    fixed = [i == 0 or i >= words for i in range(len(header))]
    least = [max([longest[0][i], *(row[i] for row in (rows if fixed[i] else longest[1:]))]) for i in range(len(header))]
    widths = [max(column) for column in zip(header, *rows, strict=True)]
    room = out.width - GAP * (len(widths) - 1)
    while sum(widths) > room and widths != least:
        widest = max((i for i in range(len(widths)) if widths[i] > least[i]), key=widths.__getitem__)
        widths[widest] -= 1
    return widths


def _wrapped(cell: str, width: int) -> list[str]:
    """Lines of at most `width` columns, but for words that are longer."""
    if cell_len(cell) <= width:
        return [cell]
    return textwrap.wrap(cell, width, break_long_words=False, break_on_hyphens=False)


def report(value: Any) -> None:
    """One JSON object on standard output, and nothing else."""
    click.echo(to_json(value))


def percent(share: float) -> str:
    return f"{100 * share:.2f} %"


class Bar:
    """Long work: a bar with the time left on a terminal; elsewhere a line now and then, and one at the end."""

    def __init__(self, label: str, total: int, unit: str) -> None:
        self.label, self.total = printable(label), total
        self.unit = unit.removesuffix("s") if total == 1 else unit
        self.done, self.spoke = 0, -LOG_SECONDS
        counter = len(f"{total}/{total} {self.unit}")
        label_width = min(len(self.label), max(NARROW - counter - 1, 0))
        self.bar = Progress(
            TextColumn(
                "{task.description}",
                markup=False,
                table_column=Column(no_wrap=True, overflow="ellipsis", min_width=label_width),
            ),
            TextColumn(
                "{task.completed}/{task.total} " + self.unit,
                justify="right",
                table_column=Column(no_wrap=True, min_width=counter),
            ),
            BarColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}", markup=False),
            console=err,
            disable=not err.is_terminal,
        )
        self.task = self.bar.add_task(self.label, total=total, note="")

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
            self.bar.update(self.task, completed=done, note=printable(remark))
        elif time.monotonic() - self.spoke >= LOG_SECONDS or done >= self.total:
            self.spoke = time.monotonic()
            note(f"{self.label}: {done}/{self.total} {self.unit}" + (f"  {remark}" if remark else ""))
