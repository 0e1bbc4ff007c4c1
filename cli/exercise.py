"""refimpl exercise"""

import sys
from contextlib import nullcontext, redirect_stdout
from pathlib import Path

import click

from refimpl.errors import UsageError, VerdictError
from refimpl.exercises import EXERCISES, CheckResult, Exercise, check, solved, write

from . import options
from .console import command, note, out, printable, report, table
from .derived import Name


@click.command()
@click.argument("name", required=False, metavar="[NAME]", type=Name(EXERCISES.names))
@click.option(
    "--file", "path", type=click.Path(dir_okay=False, path_type=Path),
    help="The file.  [default: NAME.py in this folder]",
)  # fmt: skip
@click.option("--solution", is_flag=True, help="Print the file with a solution, and write none.")
@options.as_json()
def exercise(name: str | None, path: Path | None, solution: bool, as_json: bool) -> None:
    """List the exercises; write the file of one; check what was written into it.

    The first call with a NAME writes a file with the question and a hole, later ones run the file and hold its function
    against difference quotients, autograd where it is installed, and statements. A wrong answer gets a hint.
    The file is never overwritten. Exit code 5 if the check fails.
    """
    if name is None:
        if path or solution:
            raise UsageError(f"--{'file' if path else 'solution'} needs the NAME of an exercise")
        _list(as_json)
        return
    chosen = EXERCISES[name]
    if solution:
        if path:
            raise UsageError("--solution writes no file: leave --file out")
        _solution(chosen, as_json)
        return
    path = path or Path(f"{name}.py")
    if path.exists():
        _check(chosen, path, as_json)
        return
    write(chosen, path)
    if as_json:
        report({"exercise": name, "file": str(path), "written": True})
        return
    again = command("exercise", name, *(("--file", path) if path != Path(f"{name}.py") else ()))
    out.print(printable(f"{path}: {chosen.title}; fill the hole, then {again} checks it"), soft_wrap=True, markup=False)


def _list(as_json: bool) -> None:
    if as_json:
        report({"exercises": [{"name": n, "title": one.title, "where": one.where} for n, one in EXERCISES.items()]})
        return
    table(("exercise", "what to write"), [(n, one.title) for n, one in EXERCISES.items()], words=2)
    note("`refimpl exercise NAME` writes the file of one; again, it checks what you wrote")


def _solution(chosen: Exercise, as_json: bool) -> None:
    if as_json:
        report({"exercise": chosen.name, "solution": solved(chosen)})
    else:
        click.echo(solved(chosen), nl=False)


def _check(chosen: Exercise, path: Path, as_json: bool) -> None:
    with redirect_stdout(sys.stderr) if as_json else nullcontext():
        found = check(chosen, path)
    if as_json:
        rows = [{"against": row.against, "passed": row.passed, "error": row.error} for row in found.rows]
        report({"exercise": chosen.name, "file": str(path), "written": False, "passed": found.passed, "rows": rows,
                "problem": found.problem, "hint": found.hint})  # fmt: skip
    else:
        _show(found, chosen, path)
    if not found.passed:
        raise VerdictError(found.problem)


def _show(found: CheckResult, chosen: Exercise, path: Path) -> None:
    verdicts = {True: "passed", False: "failed", None: "not tried"}
    rows = [(row.against, verdicts[row.passed], "" if row.error is None else f"{row.error:.1e}") for row in found.rows]
    if rows:
        table(("held against", "verdict", "largest error"), rows, words=2)
    if found.passed:
        out.print(printable(f"{path}: passed; the library has it in {chosen.where}"), soft_wrap=True, markup=False)
    if found.hint:
        out.print(printable(f"hint: {found.hint}"), soft_wrap=True, markup=False)
