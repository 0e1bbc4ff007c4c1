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

    Where it is too wide, columns of words but the first wrap at blanks, the widest first. Where that is not enough,
    the first column has lines of its own, above the others. No word and no name is broken.
    """
    cells = [[printable(cell) for cell in row] for row in (columns, *rows)]
    least = _least(cells, words, names=1)
    if sum(least) + GAP * (len(least) - 1) <= out.width:
        printed = _lines(cells, least, words, out.width)
    else:
        others = [row[1:] for row in cells]
        below = _lines(others, _least(others, words - 1, names=0), words - 1, out.width - GAP)
        printed = [[row[0], *(" " * GAP + line for line in lines)] for row, lines in zip(cells, below, strict=True)]
    for number, lines in enumerate(printed):
        for line in lines:
            click.echo(click.style(line, bold=True) if number == 0 else line)


def _least(cells: Sequence[Sequence[str]], words: int, names: int) -> list[int]:
    """Least widths of columns: the first `names` and the numbers do not wrap, but for their header, the first row."""
    least = []
    for i, (header, *column) in enumerate(zip(*cells, strict=True)):
        pieces = header.split()
        for cell in column:
            pieces += cell.split() if names <= i < words else [cell]
        least.append(max(map(cell_len, pieces), default=0))
    return least


def _lines(cells: Sequence[Sequence[str]], least: list[int], words: int, room: int) -> list[list[str]]:
    """The lines of each row, at most `room` wide where the least widths of the columns allow it."""
    widths = [max(map(cell_len, column)) for column in zip(*cells, strict=True)]
    while sum(widths) > room - GAP * (len(widths) - 1) and widths != least:
        widest = max((i for i in range(len(widths)) if widths[i] > least[i]), key=widths.__getitem__)
        widths[widest] -= 1
    lines = []
    for row in cells:
        wrapped = [_wrapped(cell, width) for cell, width in zip(row, widths, strict=True)]
        lines.append([_joined(parts, widths, words) for parts in itertools.zip_longest(*wrapped, fillvalue="")])
    return lines


def _wrapped(cell: str, width: int) -> list[str]:
    if cell_len(cell) <= width:
        return [cell]
    return textwrap.wrap(cell, width, break_long_words=False, break_on_hyphens=False)


def _joined(parts: Sequence[str], widths: Sequence[int], words: int) -> str:
    padded = []
    for i, (part, width) in enumerate(zip(parts, widths, strict=True)):
        blanks = " " * (width - cell_len(part))
        padded.append(part + blanks if i < words else blanks + part)
    return (" " * GAP).join(padded).rstrip()


def report(value: Any) -> None:
    """One JSON object on standard output, and nothing else."""
    click.echo(to_json(value))


def percent(fraction: float) -> str:
    return f"{100 * fraction:.2f} %"


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
