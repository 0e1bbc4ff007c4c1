"""refimpl plot"""

import importlib
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from refimpl.errors import DataError, UsageError

from .command import FORMATS
from .plots import NAMES

FOLDER = click.Path(file_okay=False, path_type=Path)


class Chosen(click.ParamType):
    """A comma-separated list of some of the given names: `png,pdf`."""

    name = "list"

    def __init__(self, names: tuple[str, ...]) -> None:
        self.names = names

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        chosen = tuple(dict.fromkeys(value.split(",") if isinstance(value, str) else value))
        for name in chosen:
            if name not in self.names:
                self.fail(f"{name!r} is none of {', '.join(self.names)}", param, ctx)
        return chosen

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        before, comma, last = incomplete.rpartition(",")
        return [CompletionItem(before + comma + name) for name in self.names if name.startswith(last)]


@click.command()
@click.argument("runs", metavar="RUN...", type=FOLDER, nargs=-1, required=True)
@click.option(
    "--what", type=Chosen(NAMES), default=NAMES, help=f"Which pictures, of {', '.join(NAMES)}.  [default: all]"
)
@click.option("--out", type=FOLDER, default=Path("pictures"), show_default=True, help="Folder for the pictures.")
@click.option(
    "--format", "formats", type=Chosen(FORMATS), default="png,pdf", show_default=True, help=f"Of {', '.join(FORMATS)}."
)
@click.option("--data-dir", type=FOLDER, help="Folder with the run's data, which `examples` needs.")
def plot(
    runs: tuple[Path, ...], what: tuple[str, ...], out: Path, formats: tuple[str, ...], data_dir: Path | None
) -> None:
    """Draw pictures of runs, each with the numbers it shows as a CSV file beside it; nothing is trained.

    `losses`: loss and accuracy over the epochs; `rank`, `sparsity`: effective rank and sparsity of each layer;
    `information`: bounds of the mutual information; `fooling`: fooling ratios in training; `singular-values` of each
    layer; `weights`: rows of W1, or filters, as images; `examples`: test inputs before and after PGD at the paper's
    budget; `security`: robust accuracy against eps, of the results of `refimpl attack`. What a run has no numbers for
    is left out, in one line that says so.
    """
    import matplotlib

    from .drawing import styled
    from .plots.source import AbsentError, Source

    drawn = 0
    for folder, called in _names(runs).items():
        source, absent = Source(folder, called, data_dir), []
        for name in what:
            module = importlib.import_module(f".plots.{name.replace('-', '_')}", __package__)
            try:
                with styled(), matplotlib.rc_context({"text.parse_math": False}):
                    paths = module.draw(source).save(out, formats)
            except AbsentError as error:
                absent.append(f"{name} ({error})")
                continue
            drawn += 1
            for path in paths:
                click.echo(path)
        if absent:
            click.echo(f"{folder}: left out: {', '.join(absent)}", err=True)
    if not drawn:
        raise DataError("no picture was drawn: the runs have none of the numbers that were asked for")


def _names(folders: tuple[Path, ...]) -> dict[Path, str]:
    """A name for the pictures of each run: its folder's, with the folders above it where two are called alike."""
    whole = dict.fromkeys(folder.resolve() for folder in folders)
    given = {folder.resolve(): folder for folder in folders}
    for depth in range(1, max(len(path.parts) for path in whole) + 1):
        names = {given[path]: "-".join(path.parts[-depth:]) for path in whole}
        if len(set(names.values())) == len(whole):
            return names
    raise UsageError("two of these runs cannot be told apart by their names")
