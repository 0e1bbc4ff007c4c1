"""refimpl figures"""

import importlib
from pathlib import Path

import click

from refimpl.errors import UsageError

FIGURES = {"theory": ("theory_plane", "theory_errors", "theory_ratios")}
FORMATS = ("pdf", "png", "svg")


@click.command()
@click.argument("names", metavar="[NAME]...", nargs=-1)
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
def figures(names: tuple[str, ...], out: Path, formats: tuple[str, ...]) -> None:
    """Draw figures, each with the numbers it shows as a CSV file beside it.

    NAME is `theory`: Theorem 1 in the plane, the error under attack against the budget, and how often projecting
    helps. Without a NAME, all there are.
    """
    for name in names:
        if name not in FIGURES:
            raise UsageError(f"no figure is called {name!r}: choose of {', '.join(FIGURES)}")
    from .drawing import styled

    for name in names or FIGURES:
        for module in FIGURES[name]:
            with styled():
                drawing = importlib.import_module(f".{module}", __package__).draw()
                for path in drawing.save(out, formats):
                    click.echo(path)
