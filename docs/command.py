"""refimpl docs"""

import webbrowser
from pathlib import Path

import click

from refimpl.atomic import write_bytes
from refimpl.errors import UsageError


@click.command()
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("site"),
    show_default=True,
    help="Folder for the pages.",
)
@click.option(
    "--only", default="", metavar="ADDRESS", help="Only the pages whose address begins so, for example lessons/01."
)
@click.option("--open", "opened", is_flag=True, help="Show the first page in a browser.")
def docs(out: Path, only: str, opened: bool) -> None:
    """Write the documentation: a web site that needs no network."""
    try:
        from .site import built
    except ModuleNotFoundError as error:
        raise UsageError(f"{error.name} is not installed: pip install 'refimpl[docs]'") from None
    files = built(only)
    for address, content in sorted(files.items()):
        path = out / address
        path.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(path, content)
    pages = sorted(address for address in files if address.endswith(".html"))
    first = out / ("index.html" if "index.html" in pages else pages[0])
    click.echo(f"{first}: {len(pages)} pages")
    if opened:
        webbrowser.open(first.resolve().as_uri())
