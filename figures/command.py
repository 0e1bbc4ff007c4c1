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
SURFACE = "joint-surface"
NAMES = (*PAPER, "theory", SURFACE)
FORMATS = ("pdf", "png", "svg")
RECORD = "record"


@click.command()
@click.argument("names", metavar="[NAME]...", nargs=-1)
@click.option(
    "--runs",
    type=click.Path(file_okay=False, path_type=Path),
    show_default="the numbers on record",
    help="Draw the paper's figures from the runs of `refimpl reproduce --out RUNS`, joint-surface from those under"
    " RUNS that `refimpl attack --attack joint` attacked.",
)
@click.option("--reading", default="literal", show_default=True, help="Whose runs: literal or adam (fcnn only).")
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

    NAME is the number of a figure of the paper, 1 to 10, or `theory`: Theorem 1 in the plane, the error under attack
    against the budget, and how often projecting helps; or `joint-surface`: the accuracy over the radii of perturbed
    inputs and weights. Without a NAME, all but the last.
    """
    for name in names:
        if name not in NAMES:
            raise UsageError(f"no figure is called {name!r}: choose of {', '.join(NAMES)}")
    from .drawing import styled

    for name in names or (*PAPER, "theory"):
        with styled():
            for drawing in _drawings(name, runs, reading):
                for path in drawing.save(out, formats):
                    click.echo(path)


def _drawings(name: str, runs: Path | None, reading: str) -> Iterator["Drawing"]:
    if name == "theory":
        return _theory()
    return _surface(runs) if name == SURFACE else _paper(name, runs, reading)


def _theory() -> Iterator["Drawing"]:
    for module in THEORY:
        yield importlib.import_module(f".{module}", __package__).draw()


def _paper(number: str, runs: Path | None, reading: str) -> Iterator["Drawing"]:
    from .drawing import Drawing, read_csv
    from .finished import Finished

    figure = importlib.import_module(f".figure_{number}", __package__).FIGURE
    name = f"{figure.name}-{reading}"
    if runs:
        columns = figure.collect(Finished(runs, reading))
    else:
        recorded = files(__package__) / RECORD / f"{name}.csv"
        if not recorded.is_file():
            raise DataError(f"there is no record of figure {number} in the reading {reading!r}: name --runs")
        columns = read_csv(recorded.read_text())
    yield Drawing(name, figure.draw(columns), columns)


def _surface(runs: Path | None) -> Iterator["Drawing"]:
    from .drawing import Drawing, read_csv
    from .joint_surface import collect, draw

    recorded = files(__package__) / RECORD / f"{SURFACE}.csv"
    columns = collect(runs) if runs else read_csv(recorded.read_text())
    yield Drawing(SURFACE, draw(columns), columns)
