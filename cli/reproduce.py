"""refimpl reproduce"""

from pathlib import Path
from typing import Any

import click
from refimpl.networks.architectures import PAPERS

from refimpl.atomic import write_text
from refimpl.errors import VerdictError
from refimpl.experiments import (
    CONTROL,
    JUDGED,
    PROFILES,
    READINGS,
    SOURCE,
    TOLERANCE,
    TOLERANCE_REASON,
    Experiment,
    plan,
    record,
    results,
    schedule,
)
from refimpl.experiments.verdict import verdict, worse
from refimpl.runs.presets import METHODS
from refimpl.runs.results import to_json

from . import options
from .console import Bar, note, out, percent, report, table
from .executors import cluster, processes


@click.command()
@click.option(
    "--profile", type=click.Choice(list(PROFILES)), default="quick", show_default=True,
    help="; ".join(f"{name}: {profile.words}" for name, profile in PROFILES.items()) + ".",
)  # fmt: skip
@click.option("--arch", "archs", type=click.Choice(PAPERS), multiple=True, help="One half only. [default: both]")
@click.option(
    "--reading", "readings", type=click.Choice(sorted({name for of in READINGS.values() for name in of})),
    multiple=True,
    help="How the paper is read where it is silent. [default: literal; and what fits best, adam-long or half-clean]",
)  # fmt: skip
@click.option(
    "--method", "methods", type=click.Choice([CONTROL, *sorted({name for of in METHODS.values() for name in of})]),
    multiple=True, help="These rows only, beside natural training. [default: all]",
)  # fmt: skip
@click.option("--seeds", type=options.Numbers(int), help="Instead of the profile's: 0,1,2.")
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
@options.data_dir()
@options.as_json()
def reproduce(
    profile: str,
    archs: tuple[str, ...],
    readings: tuple[str, ...],
    methods: tuple[str, ...],
    seeds: tuple[int, ...] | None,
    root: Path,
    jobs: int | None,
    scheduler: str | None,
    data_dir: Path | None,
    as_json: bool,
) -> None:
    """Run the paper's experiments and write a verdict for each number of its tables and each of its claims.

    Every run is a run folder under --out. What is done is not done again, what was interrupted goes on: the same
    command continues. Writes verdict.json, of all runs under --out; the exit code is 5 when it is worse than the
    verdict on record of the same profile.
    """
    experiments = [
        experiment
        for arch in archs or PAPERS
        for reading in readings or JUDGED[arch]
        if reading in READINGS[arch]
        for experiment in plan(profile, arch, [reading], seeds=seeds or ())
        if not methods or experiment.method in (SOURCE, *methods)
    ]
    root.mkdir(parents=True, exist_ok=True)
    elsewhere = cluster(scheduler) if scheduler else processes(jobs)
    with elsewhere as executor, Bar("reproducing", len(experiments), "runs") as bar:
        done: list[str] = []

        def on_result(experiment: Experiment) -> None:
            done.append(experiment.name)
            bar.update(len(done), experiment.name)

        schedule(experiments, root.resolve(), executor, data_dir, on_result)
    found = {"profile": profile, **verdict(results(root))}
    write_text(root / "verdict.json", to_json(found) + "\n")
    if as_json:
        report(found)
    else:
        show(found)
    note(f"the runs and verdict.json are in {root}")
    recorded = record()
    if recorded and recorded["profile"] == profile and (fallen := worse(found, recorded)):
        raise VerdictError(f"worse than on record: {'; '.join(fallen)}")


def show(found: dict[str, Any]) -> None:
    rows = []
    for row in found["numbers"]:
        spread = "" if row["standard_deviation"] is None else f" ± {100 * row['standard_deviation']:.2f}"
        paper = "" if row["paper"] is None else percent(row["paper"])
        said = {None: "", True: "reproduced", False: "not reproduced"}[row["reproduced"]]
        rows.append(
            (row["arch"], row["reading"], row["method"], said, paper, percent(row["mean"]) + spread, str(row["n"]))
        )
    table(("net", "reading", "method", "accuracy", "paper", "ours", "seeds"), rows, words=4)
    out.print(f"reproduced: within {100 * TOLERANCE:g} points of the paper; {TOLERANCE_REASON}")
    out.print()
    claims = [(row["claim"], row["words"], row["verdict"]) for row in found["claims"]]
    table(("claim", "the paper", "verdict"), claims, words=3)
    effects = [
        (row["claim"], effect["reading"], effect["effect"], effect["verdict"], f"{effect['mean']:+.3g}",
         "" if effect["n"] == 1 else "{:+.3g} to {:+.3g}".format(*effect["interval_95"]))
        for row in found["claims"] for effect in row["effects"]
    ]  # fmt: skip
    out.print()
    table(("claim", "reading", "effect", "verdict", "difference", "95 % interval over seeds"), effects, words=4)
