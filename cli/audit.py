"""refimpl audit"""

from collections import Counter
from collections.abc import Sequence
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import click

from refimpl.atomic import make_folder, write_text
from refimpl.audit import CHECKS, AuditSettings
from refimpl.audit import audit as audited
from refimpl.audit.of_run import as_result, siblings, subject_of
from refimpl.audit.run_checks import expected_seconds
from refimpl.errors import DataError, UsageError, VerdictError
from refimpl.runs.results import to_json
from refimpl.settings import kinds

from . import options
from .console import Bar, count, note, out, percent, printable, report, table, warn
from .derived import Option, option_of
from .help import SectionedCommand
from .session import blas_threads, open_run

AUDIT = "Audit"
PAGES = "refimpl.pages"
"""The entry-point group of pages: functions from a result to HTML."""
COLOURS = ("red", "amber", "green", "grey")
SLOW = 20.0
"""Seconds above which the duration is told first."""

OWN = [
    Option(
        ["--seed-run", "seed_runs"], type=options.RUN, multiple=True, section="Other nets",
        show_default="those beside RUN", help="A run of the same training from another seed; may be given again.",
    ),
    Option(
        ["--natural-run", "natural_runs"], type=options.RUN, multiple=True, section="Other nets",
        show_default="those beside RUN", help="A naturally trained run of the same net and data; may be given again.",
    ),
]  # fmt: skip


def _audit(runs: tuple[Path, ...], as_json: bool, **given: Any) -> None:
    """Audit the robustness of the net in each RUN: is the number that attacks give to be trusted?

    Checks that the net is what attacks take it for, that attacks do what they should, that none but the strongest is
    needed, and that nothing contradicts what is proved. One line a check: green; amber, to be looked at or not done;
    red; grey, without a verdict. Writes RUN/audit.json, with a row for each attack and each example, and
    RUN/audit.html, with pictures; of zoo:NAME only where --out says. The exit code is 5 where a check is red.
    """
    values = {option.path[0]: given[str(option.name)] for option in _derived()}
    settings = AuditSettings(**{name: value for name, value in values.items() if value is not None})
    named = {"seed": given["seed_runs"], "natural": given["natural_runs"]}
    if given["out"] and len(set(runs)) > 1:
        raise UsageError(f"--out takes the audit of one run, got {len(set(runs))}: audit them one by one")
    results = [_audited(folder, settings, named, given) for folder in dict.fromkeys(runs)]
    if as_json:
        report({"audits": results})
    else:
        for result in results:
            show(result)
    red = [f"{result['run']}: {', '.join(_of(result, 'red'))}" for result in results if _of(result, "red")]
    if red:
        raise VerdictError(f"red checks of {'; '.join(red)}")


def _derived() -> list[Option]:
    return [option_of(one, kind, one.name, section=AUDIT, path=(one.name,)) for one, kind in kinds(AuditSettings)]


def _parameters() -> list[click.Parameter]:
    runs = click.Argument(["runs"], metavar="RUN...", type=options.RUN, nargs=-1, required=True)
    return [
        runs,
        *_derived(),
        *OWN,
        *options.parameters(options.where, options.out("audit.json and audit.html"), options.as_json()),
    ]


audit = SectionedCommand("audit", callback=_audit, derive=_parameters, help=_audit.__doc__)


def _audited(
    folder: Path, settings: AuditSettings, named: dict[str, tuple[Path, ...]], where: dict[str, Any]
) -> dict[str, Any]:
    """The audit of one run as plain data, saved beside it where that can be written."""
    run = open_run(folder, where)
    assert run.run is not None, "it was opened from its files"
    found = siblings(run.run, warn)
    paths = [
        (kind, path)
        for kind, given in named.items()
        for path in (given or [other for which, other in found if which == kind])
    ]
    subject = subject_of(run, settings, [(kind, open_run(path, where)) for kind, path in paths])
    with blas_threads(run.config.blas_threads):
        seconds = expected_seconds(subject)
        if seconds > SLOW:
            note(f"{folder}: {count(subject.n, 'image')}, about {count(max(1, round(seconds / 60)), 'minute')}")
        with Bar(f"auditing {run.name}", len(CHECKS.names()), "checks") as bar:
            result = as_result(run, audited(subject, progress=bar.update))
    save(where["out"] or run.folder, result)
    return result


def save(folder: Path | None, result: dict[str, Any]) -> None:
    """One line where nothing can be written, as in a course's read-only runs, and of zoo:NAME without --out."""
    if folder is None:
        note(f"{result['run']} is read only: --out names a folder for the audit")
        return
    (page,) = entry_points(group=PAGES, name="audit")
    try:
        make_folder(folder)
        write_text(folder / "audit.json", to_json(result) + "\n")
        write_text(folder / "audit.html", page.load()(result))
    except DataError as error:
        warn(f"the audit could not be saved: {error}")
        return
    note(f"{folder / 'audit.html'}, and audit.json beside it, have the details")


def show(result: dict[str, Any]) -> None:
    rows = [(one["check"], one["colour"], one["value"], one["reason"]) for one in result["checks"]]
    table(("check", "verdict", "finding", "reason"), rows, words=4)
    for colour in ("red", "amber"):
        for one in result["checks"]:
            if one["colour"] == colour and one["todo"]:
                out.print(printable(f"{colour}, {one['check']}: {one['todo']}"), soft_wrap=True, markup=False)
    for line in summary_lines(result):
        out.print(printable(line), soft_wrap=True, markup=False)


def summary_lines(result: dict[str, Any]) -> Sequence[str]:
    low, high = result["robust_accuracy_interval_95"]
    colours = Counter(one["colour"] for one in result["checks"])
    counts = ", ".join(f"{colours[colour]} {colour}" for colour in COLOURS if colours[colour])
    robust = f"{percent(result['robust_accuracy'])} ({100 * low:.2f} to {100 * high:.2f} %, 95 % interval)"
    attacks = f"{len(result['attacks'])} attacks, eps {result['settings']['eps']:g}"
    return (
        f"{result['run']}: robust accuracy {robust} of {result['n']} images in the worst case of {attacks};"
        f" accuracy {percent(result['accuracy'])}",
        f"{len(result['checks'])} checks: {counts}; {result['seconds']:.0f} seconds",
    )


def _of(result: dict[str, Any], colour: str) -> list[str]:
    return [one["check"] for one in result["checks"] if one["colour"] == colour]
