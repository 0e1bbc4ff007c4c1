"""refimpl figures"""

import importlib
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

import click

from refimpl.errors import DataError, UsageError

if TYPE_CHECKING:
    from .drawing import Drawing

THEORY = ("theory_plane", "theory_errors", "theory_ratios")
PAPER = tuple(str(number) for number in range(1, 11))
NEIGHBOURS = ("low-rank-attack", "low-rank-training", "joint-surface")
NAMES = (*PAPER, *NEIGHBOURS, "theory")
FORMATS = ("pdf", "png", "svg")
RECORD = "record"


@click.command()
@click.argument("names", metavar="[NAME]...", nargs=-1)
@click.option(
    "--runs",
    type=click.Path(file_okay=False, path_type=Path),
    show_default="the numbers on record",
    help="Draw from runs: the paper's figures from those of `refimpl reproduce --out RUNS`.",
)
@click.option("--reading", default="literal", show_default=True, help="Whose runs, by the name of a reading.")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("pictures"),
    show_default=True,
    help="Folder for the pictures and their CSV files.",
)
@click.option(
    "--format",
    "formats",
    type=click.Choice(FORMATS),
    multiple=True,
    default=("pdf", "png"),
    show_default=True,
    help="May be given more than once.",
)
def figures(names: tuple[str, ...], runs: Path | None, reading: str, out: Path, formats: tuple[str, ...]) -> None:
    """Draw figures, each with the numbers it shows as a CSV file beside it; nothing is trained.

    NAME is the number of a figure of the paper, 1 to 10; `low-rank-attack`, low-rank PGD beside PGD in the l_2 ball;
    `low-rank-training`, low-rank nets under attack beside full ones; `joint-surface`, the accuracy over the radii of
    perturbed inputs and weights; or `theory`: Theorem 1 in the plane, the error under attack against the budget, and
    how often projecting helps. Without a NAME, all; beside --runs, the paper's and `theory`.
    """
    for name in names:
        if name not in NAMES:
            raise UsageError(f"no figure is called {name!r}: choose of {', '.join(NAMES)}")
    from .drawing import styled

    for name in names or ((*PAPER, "theory") if runs else NAMES):
        with styled():
            for drawing in _theory() if name == "theory" else _from_runs(name, runs, reading):
                for path in drawing.save(out, formats):
                    click.echo(path)


def _theory() -> Iterator["Drawing"]:
    for module in THEORY:
        yield importlib.import_module(f".{module}", __package__).draw()


def _from_runs(name: str, runs: Path | None, reading: str) -> Iterator["Drawing"]:
    """One of the paper's figures, by its number, in a reading; or one of a neighbouring method."""
    from .drawing import Drawing, read_csv
    from .finished import Finished

    module = f".figure_{name}" if name in PAPER else f".{name.replace('-', '_')}"
    figure = importlib.import_module(module, __package__).FIGURE
    title = f"{figure.name}-{reading}" if name in PAPER else figure.name
    if runs:
        columns = figure.collect(Finished(runs, reading) if name in PAPER else runs)
    else:
        recorded = files(__package__) / RECORD / f"{title}.csv"
        if not recorded.is_file():
            raise DataError(f"there is no record of figure {name} in the reading {reading!r}: name --runs")
        columns = read_csv(recorded.read_text())
    yield Drawing(title, figure.draw(columns), columns)
