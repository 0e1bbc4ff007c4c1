"""refimpl data"""

from contextlib import ExitStack
from pathlib import Path

import click

from refimpl.data import BUILT_IN, REGISTRY, fetch, find, places
from refimpl.errors import DataError

from . import options
from .console import Bar, command, note, report, table
from .help import SummarizedGroup


@click.group(cls=SummarizedGroup)
def data() -> None:
    """The data sets: where they are, and where to get them."""


@data.command("list")
@options.data_dir()
@options.as_json()
def list_(data_dir: Path | None, as_json: bool) -> None:
    """List the data sets and where each was found."""
    rows = [(name, entry.title, _where(name, data_dir)) for name, entry in REGISTRY.items()]
    for name, n in BUILT_IN.items():
        title = f"ten digits drawn from pen strokes, {n['n_train']} for training, {n['n_test']} for testing"
        rows.append((name, title, "built in"))
    if as_json:
        report({"datasets": [{"name": name, "title": title, "path": where} for name, title, where in rows]})
    else:
        found = [(name, title, where or f"not found; {_fetching(name)}") for name, title, where in rows]
        table(("name", "what", "where"), found, words=3)


def _fetching(name: str) -> str:
    return f"{command('data', 'fetch', name)} gets it"


def _where(name: str, data_dir: Path | None) -> str | None:
    folder = find(name, data_dir)
    return str(folder) if folder else None


@data.command("fetch")
@click.argument("name", type=click.Choice(list(REGISTRY)))
@click.option("--to", type=options.FOLDER, help="Folder to put it in. [default: the user cache]")
def fetch_(name: str, to: Path | None) -> None:
    """Download NAME, check its SHA-256, and install it.

    This is the one command that uses the network.
    """
    bars: dict[str, Bar] = {}
    with ExitStack() as shown:

        def progress(file: str, done: int, total: int | None) -> None:
            if total and file not in bars:
                shown.close()  # the bar of the file before
                bars[file] = shown.enter_context(Bar(file, total, "bytes"))
            if file in bars:
                bars[file].update(done)

        folder = fetch(name, to, progress=progress)
    note(f"{name} is in {folder}")


@data.command("path")
@click.argument("name", type=click.Choice(list(REGISTRY)))
@options.data_dir()
def path_(name: str, data_dir: Path | None) -> None:
    """Print the folder that NAME was found in."""
    folder = find(name, data_dir)
    if folder is None:
        looked = ", ".join(f"{place.label}: {place.path}" for place in places(name, data_dir))
        raise DataError(f"{name} was not found ({looked}); {_fetching(name)}")
    click.echo(bytes(folder))  # as it is, for scripts
