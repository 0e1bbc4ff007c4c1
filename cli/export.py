"""refimpl export"""

from pathlib import Path

import click

from refimpl.errors import UsageError
from refimpl.interop.export import Exported, export_network
from refimpl.interop.formats import NAMES
from refimpl.interop.tensorboard import FOLDER, export_histories
from refimpl.runs.folder import Run
from refimpl.runs.zoo import opened

from . import options
from .console import count, note, out, printable, report, warn

TENSORBOARD = "tensorboard"


@click.command()
@click.argument("folders", metavar="RUN...", type=options.RUN, nargs=-1, required=True)
@click.option(
    "--to", type=click.Choice([*NAMES, TENSORBOARD]), required=True,
    help="onnx, torch (a state_dict as safetensors) and npz hold the network, tensorboard the history.",
)  # fmt: skip
@click.option(
    "--out", "path", type=click.Path(path_type=Path),
    help=f"The file; of tensorboard the folder.  [default: the run's name, in this folder; {FOLDER}]",
)  # fmt: skip
@options.as_json()
def export(folders: tuple[Path, ...], to: str, path: Path | None, as_json: bool) -> None:
    """Write the network of a run, or the histories of runs, in a file of another library.

    A network is that of the latest checkpoint, from images (batch, channels, height, width) of pixels in [0, 1] to
    logits; layers of low rank become the products of their factors. Its file is checked before it is written, by
    those of ONNX, onnxruntime, PyTorch and NumPy that can read it, and says which run it was made from.
    """
    runs = [opened(folder) for folder in folders]
    if to == TENSORBOARD:
        _histories(runs, path, as_json)
        return
    if len(runs) > 1:
        raise UsageError(f"--to {to} takes one run, got {len(runs)}: export them one by one")
    exported = export_network(runs[0], to, path, warn)
    if as_json:
        report({"run": runs[0].title, "to": to, **_plain(exported)})
        return
    shapes = (
        f"images (batch, {', '.join(map(str, exported.network.shape))}) to logits (batch, {exported.network.classes})"
    )
    said = f"{exported.path}: {shapes}, {runs[0].title} after {count(exported.epoch, 'epoch')}"
    out.print(printable(said), soft_wrap=True, markup=False)
    for reader, error in exported.errors.items():
        note(f"checked by {reader}: logits within {error:.1e} of ours, relative to the largest")
    if not exported.errors:
        note("not checked by PyTorch, which is not installed")
    if to == "torch":
        note(f"for the state_dict of {exported.network}")


def _plain(exported: Exported) -> dict[str, object]:
    return {
        "file": str(exported.path),
        "bytes": exported.size,
        "epoch": exported.epoch,
        "shape": exported.network.shape,
        "layers": str(exported.network),
        "errors": exported.errors,
    }


def _histories(runs: list[Run], folder: Path | None, as_json: bool) -> None:
    written = export_histories(runs, folder)
    if as_json:
        report({"to": TENSORBOARD, "files": [{"file": str(path), "epochs": epochs} for path, epochs in written]})
        return
    for path, epochs in written:
        out.print(printable(f"{path}: {count(epochs, 'epoch')}"), soft_wrap=True, markup=False)
    note(f"`tensorboard --logdir {folder or FOLDER}` shows them")
