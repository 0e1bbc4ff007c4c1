"""refimpl data"""

from pathlib import Path

import click

from refimpl.data import REGISTRY, fetch, find, places
from refimpl.errors import DataError

from . import options
from .console import Bar, note, report, table


@click.group()
def data() -> None:
    """The data sets: where they are, and where to get them."""


@data.command("list")
@options.data_dir()
@options.as_json()
def list_(data_dir: Path | None, as_json: bool) -> None:
    """List the data sets and where each was found."""
    rows = [(name, entry.title, _where(name, data_dir)) for name, entry in REGISTRY.items()]
    rows.append(("strokes", "ten digits drawn from pen strokes", "built in"))
    if as_json:
        report({"datasets": [{"name": name, "title": title, "path": where} for name, title, where in rows]})
    else:
        missing = "not found; `refimpl data fetch {}` gets it"
        table(("name", "what", "where"), [(n, title, where or missing.format(n)) for n, title, where in rows], words=3)


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

    def progress(file: str, done: int, total: int | None) -> None:
        if total and file not in bars:
            bars[file] = Bar(file, total, "bytes")
            bars[file].__enter__()
        if file in bars:
            bars[file].update(done)

    try:
        folder = fetch(name, to, progress=progress)
    finally:
        for bar in bars.values():
            bar.__exit__(None, None, None)
    note(f"{name} is in {folder}")


@data.command("path")
@click.argument("name", type=click.Choice(list(REGISTRY)))
@options.data_dir()
def path_(name: str, data_dir: Path | None) -> None:
    """Print the folder that NAME was found in."""
    folder = find(name, data_dir)
    if folder is None:
        looked = ", ".join(f"{place.label}: {place.path}" for place in places(name, data_dir))
        raise DataError(f"{name} was not found ({looked}); `refimpl data fetch {name}` gets it")
    click.echo(folder)
