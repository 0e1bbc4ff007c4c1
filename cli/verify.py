"""refimpl verify"""

import os
import tempfile
import time
from collections import Counter
from concurrent.futures import BrokenExecutor, Future, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from refimpl.atomic import write_text
from refimpl.backend import backend as make_backend
from refimpl.errors import RefimplError, UsageError, VerdictError

from . import options
from .console import Bar, note, out, report, table
from .executors import processes
from .session import blas_threads, sigterm_interrupts
from .verify_html import measurements, numbers, outcome, page

GRADIENTS = "gradients"
START_SECONDS, SECONDS_PER_EXAMPLE = 3.0, 2e-3  # measured on one core


@dataclass(frozen=True)
class Options:
    names: tuple[str, ...]
    examples: int
    seed: int
    jobs: int | None
    html: Path | None
    backend: str
    as_json: bool


def complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Statement names for the shell; they are read from modules that need hypothesis, so only now."""
    from refimpl.theory.statements import STATEMENTS

    return [name for name in (*(s.name for s in STATEMENTS), GRADIENTS) if name.startswith(incomplete)]


@click.command()
@click.argument("names", metavar="[NAME]...", nargs=-1, shell_complete=complete)
@click.option(
    "--examples", type=click.IntRange(min=1), default=2000, show_default=True, help="Number of examples per claim."
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of the examples.")
@click.option("--jobs", type=click.IntRange(min=1), show_default="one a core", help="Number of processes.")
@click.option("--html", type=click.Path(dir_okay=False, path_type=Path), help="Also write the report as a web page.")
@options.backend()
@options.as_json()
def verify(**given: Any) -> None:
    """Try to refute the paper, statement by statement; show the smallest counterexample found.

    NAME is a statement's name or its beginning (theorem-1, appendix-b), or `gradients`: every derivative written by
    hand against difference quotients and, where it is installed, autograd. Without a NAME, everything. Some
    statements of the paper are expected to be refuted as printed and to hold as corrected. The exit code is 5 where a
    claim that should hold, a correction or a derivative is wrong.
    """
    from refimpl.theory.statements import STATEMENTS, named

    asked = Options(**given | {"backend": given["backend"] or "numpy"})
    if asked.html and not asked.html.parent.is_dir():
        raise UsageError(f"--html {asked.html}: there is no folder {asked.html.parent}")
    where = make_backend(asked.backend, small=True).name  # examples are; or an error, before any process starts
    wanted = tuple(name for name in asked.names if name != GRADIENTS)
    chosen = [s.name for s in named(STATEMENTS, wanted)] if wanted or not asked.names else []
    started = time.monotonic()
    with sigterm_interrupts():
        statements, gradients = compute(asked, chosen, not asked.names or GRADIENTS in asked.names)
    summary = summarize(statements, gradients) | {"seconds": round(time.monotonic() - started, 1)}
    found = {
        "backend": where, "examples": asked.examples, "seed": asked.seed,
        "statements": statements, "gradients": gradients, "summary": summary,
    }  # fmt: skip
    if asked.html:
        write_text(asked.html, page(found, summary_lines(summary, asked.examples)))
        note(f"the report is in {asked.html}")
    if asked.as_json:
        report(found)
    else:
        show(statements, gradients)
        out.print("\n" + "\n".join(summary_lines(summary, asked.examples)), soft_wrap=True, markup=False)
    if wrong := [row["name"] for row in statements + gradients if row["as_expected"] is False]:
        raise VerdictError(f"{len(wrong)} of {len(statements + gradients)} verdicts are wrong: {', '.join(wrong)}")


def compute(asked: Options, chosen: list[str], gradients: bool) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Verdicts in the order of `chosen`, and the rows of the derivatives.

    Always in processes of their own: what hypothesis draws depends on the modules loaded, so that only there are the
    results the same for any number of processes.
    """
    if not chosen:
        return [], check_gradients(asked.backend, asked.seed)
    jobs = min(asked.jobs or os.cpu_count() or 1, len(chosen))
    note(expectation(len(chosen), asked.examples, jobs))
    with tempfile.TemporaryDirectory() as folder, processes(jobs) as pool:
        verdicts = [pool.submit(judge_one, name, asked.backend, asked.examples, asked.seed, folder) for name in chosen]
        rows = pool.submit(check_gradients, asked.backend, asked.seed) if gradients else None
        names = dict(zip(verdicts, chosen, strict=True))
        with Bar("verifying", len(chosen), "statements") as bar:
            for done, future in enumerate(as_completed(verdicts), start=1):
                _result(future)
                bar.update(done, names[future])
        return [_result(future) for future in verdicts], _result(rows) if rows else []


def judge_one(name: str, backend: str, examples: int, seed: int, folder: str) -> dict[str, Any]:
    """The verdict on one statement, as plain data; `folder` takes the files that hypothesis writes."""
    from refimpl.theory.statements import STATEMENTS, judge, keep_files_in

    keep_files_in(Path(folder))
    (statement,) = (s for s in STATEMENTS if s.name == name)
    with blas_threads(1):
        return judge(statement, make_backend(backend), examples, seed).as_dict()


def check_gradients(backend: str, seed: int) -> list[dict[str, Any]]:
    from refimpl.theory.gradcheck import compare

    with blas_threads(1):
        return [vars(row) | {"as_expected": row.as_expected} for row in compare(make_backend(backend), seed)]


def _result(future: Future[Any]) -> Any:
    try:
        return future.result()
    except BrokenExecutor:
        raise RefimplError("a process was killed, perhaps because memory ran out: try fewer --jobs") from None


def expectation(statements: int, examples: int, jobs: int) -> str:
    """An estimate of the time it takes, in words."""
    seconds = START_SECONDS + SECONDS_PER_EXAMPLE * statements * examples / jobs
    words = f"{round(seconds)} seconds" if seconds < 90 else f"{round(seconds / 60)} minutes"
    return f"{statements} statements, {examples} examples each, in {jobs} processes: about {words}"


def summarize(statements: list[dict[str, Any]], gradients: list[dict[str, Any]]) -> dict[str, Any]:
    outcomes = Counter(row["outcome"] for row in statements)
    return {
        "hold": outcomes["holds"],
        "refuted_as_expected": outcomes["holds as corrected"],
        "not_refuted": outcomes["not refuted"],
        "unexpected": outcomes["refuted"],
        "derivatives": len(gradients),
        "derivatives_wrong": sum(not row["as_expected"] for row in gradients),
    }


def summary_lines(summary: dict[str, Any], examples: int) -> list[str]:
    """Three: statements, derivatives, time."""
    statements = derivatives = "not asked for"
    if any(summary[key] for key in ("hold", "refuted_as_expected", "not_refuted", "unexpected")):
        undecided = f", {n} not refuted with {examples} examples" if (n := summary["not_refuted"]) else ""
        statements = (
            f"{summary['hold']} hold, {summary['refuted_as_expected']} refuted as expected and hold as"
            f" corrected{undecided}, {summary['unexpected']} unexpected"
        )
    if summary["derivatives"]:
        derivatives = f"{summary['derivatives']} comparisons, {summary['derivatives_wrong']} wrong"
    return [f"statements: {statements}", f"derivatives: {derivatives}", f"{summary['seconds']:.0f} seconds"]


def show(statements: list[dict[str, Any]], gradients: list[dict[str, Any]]) -> None:
    if statements:
        rows = [(row["name"], row["location"], outcome(row), row["claim"]) for row in statements]
        table(("statement", "where", "verdict", "claim"), rows, words=4)
    for row in statements:
        if row["counterexample"]:
            out.print(f"\n{row['name']}, as claimed: {row['claim']}", soft_wrap=True, markup=False)
            out.print(f"  but with {numbers(row['counterexample'])}", soft_wrap=True, markup=False)
            out.print(f"  {measurements(row)}", soft_wrap=True, markup=False)
            if row["correction"]:
                out.print(f"  {row['outcome']}: {row['correction']}", soft_wrap=True, markup=False)
    if gradients:
        if statements:
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
