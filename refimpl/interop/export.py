"""A trained run's network in a file of another library, checked before it is written."""

import importlib
import json
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from ..atomic import write_bytes
from ..backend import backend as make_backend
from ..backend import to_host
from ..errors import NumericalError, UsageError
from ..low_rank.network import is_low_rank
from ..runs.checkpoint import Checkpoint
from ..runs.folder import Run, Warn
from .formats import NAMES
from .layers import PlainNetwork, plain

IMAGES = 16
"""On so many random images the file is checked."""


class Exported(NamedTuple):
    """The file, the network in it, and how far from ours, relative to the largest, each reader found its logits."""

    path: Path
    size: int
    network: PlainNetwork
    epoch: int
    errors: dict[str, float]


def export_network(run: Run, to: str, path: Path | None = None, warn: Warn = lambda message: None) -> Exported:
    """The network of a run's latest checkpoint in a new file, whose name is by default the run's, in this folder.

    Layers of low rank are written as the products of their factors. The data are not needed. Raises `UsageError` for
    another format than `NAMES`, for a network that it cannot hold, and where its library is not installed, `DataError`
    for what is no trained run and where the file cannot be written, `NumericalError` where a reader of the content
    finds other logits than ours; nothing is then written.
    """
    module, backend = _format(to), make_backend("numpy")
    checkpoint = run.trained(backend, warn)
    network = plain(run.config.trained(), checkpoint.params)
    content = module.content(network, json.dumps(provenance(run, checkpoint) | {"layers": str(network)}))
    errors = _checked(run, checkpoint, network, module, content)
    path = path or Path(run.folder.resolve().name + module.SUFFIX)
    write_bytes(path, content)
    return Exported(path, len(content), network, checkpoint.epoch, errors)


def _format(to: str) -> ModuleType:
    if to not in NAMES:
        raise UsageError(f"unknown format {to!r}: choose one of {', '.join(NAMES)}")
    return importlib.import_module(f".formats.{to}", __package__)


def provenance(run: Run, checkpoint: Checkpoint) -> dict[str, Any]:
    """Which run the weights are of, what it was trained on, and by which versions of this package."""
    config, manifest = run.config, run.manifest
    return {
        "refimpl": version("refimpl"),
        "trained_by_refimpl": manifest["packages"]["refimpl"],
        "run": run.folder.resolve().name,
        "epoch": checkpoint.epoch,
        "checkpoint_sha256": checkpoint.sha256,
        "network": {config.arch: config.network.table()},
        "method": config.method,
        "seed": config.seed,
        "dataset": manifest["data"]["name"],
        "data_sha256": manifest["data"]["sha256"],
        "images": "pixels in [0, 1]",
        "weights": "products of low-rank factors" if is_low_rank(checkpoint.params) else "as trained",
    }


def _checked(
    run: Run, checkpoint: Checkpoint, network: PlainNetwork, module: ModuleType, content: bytes
) -> dict[str, float]:
    """The errors of all readers. Raises `NumericalError` for one above its limit."""
    x = np.random.default_rng(0).random((IMAGES, *network.shape))
    params = {name: to_host(p).astype(np.float64) for name, p in checkpoint.params.items()}
    ours, _ = run.config.trained().forward(params, x.reshape(IMAGES, -1))
    largest, errors = float(np.abs(ours).max()) or 1.0, {}
    for reading in module.readings(network, content, x):
        error = float(np.abs(reading.logits - ours).max()) / largest
        if not error <= reading.limit:
            raise NumericalError(f"{reading.reader} finds logits that are {error:.1e} from ours: nothing was written")
        errors[reading.reader] = error
    return errors
