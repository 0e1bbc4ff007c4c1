"""refimpl figures"""

from pathlib import Path

import click
from click.shell_completion import CompletionItem

from refimpl.experiments import ASSUMPTIONS

from .base import FIGURES, in_order

FORMATS = ("pdf", "png", "svg")


def _complete(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    return [CompletionItem(name) for name in in_order(FIGURES.names()) if name.startswith(incomplete)]


@click.command()
@click.argument("names", metavar="[NAME]...", nargs=-1, shell_complete=_complete)
@click.option(
    "--runs",
    type=click.Path(file_okay=False, path_type=Path),
    show_default="the numbers on record",
    help="Draw from runs: the paper's figures from those of `refimpl reproduce --out RUNS`.",
)
@click.option(
    "--assumption",
    type=click.Choice(sorted({name for of in ASSUMPTIONS.values() for name in of})),
    default="literal",
    show_default=True,
    help="Whose runs of `refimpl reproduce`, by its name there.",
)
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
def figures(names: tuple[str, ...], runs: Path | None, assumption: str, out: Path, formats: tuple[str, ...]) -> None:
    """Draw figures, each with the numbers it shows as a CSV file beside it; nothing is trained.

    NAME is the number of a figure of the paper, 1 to 10; `low-rank-attack`, low-rank PGD beside PGD in the l_2 ball;
    `low-rank-training`, low-rank nets under attack beside full ones; `input-weight-surface`, the accuracy over the
    radii of perturbed inputs and weights; `sparsity-rank-map`, contours over the lambdas of l1 and nuclear norm of W1;
    `theory`: Theorem 1 in the plane, the error under attack against the budget, and how often projecting helps; or of a
    figure that a package adds. Without a NAME, all; beside --runs, the paper's and `theory`.
    """
    wanted = names or tuple(
        name for name, figure in FIGURES.items() if (figure.reproduces if runs else figure.on_record)
    )
    chosen = [FIGURES[name] for name in in_order(wanted)]
    from .drawing import styled

    for figure in chosen:
        with styled():
            for drawing in figure.drawings(runs, assumption):
                for path in drawing.save(out, formats):
                    click.echo(path)
