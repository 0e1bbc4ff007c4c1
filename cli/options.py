"""Options that several commands share, and the values they take."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from refimpl.runs.zoo import PREFIX, index

from .derived import Integer, Number, Option, Several

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

WHERE, OUTPUT = "Data and machine", "Output"
"""Sections of the help."""

FOLDER = click.Path(file_okay=False, path_type=Path)


class _Run(click.Path):
    """A run's folder, or `zoo:NAME`."""

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        if not incomplete.startswith("zoo"):
            return super().shell_complete(ctx, param, incomplete)
        names = [PREFIX + name for name in index()]
        return [CompletionItem(name) for name in names if name.startswith(incomplete)]


RUN = _Run(file_okay=False, path_type=Path)


def out(what: str) -> Decorator:
    text = f"Folder for {what}, which those of zoo: are kept in only where it is given."
    return click.option("--out", cls=Option, section=OUTPUT, type=FOLDER, show_default="RUN's", help=text)


def data_dir() -> Decorator:
    order = "REFIMPL_DATA, the user's cache, /usr/share/datasets"
    text = "Folder with the IDX files, or with a folder of them for each data set."
    return click.option("--data-dir", cls=Option, section=WHERE, type=FOLDER, show_default=order, help=text)


def backend() -> Decorator:
    text = "Where to compute: numpy, cupy (a CUDA GPU), or auto (cupy where it works and is thought faster)."
    kinds = click.Choice(["numpy", "cupy", "auto"])
    return click.option("--backend", cls=Option, section=WHERE, type=kinds, show_default="the run's", help=text)


def threads() -> Decorator:
    text = "BLAS threads. The nets are small: more is slower, and may change the last bits."
    kind = click.IntRange(1, 1024)
    return click.option("--threads", cls=Option, section=WHERE, type=kind, show_default="1", help=text)


def as_json() -> Decorator:
    text = "Print one JSON object on standard output, nothing else."
    return click.option("--json", "as_json", cls=Option, section=OUTPUT, is_flag=True, help=text)


def where(command: Callable[..., Any]) -> Callable[..., Any]:
    """Data, backend and threads of a command that looks at a run."""
    for option in (threads(), backend(), data_dir()):
        command = option(command)
    return command


def parameters(*decorators: Decorator) -> list[click.Parameter]:
    """What these decorators give a command, for one that is put together."""

    def bare() -> None:
        """Takes nothing else."""

    wrapped: Callable[..., Any] = bare
    for decorator in reversed(decorators):
        wrapped = decorator(wrapped)
    return list(click.command()(wrapped).params)


def fraction() -> click.ParamType:
    """A percentage, or the fraction it is: `50%`, `0.5`."""
    return Number()


def integers() -> click.ParamType:
    """A comma-separated list: `0,1,2`."""
    return Several(Integer())
