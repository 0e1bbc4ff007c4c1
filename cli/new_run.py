"""The run that `refimpl train` is to train: a new one, or one to be continued."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from refimpl.errors import UsageError
from refimpl.runs.config import Config
from refimpl.runs.presets import METHODS, merged
from refimpl.runs.toml import read_table
from refimpl.runs.train import Training, resume, train
from refimpl.runs.zoo import opened

from .configuration import laid_over
from .console import warn
from .derived import Option
from .session import find_data

INHERITED = ("network", "dataset", "dtype", "low_rank")
"""What a run that starts from another takes from it."""


@dataclass(frozen=True)
class Sources:
    """Where a configuration comes from beside the options: a file, another run's weights, a method; and the folder."""

    file: Path | None = None
    start: Path | None = None
    method: str | None = None
    out: Path | None = None


def created(given: Mapping[str, Any], derived: Sequence[Option], sources: Sources, data_dir: Path | None) -> Training:
    """Training of a new run."""
    table = source_table(sources)
    config = configured(table, given, derived, sources.method)
    data = find_data(config.dataset, config.network.usual.dataset, data_dir)
    asked = given.get("dataset") or ("auto" if sources.start else table.get("dataset", "auto"))
    config = replace(config, dataset=data.name)
    folder = sources.out or _free(Path("runs"), _name(config, asked != "auto"))
    return train(config, data, folder=folder, start=sources.start, warn=warn)


def configured(
    table: dict[str, Any], given: Mapping[str, Any], derived: Sequence[Option], method: str | None
) -> Config:
    """Options win over the method, the method over the table of the sources, that over the defaults."""
    arch = given.get("arch", next(iter(table.get("network", {"fcnn": {}}))))
    if method:
        table = _with_method(table, method, arch)
    return Config.from_table(laid_over(table, given, derived))


def source_table(sources: Sources) -> dict[str, Any]:
    """Of the file and of the run that is started from."""
    table = read_table(_read(sources.file), str(sources.file)) if sources.file else {}
    if table.get("start") and not sources.start:
        raise UsageError(f"{sources.file} is of a run that started from {table['start']}: name it again with --from")
    if not sources.start:
        return table
    run = opened(sources.start)
    inherited = {name: value for name, value in run.config.table().items() if name in INHERITED}
    return {**table, **inherited, "start": str(sources.start)}


def _with_method(table: dict[str, Any], method: str, arch: str) -> dict[str, Any]:
    """The table with what a method sets, and with nothing of any other method."""
    methods = METHODS.get(arch, {})
    if method not in methods:
        raise UsageError(f"{method} is no method of {arch}: choose one of {', '.join(methods) or 'none'}")
    others = ("attack", "regularizer", "adversarial_weights", "adversarial_fraction")
    return merged({name: value for name, value in table.items() if name not in others}, methods[method])


def _name(config: Config, with_dataset: bool) -> str:
    """ARCH-DATASET-METHOD-seedSEED; without the data set where it was not asked for, without natural training."""
    method = "" if config.method == "natural" else f"-{config.method}"
    dataset = f"-{Path(config.dataset).stem}" if with_dataset else ""
    return f"{config.arch}{dataset}{method}-seed{config.seed}"


def resumed(folder: Path, given: Mapping[str, Any], other: object, data_dir: Path | None) -> Training:
    """Training of an existing run. Raises `UsageError` for options that it would have to change."""
    if other or set(given) - {"epochs"}:
        raise UsageError("--resume keeps the run's own settings: beside it only --epochs and --data-dir make sense")
    return resume(folder, data_dir=data_dir, epochs=given.get("epochs"), warn=warn)


def _free(root: Path, name: str) -> Path:
    """`root/name`, or the first of `root/name-2`, `root/name-3`, ... that is not there."""
    numbered = itertools.chain([root / name], (root / f"{name}-{k}" for k in itertools.count(2)))
    return next(path for path in numbered if not path.exists())


def _read(file: Path) -> str:
    try:
        return file.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--config {file} cannot be read: {error}") from None
