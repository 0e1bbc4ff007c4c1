"""refimpl runs"""

from pathlib import Path
from typing import Any

import click

from refimpl.errors import RefimplError
from refimpl.runs.folder import Run, list_runs

from . import options
from .console import note, percent, report, table


@click.command()
@click.argument("root", type=options.FOLDER, default=Path("runs"))
@options.as_json()
def runs(root: Path, as_json: bool) -> None:
    """List the runs under ROOT (default: runs)."""
    rows = [_row(run) for run in list_runs(root)]
    if as_json:
        report({"runs": rows})
    elif rows:
        columns = ("run", "status", "dataset", "seed", "epochs", "test accuracy")
        table(columns, [tuple(str(cell) for cell in _cells(row)) for row in rows])
    else:
        note(f"no runs under {root}; `refimpl train --arch fcnn` makes one")


def _row(run: Run) -> dict[str, Any]:
    """A damaged run is listed with what is wrong with it."""
    try:
        config, history = run.config, run.history
        last = history[-1] if history else {}
        return {
            "run": str(run.folder),
            "status": run.status,
            "arch": config.arch,
            "dataset": config.dataset,
            "seed": config.seed,
            "epoch": len(history),
            "epochs": config.epochs,
            "accuracy": last.get("accuracy"),
        }
    except RefimplError as error:
        return {"run": str(run.folder), "status": f"damaged: {error}"}


def _cells(row: dict[str, Any]) -> tuple[Any, ...]:
    if "epoch" not in row:
        return row["run"], row["status"], "", "", "", ""
    accuracy = "" if row["accuracy"] is None else percent(row["accuracy"])
    return row["run"], row["status"], row["dataset"], row["seed"], f"{row['epoch']}/{row['epochs']}", accuracy
