"""The run that `refimpl train` is to train: a new one, or one to be continued."""

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

from refimpl.backend import backend as make_backend
from refimpl.errors import DataError, UsageError
from refimpl.runs.checkpoint import Checkpoint
from refimpl.runs.config import Config
from refimpl.runs.folder import Run
from refimpl.runs.presets import METHODS, NATURAL
from refimpl.runs.toml import read_settings

from . import low_rank
from .console import warn
from .session import blas_threads, find_data


def created(
    given: dict[str, Any],
    file: Path | None,
    out: Path | None,
    source: Path | None,
    method: str | None,
    data_dir: Path | None,
) -> Run:
    """A new run. What is given as an option wins over the method, the method over the file, that over the defaults."""
    settings = read_settings(_read(file), str(file)) if file else {}
    if settings.get("start") and not source:
        raise UsageError(f"{file} is of a run that started from {settings['start']}: name it again with --from")
    inherited, start = _fine_tuning(source) if source else ({}, None)
    settings |= inherited
    settings |= _settings(method, given.get("arch", settings.get("arch", "fcnn")))
    config = Config.of(**(settings | given))
    backend = make_backend(config.backend)
    data = find_data(config.dataset, config.arch, data_dir)
    epochs = config.epochs_for(len(data.train.labels))
    config = replace(config, dataset=data.name, backend=backend.name, epochs=epochs)
    with blas_threads(config.blas_threads):  # which the manifest records
        return Run.create(out or _free(Path("runs"), _name(config)), config, data, start)


def _fine_tuning(source: Path) -> tuple[dict[str, Any], Checkpoint]:
    """The net and the data of the run that is started from, and its latest weights."""
    run = Run.open(source)
    start = run.latest(warn)
    if start is None:
        raise DataError(f"{source} has no checkpoint to start from")
    names = ("arch", "dataset", "dtype", "widths", "padding", "activation", *low_rank.SETTINGS)
    return {name: getattr(run.config, name) for name in names} | {"start": str(source)}, start


def _settings(method: str | None, arch: str) -> dict[str, Any]:
    """Those of a method, and none of any other."""
    if method is None:
        return {}
    if method not in METHODS[arch]:
        raise UsageError(f"{method} is no method of {arch}: choose one of {', '.join(METHODS[arch])}")
    return NATURAL | METHODS[arch][method]


def _name(config: Config) -> str:
    method = "" if config.method == "natural" else f"-{config.method}"
    return f"{config.arch}-{config.dataset}{method}-seed{config.seed}"


def resumed(folder: Path, given: dict[str, Any], other: object) -> Run:
    """An existing run, perhaps with more epochs to go."""
    refused = [name for name in given if name != "epochs"]
    if refused or other:
        raise UsageError("--resume keeps the run's own settings: beside it only --epochs and --data-dir make sense")
    run = Run.open(folder)
    if "epochs" in given:
        done = len(run.history)
        if given["epochs"] < done:
            raise UsageError(f"{folder} has {done} epochs already; --epochs {given['epochs']} is less")
        run.write_config(replace(run.config, epochs=given["epochs"]))
    return run


def _free(root: Path, name: str) -> Path:
    """`root/name`, or the first of `root/name-2`, `root/name-3`, ... that is not there."""
    numbered = itertools.chain([root / name], (root / f"{name}-{k}" for k in itertools.count(2)))
    return next(path for path in numbered if not path.exists())


def _read(file: Path) -> str:
    try:
        return file.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--config {file} cannot be read: {error}") from None
