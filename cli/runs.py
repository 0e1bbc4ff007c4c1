"""refimpl runs"""

from pathlib import Path
from typing import Any

import click

from refimpl.errors import DataError, RefimplError
from refimpl.runs.compare import AttackCounts, read_attacks
from refimpl.runs.folder import Run, list_runs

from . import options
from .console import command, note, percent, report, table

DEFAULT = Path("runs")
NUMBERS = ("seed", "epochs", "test accuracy")
SHOWN = 3
"""Attacks of a run that the table names."""


@click.command()
@click.argument("root", type=options.FOLDER, required=False)
@options.as_json()
def runs(root: Path | None, as_json: bool) -> None:
    """List the runs under ROOT (default: runs): method, test accuracy, fooling ratios of attacks, why one failed."""
    if root and not root.is_dir():
        raise DataError(f"{root} does not exist; name a folder that runs are in")
    rows = [_row(run) for run in list_runs(root or DEFAULT)]
    if as_json:
        report({"runs": rows})
    elif rows:
        header = ("run", "status", "method", "dataset", "fooled by", *NUMBERS)
        table(header, [_cells(row) for row in rows], words=5)
    else:
        note(f"no runs under {root or DEFAULT}; {command('train', '--arch', 'fcnn')} makes one")


def _row(run: Run) -> dict[str, Any]:
    """A damaged run is listed with what is wrong with it, whatever its files hold."""
    try:
        config, history, status = run.config, run.history, run.status
        last = history[-1] if history else {}
        return {
            "run": str(run.folder),
            "status": status,
            "reason": run.manifest.get("reason") if status == "failed" else None,
            "arch": config.arch,
            "method": config.method,
            "dataset": config.dataset,
            "seed": config.seed,
            "epoch": len(history),
            "epochs": config.epochs,
            "accuracy": last.get("accuracy"),
            "attacks": [_attack(one) for one in read_attacks(run, len(history))],
        }
    except (RefimplError, OSError, ValueError) as error:
        return {"run": str(run.folder), "status": f"damaged: {error}"}
    except (LookupError, TypeError, AttributeError) as error:
        return {"run": str(run.folder), "status": f"damaged: its files hold other values than a run's ({error!r})"}


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    if "epoch" not in row:
        return row["run"], row["status"], "", "", "", "", "", ""
    status = f"{row['status']}: {row['reason']}" if row["reason"] else row["status"]
    accuracy = "" if row["accuracy"] is None else percent(row["accuracy"])
    epochs = f"{row['epoch']}/{row['epochs']}"
    numbers = (str(row["seed"]), epochs, accuracy)
    return row["run"], status, row["method"], row["dataset"], _fooled_by(row["attacks"]), *numbers


def _attack(one: AttackCounts) -> dict[str, Any]:
    ratios = {"fooling_ratio": one.fooling_ratio, "robust_accuracy": one.robust_accuracy}
    return {"attack": one.settings, "eps": one.eps, "n": one.n, **ratios}


def _fooled_by(attacks: list[dict[str, Any]]) -> str:
    """`fgsm 0.05: 34.50 %, pgd 0.05: 96.93 %, and 2 more`."""
    known = [one for one in attacks if one["fooling_ratio"] is not None]
    said = [
        f"{one['attack'].partition('-eps')[0]} {one['eps']:g}: {percent(one['fooling_ratio'])}" for one in known[:SHOWN]
    ]
    more = len(known) - SHOWN
    return ", ".join([*said, *([f"and {more} more"] if more > 0 else [])])
