"""refimpl verify"""

from pathlib import Path
from typing import Any

import click

from refimpl.atomic import write_text
from refimpl.backend import backend as make_backend
from refimpl.errors import UsageError, VerdictError
from refimpl.theory.gradcheck import compare

from . import options
from .console import Bar, note, out, report, table
from .session import blas_threads
from .verify_html import numbers, page, said

GRADIENTS = "gradients"


@click.command()
@click.argument("names", metavar="[NAME]...", nargs=-1)
@click.option(
    "--examples", type=click.IntRange(min=1), default=2000, show_default=True, help="How often each claim is tried."
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the examples.")
@click.option("--html", type=click.Path(dir_okay=False, path_type=Path), help="Also write the report as a web page.")
@options.backend()
@options.as_json()
def verify(
    names: tuple[str, ...], examples: int, seed: int, html: Path | None, backend: str | None, as_json: bool
) -> None:
    """Try to refute the paper, statement by statement; show the smallest counterexample found.

    NAME is a statement's name or its beginning (theorem-1, appendix-b), or `gradients`: every derivative written by
    hand against difference quotients and, where it is installed, autograd. Without a NAME, everything. Some
    statements of the paper are expected to fail as printed and to hold as corrected; the exit code is 5 when any
    verdict is not the expected one.
    """
    from refimpl.theory.statements import STATEMENTS, judge, named

    if html and not html.parent.is_dir():
        raise UsageError(f"--html {html}: there is no folder {html.parent}")
    where = make_backend(backend or "numpy")
    chosen = named(STATEMENTS, tuple(name for name in names if name != GRADIENTS)) if set(names) != {GRADIENTS} else []
    verdicts: list[dict[str, Any]] = []
    gradients: list[dict[str, Any]] = []
    with blas_threads(1):
        if chosen:
            with Bar("verifying", len(chosen), "statements") as bar:
                for done, statement in enumerate(chosen, start=1):
                    verdicts.append(judge(statement, where, examples, seed).record())
                    bar.update(done, statement.name)
        if not names or GRADIENTS in names:
            gradients = [vars(row) | {"as_expected": row.as_expected} for row in compare(where, seed)]
    found = {"backend": where.name, "examples": examples, "seed": seed, "statements": verdicts, "gradients": gradients}
    if html:
        write_text(html, page(found))
        note(f"the report is in {html}")
    if as_json:
        report(found)
    else:
        show(verdicts, gradients)
    wrong = [row["name"] for row in verdicts + gradients if not row["as_expected"]]
    if wrong:
        raise VerdictError(
            f"{len(wrong)} of {len(verdicts + gradients)} verdicts are not the expected: {', '.join(wrong)}"
        )


def show(verdicts: list[dict[str, Any]], gradients: list[dict[str, Any]]) -> None:
    if verdicts:
        rows = [(row["name"], row["location"], said(row), row["claim"]) for row in verdicts]
        table(("statement", "where", "verdict", "claim"), rows, words=4)
    for row in verdicts:
        if row["counterexample"]:
            out.print(f"\n{row['name']}, as claimed: {row['claim']}", soft_wrap=True, markup=False)
            out.print(f"  but with {numbers(row['counterexample'])}", soft_wrap=True, markup=False)
            out.print(f"  {numbers(row['measured'])}", soft_wrap=True, markup=False)
            if row["correction"]:
                out.print(f"  {row['verdict']}: {row['correction']}", soft_wrap=True, markup=False)
    if gradients:
        if verdicts:
            out.print()
        table(
            ("derivative", "where", "against", "relative error", "allowed", ""),
            [
                (row["name"], row["location"], row["against"], f"{row['relative_error']:.1e}",
                 f"{row['tolerance']:.0e}", "" if row["as_expected"] else "WRONG")
                for row in gradients
            ],
            words=3,
        )  # fmt: skip
