"""refimpl compare"""

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import click

from refimpl.atomic import write_text
from refimpl.runs.compare import PER_CENT, Comparison, Difference, Group, RunSummary, Spread, spreads
from refimpl.runs.compare import compare as beside

from . import options
from .console import note, percent, report, table

RATIOS = ("fooling_ratio", "robust_accuracy")
MEASURES = ("effective_rank", "effective_sparsity")
TITLES = {
    "fooling_ratio": "fooling ratio",
    "robust_accuracy": "robust accuracy",
    "effective_rank": "effective rank",
    "effective_sparsity": "effective sparsity",
}


@click.command()
@click.argument("folders", metavar="RUN...", type=options.RUN, nargs=-1, required=True)
@click.option(
    "--sort", metavar="COLUMN",
    help="Sort by a column of the CSV file, such as accuracy or fooling_ratio:pgd-eps0.05; -COLUMN from the greatest.",
)  # fmt: skip
@click.option("--group", is_flag=True, help="Mean and standard deviation of runs that differ only by seed.")
@click.option(
    "--against", metavar="RUN_OR_GROUP",
    help="Also paired differences by seed of every other group from this one, with 95 % Student intervals.",
)  # fmt: skip
@click.option("--csv", "csv_file", type=click.Path(dir_okay=False, path_type=Path), help="Write the table here, too.")
@options.as_json()
def compare(
    folders: tuple[Path, ...], sort: str | None, group: bool, against: str | None, csv_file: Path | None, as_json: bool
) -> None:
    """Put runs beside each other: accuracy, fooling ratios, effective rank and sparsity, weights, seconds.

    Compared are the attacks that all runs share, of equal settings and number of examples: `refimpl attack` makes
    them. Accuracy has its 95 % interval over test examples where `refimpl measure` has been run.
    """
    found = beside(list(dict.fromkeys(folders)), sort=sort, group=group, against=against)
    if csv_file:
        write_text(csv_file, _csv(found.rows()))
    if as_json:
        report(_plain(found))
        return
    _show_groups(found.groups) if found.groups else _show_runs(found.runs)
    if found.baseline:
        _show_differences(found.differences, found.baseline)
    for line in found.notes:
        note(line)


def _csv(rows: Sequence[dict[str, Any]]) -> str:
    """Rows of unequal keys: a cell without value is empty."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(dict.fromkeys(key for row in rows for key in row)), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _show_runs(runs: Sequence[RunSummary]) -> None:
    rows = []
    for run in runs:
        low, high = run.accuracy_interval or (None, None)
        accuracy = "" if run.accuracy is None else percent(run.accuracy)
        bounds = "" if low is None or high is None else f"{100 * low:.2f} to {100 * high:.2f} %"
        numbers = (str(run.seed), str(run.epochs), accuracy, bounds, f"{run.weights:,}", _value("seconds", run.seconds))
        rows.append((run.run, run.method, run.dataset, *numbers))
    header = ("run", "method", "data", "seed", "epochs", "accuracy", "95 % interval", "weights", "seconds")
    table(header, rows, words=3)
    values = [{name: _value(name, value) for name, value in run.quantities().items()} for run in runs]
    _show_quantities("run", [run.run for run in runs], values)


def _show_groups(groups: Sequence[Group]) -> None:
    found = [spreads(one) for one in groups]
    values = [{name: _mean(name, value) for name, value in one.items()} for one in found]
    rows = []
    for one, cells in zip(groups, values, strict=True):
        seeds, epochs = ",".join(map(str, one.seeds)), str(one.runs[0].epochs)
        rows.append((one.name, seeds, epochs, *(cells.get(name, "") for name in ("accuracy", "weights", "seconds"))))
    table(("group", "seeds", "epochs", "accuracy", "weights", "seconds"), rows)
    _show_quantities("group", [one.name for one in groups], values)
    note("mean ± standard deviation over seeds")


def _show_quantities(what: str, names: Sequence[str], values: Sequence[dict[str, str]]) -> None:
    """A table for each kind of quantity: fooling ratios by attack, effective ranks by layer, ..."""
    for kind in (*RATIOS, *MEASURES):
        keys = dict.fromkeys(key for row in values for key in row if key.startswith(f"{kind}:"))
        if keys:
            click.echo()
            rows = [(name, *(row.get(key, "") for key in keys)) for name, row in zip(names, values, strict=True)]
            table((f"{TITLES[kind]}, {what}", *(key.partition(":")[2] for key in keys)), rows)


def _show_differences(found: Sequence[Difference], baseline: Group) -> None:
    click.echo()
    rows = []
    for one in found:
        low, high = one.interval or (None, None)
        bounds = "" if low is None or high is None else f"{_signed(one.quantity, low)} to {_signed(one.quantity, high)}"
        name = one.quantity.replace("_", " ").replace(":", " ")
        rows.append((one.group, name, _signed(one.quantity, one.mean), bounds, ",".join(map(str, one.seeds))))
    table((f"minus {baseline.name}", "quantity", "difference", "95 % interval", "seeds"), rows, words=2)


def _kind(name: str) -> str:
    return name.partition(":")[0]


def _value(name: str, value: float | None) -> str:
    if value is None:
        return "undefined"
    if _kind(name) in PER_CENT:
        return percent(value)
    return f"{value:,.0f}" if name == "weights" else f"{value:.1f}" if name == "seconds" else f"{value:.2f}"


def _mean(name: str, one: Spread) -> str:
    if name == "weights" or one.standard_deviation is None:
        return _value(name, one.mean)
    if _kind(name) in PER_CENT:
        return f"{100 * one.mean:.2f} ± {100 * one.standard_deviation:.2f} %"
    return f"{_value(name, one.mean)} ± {_value(name, one.standard_deviation)}"


def _signed(name: str, value: float) -> str:
    if _kind(name) in PER_CENT:
        return f"{100 * value:+.2f} points"
    return f"{value:+,.0f}" if name == "weights" else f"{value:+.2f}"


def _plain(made: Comparison) -> dict[str, Any]:
    found: dict[str, Any] = {"runs": [_run(run) for run in made.runs]}
    if made.groups:
        found["groups"] = [_group(one) for one in made.groups]
    if made.baseline:
        found["baseline"] = made.baseline.name
        found["differences"] = [
            {"group": one.group, "quantity": one.quantity, "mean": one.mean, "interval_95": one.interval,
             "seeds": list(one.seeds)}
            for one in made.differences
        ]  # fmt: skip
    return found | {"notes": list(made.notes)}


def _run(run: RunSummary) -> dict[str, Any]:
    return {
        "run": run.run,
        "arch": run.arch,
        "method": run.method,
        "dataset": run.dataset,
        "seed": run.seed,
        "epochs": run.epochs,
        "accuracy": run.accuracy,
        "accuracy_interval_95": run.accuracy_interval,
        "attacks": [
            {"name": one.name, "eps": one.eps, "norm": one.norm, "n": one.n, "n_correct": one.n_correct,
             "n_fooled": one.n_fooled, "fooling_ratio": one.fooling_ratio, "robust_accuracy": one.robust_accuracy}
            for one in run.attacks
        ],
        "layers": [vars(layer) for layer in run.layers],
        "weights": run.weights,
        "seconds": run.seconds,
    }  # fmt: skip


def _group(group: Group) -> dict[str, Any]:
    found: Iterable[tuple[str, Spread]] = spreads(group).items()
    return {
        "group": group.name,
        "runs": [run.run for run in group.runs],
        "seeds": group.seeds,
        "quantities": {name: vars(one) for name, one in found},
    }
