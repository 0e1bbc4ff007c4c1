"""refimpl reproduce"""

import shlex
from collections.abc import Sequence
from concurrent.futures import as_completed
from pathlib import Path
from typing import Any

import click

from refimpl.atomic import write_text
from refimpl.data import REGISTRY, find
from refimpl.errors import DataError, UsageError, VerdictError
from refimpl.experiments import (
    ASSUMPTIONS,
    JUDGED,
    PROFILES,
    TOLERANCE,
    TOLERANCE_REASON,
    Experiment,
    contrary,
    methods_of,
    plans,
    record,
    results,
    schedule,
)
from refimpl.experiments.costs import costs
from refimpl.experiments.run_experiment import RESULT
from refimpl.experiments.tables import (
    claim_in_words,
    claims_in_words,
    costs_in_words,
    effects_and_costs,
    numbers_in_words,
    of_paper,
)
from refimpl.experiments.verdict import Comparison, compare, verdict
from refimpl.runs.presets import PAPERS
from refimpl.runs.results import to_json

from . import options
from .console import Bar, count, note, out, percent, printable, report, table
from .executors import cluster, interrupted, processes
from .main import INTERRUPTED
from .session import sigterm_interrupts


@click.command()
@click.option(
    "--profile", type=click.Choice(list(PROFILES)), default="quick", show_default=True,
    help="; ".join(f"{name}: {profile.words}" for name, profile in PROFILES.items()) + ".",
)  # fmt: skip
@click.option("--arch", "archs", type=click.Choice(PAPERS), multiple=True, help="One half only. [default: both]")
@click.option(
    "--assumption", "assumptions", type=click.Choice(sorted({name for of in ASSUMPTIONS.values() for name in of})),
    multiple=True,
    help="Where the paper is silent. [default: {}; and one that fits as well as any, {}]".format(*JUDGED),
)  # fmt: skip
@click.option(
    "--method", "methods", type=click.Choice(sorted({name for arch in PAPERS for name in methods_of(arch)})),
    multiple=True, help="These rows only, beside natural training. [default: all]",
)  # fmt: skip
@click.option("--seeds", type=options.integers(), help="Instead of the profile's: 0,1,2.")
@click.option(
    "--out", "root", type=options.FOLDER, default=Path("reproduction"), show_default=True, help="Folder of the runs."
)
@click.option(
    "--jobs", type=click.IntRange(min=1), show_default="one a core", help="Processes side by side, a core each."
)
@click.option(
    "--scheduler",
    help="Address of a running Dask scheduler, tcp://host:8786, instead of --jobs; its workers must see --out.",
)
@click.option("--only", metavar="RUN", help="One run by itself, by the name that --list gives it, and no verdict.")
@click.option(
    "--list", "as_list", is_flag=True,
    help="Do nothing, but print a command for each run, which also continues it, and the run it must come after.",
)  # fmt: skip
@click.option(
    "--contrary", is_flag=True,
    help="Instead the evidence of others against the paper: their methods beside its, at two budgets each.",
)  # fmt: skip
@options.data_dir()
@options.as_json()
def reproduce(**given: Any) -> None:
    """Run the paper's experiments and write a verdict for each number of its tables and each of its claims.

    Every run is a run folder under --out. Fully connected nets that start from one run are trained in a stack, many in
    one step; by rounding they differ from those that --only trains one by one. What is done is not done again, what was
    interrupted goes on: the same command continues. Writes verdict.json, of all runs under --out; the exit code is 5
    when it is worse than the verdict on record of the same profile, compared where method and seeds are the same.
    """
    root: Path = given["root"]
    if given["contrary"]:
        _contrary(given)
        return
    experiments = plans(given["profile"], given["archs"], given["assumptions"], given["seeds"] or (), given["methods"])
    if given["as_list"]:
        _list(experiments, given)
        return
    if given["only"]:
        experiments = [_named(given["only"], experiments)]
    if not given["scheduler"]:
        _check_data([one for one in experiments if not _done(root, one)], given["data_dir"])
    _run(experiments, given)
    if not given["only"]:
        _judge(experiments, given)
    _end(root, experiments)


def _end(root: Path, experiments: Sequence[Experiment]) -> None:
    """As interrupted where runs are not finished."""
    if missing := [one for one in experiments if not _done(root, one)]:
        note(f"{count(len(missing), 'run')} not finished: the same command continues")
        click.get_current_context().exit(INTERRUPTED)


def _contrary(given: dict[str, Any]) -> None:
    """Train, attack and show; what is done is not done again."""
    if any(given[name] for name in ("archs", "assumptions", "methods", "only", "as_list", "scheduler")):
        raise UsageError("--contrary has its own methods: beside it --profile, --seeds, --out and --jobs make sense")
    root, experiments = given["root"], contrary.plan(given["profile"], given["seeds"] or ())
    _check_data([one for one in experiments if not _done(root, one)], given["data_dir"])
    _run(experiments, given)
    _end(root, experiments)
    attacked = [one for one in experiments if one.source]
    with sigterm_interrupts(), processes(given["jobs"]) as pool, Bar("attacking", len(attacked), "runs") as bar:
        waiting = [pool.submit(contrary.contrast, root.resolve(), one, given["data_dir"]) for one in attacked]
        for done, future in enumerate(as_completed(waiting), start=1):
            future.result()
            bar.update(done)
    found = contrary.contrasted(root)
    write_text(root / contrary.RECORD, to_json(found) + "\n")
    if given["as_json"]:
        report(found)
    else:
        title, header, rows = contrary.table(found)
        table(header, rows, words=2)
        n = len(experiments)
        out.print(f"\nruns: {n} of {n} done, {found['core_hours']:.3g} core hours of training")
        out.print(
            f"budgets: eps {found['eps']:g}, and that over the product of spectral norms, relative to the control"
        )
        out.print(printable(f"{title}: in {root / contrary.RECORD}"), soft_wrap=True, markup=False)


def _named(name: str, experiments: Sequence[Experiment]) -> Experiment:
    for one in experiments:
        if one.name == name:
            return one
    raise UsageError(f"no run is called {name!r}: `refimpl reproduce --list` lists them, with the options that plan it")


def _done(root: Path, experiment: Experiment) -> bool:
    return (root / experiment.name / RESULT).is_file()


def _list(experiments: Sequence[Experiment], given: dict[str, Any]) -> None:
    """A command for each run, after those it depends on."""
    elsewhere = ["--data-dir", str(given["data_dir"])] if given["data_dir"] else []
    rows = []
    for one in experiments:
        chosen = {"profile": given["profile"], "arch": one.config.arch, "assumption": one.assumption,
                  "seeds": one.config.seed, "out": given["root"], "only": one.name}  # fmt: skip
        asked = [part for name, value in chosen.items() for part in (f"--{name}", str(value))]
        command = shlex.join(["refimpl", "reproduce", *asked, *elsewhere])
        rows.append({"run": one.name, "after": one.source, "done": _done(given["root"], one), "command": command})
    if given["as_json"]:
        report({"runs": rows})
    else:
        for row in rows:
            click.echo(row["command"] if row["after"] is None else f"{row['command']}  # after {row['after']}")


def _check_data(experiments: Sequence[Experiment], data_dir: Path | None) -> None:
    """Raise `DataError` where a data set is missing, before anything is written."""
    for name in dict.fromkeys(one.config.dataset for one in experiments):
        if name in REGISTRY and find(name, data_dir) is None:
            raise DataError(
                f"{name} was not found: name its folder by --data-dir or REFIMPL_DATA, or get it by"
                f" `refimpl data fetch {name}`; --profile smoke does without"
            )


def _run(experiments: Sequence[Experiment], given: dict[str, Any]) -> None:
    """All experiments, with a bar, and a line for each whose process died."""
    elsewhere = cluster(given["scheduler"]) if given["scheduler"] else processes(given["jobs"])
    with sigterm_interrupts(), elsewhere as executor, Bar("reproducing", len(experiments), "runs") as bar:
        done: list[str] = []

        def on_result(experiment: Experiment) -> None:
            done.append(experiment.name)
            bar.update(len(done), experiment.name)

        def on_loss(experiment: Experiment) -> None:
            note(f"the process of {experiment.name} died, perhaps killed for want of memory; the others go on")

        given["root"].mkdir(parents=True, exist_ok=True)
        data_dir = given["data_dir"] and given["data_dir"].resolve()  # workers elsewhere have other current folders
        try:
            schedule(experiments, given["root"].resolve(), executor, data_dir, on_result, on_loss)
        except KeyboardInterrupt:
            note(interrupted(given["scheduler"]))
            raise


def _judge(experiments: Sequence[Experiment], given: dict[str, Any]) -> None:
    """Write the verdict and show it. Raises `VerdictError` where it is worse than that on record."""
    root = given["root"]
    found = {"profile": given["profile"], **verdict(results(root)), "costs": costs(root)}
    write_text(root / "verdict.json", to_json(found) + "\n")
    recorded = record()
    against = compare(found, recorded) if recorded and recorded["profile"] == given["profile"] else None
    if given["as_json"]:
        report(found)
    else:
        show(found)
        done = sum(_done(root, one) for one in experiments)
        said = f"runs: {done} of {len(experiments)} done, {costs_in_words(found)}; they and verdict.json are in {root}"
        out.print(printable(said), soft_wrap=True, markup=False)
        out.print(f"numbers: {numbers_in_words(found)}", soft_wrap=True)
        out.print(f"claims: {claims_in_words(found)}; {_against(against)}", soft_wrap=True)
    if against and against.worse:
        raise VerdictError(f"worse than on record: {'; '.join(against.worse)}")


def _against(comparison: Comparison | None) -> str:
    if comparison is None:
        return "the record is of another profile: not compared"
    left = len(comparison.not_compared)
    return f"{len(comparison.worse)} of {comparison.compared} worse than on record, {left} not compared"


def show(found: dict[str, Any]) -> None:
    _show_numbers(found["numbers"])
    claims = [(row["claim"], row["dataset"], row["words"], claim_in_words(row)) for row in found["claims"]]
    table(("claim", "data", "the paper", "verdict"), claims, words=4)
    for _, header, rows in effects_and_costs(found):
        out.print()
        table(header, rows, words=4 if "verdict" in header else 2)
    out.print()


def _show_numbers(numbers: Sequence[dict[str, Any]]) -> None:
    """Beside the paper's where any are of its data."""
    compared = any(map(of_paper, numbers))
    rows = []
    for row in numbers:
        spread = "" if row["standard_deviation"] is None else f" ± {100 * row['standard_deviation']:.2f}"
        paper = "" if row["paper"] is None else percent(row["paper"])
        said = {None: "", True: "reproduced", False: "not reproduced"}[row["reproduced"]]
        rows.append(
            (row["arch"], row["dataset"], row["assumption"], row["method"], *((said, paper) if compared else ()),
             percent(row["mean"]) + spread, str(row["n"]))
        )  # fmt: skip
    theirs = ("accuracy", "paper", "ours") if compared else ("accuracy",)
    table(("net", "data", "assumption", "method", *theirs, "seeds"), rows, words=5 if compared else 4)
    if compared:
        out.print(f"reproduced: within {100 * TOLERANCE:g} points of the paper; {TOLERANCE_REASON}")
    out.print()
