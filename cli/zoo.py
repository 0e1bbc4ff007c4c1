"""refimpl zoo"""

from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from refimpl.errors import UsageError
from refimpl.experiments.run_experiment import RESULT
from refimpl.runs.folder import Run
from refimpl.runs.zoo import PREFIX, ZooRun, folder, index
from refimpl.runs.zoo_entry import write_entries

from . import options
from .console import command, count, note, percent, report, table


def complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    return [CompletionItem(name) for name in index() if name.startswith(incomplete)]


@click.command()
@click.argument("name", required=False, shell_complete=complete)
@click.option(
    "--make", "root", type=options.FOLDER,
    help="For maintainers: make entries of the finished runs in this folder of `refimpl reproduce`.",
)  # fmt: skip
@click.option("--into", type=options.FOLDER, help="With --make: the folder of the entries, refimpl/zoo of the source.")
@click.option("--only", metavar="PATTERN", default="*/*", show_default=True, help="With --make: of these runs.")
@options.as_json()
def zoo(name: str | None, root: Path | None, into: Path | None, only: str, as_json: bool) -> None:
    """List the weights on record, or show the card of one: data, method, seed, accuracy, fooling ratios, machine.

    zoo:NAME can be given wherever a run can: to attack, measure, compare, audit, export and train --from. They come
    with refimpl, need no network, and are read only.
    """
    if root or into:
        _make(root, into, only, as_json)
        return
    if name:
        entry = ZooRun(name.removeprefix(PREFIX))
        if as_json:
            report({**index()[entry.name], **entry.entry})
        else:
            click.echo(entry.card, nl=False)
        return
    rows = list(index().values())
    if as_json:
        report({"entries": rows})
        return
    header = ("zoo:", "net", "data", "assumption", "method", "seed", "epochs", "test accuracy")
    table(header, [_cells(row) for row in rows], words=5)
    if rows:
        note(f"{count(len(rows), 'network')} on record; {command('zoo', rows[0]['name'])} shows a card")


def _cells(row: Any) -> tuple[str, ...]:
    named = tuple(str(row[key]) for key in ("name", "arch", "dataset", "assumption", "method", "seed", "epochs"))
    return (*named, percent(row["accuracy"]))


def _make(root: Path | None, into: Path | None, only: str, as_json: bool) -> None:
    if root is None or into is None:
        raise UsageError("--make and --into go together: the runs, and the folder of the entries")
    runs = [Run(path.parent) for path in sorted(root.glob(f"{only}/{RESULT}"))]
    if not runs:
        raise UsageError(f"{root} has no finished runs that match {only}")
    names = write_entries(runs, into)
    size = sum(path.stat().st_size for path in into.rglob("*") if path.is_file())
    if as_json:
        report({"made": names, "bytes": size})
    else:
        note(f"{', '.join(names)}: in {into}, {size / 2**20:.1f} MiB in all; those of this installation: {folder()}")
