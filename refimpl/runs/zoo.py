"""Weights on record: runs that come with the package, each by `zoo:NAME` where a run is asked for. They are read only.

An entry is a folder of refimpl/zoo; `zoo_entry` makes one of a finished run. Its files are checked against index.json.
"""

import difflib
import hashlib
from collections.abc import Mapping
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Any, ClassVar

from ..atomic import read_bytes
from ..backend import Backend
from ..errors import DataError, UsageError
from . import checkpoint as checkpoints
from .checkpoint import Checkpoint
from .config import Config
from .folder import Run, Warn, begun
from .schema import MAX_BYTES, AttackFile, Manifest, Measures, ZooEntry, ZooIndex, ZooRow, read_json
from .toml import read_config

PREFIX = "zoo:"
WEIGHTS, CONFIG, ENTRY, CARD, INDEX = "weights.safetensors", "config.toml", "entry.json", "card.md", "index.json"
FILES = (WEIGHTS, CONFIG, ENTRY, CARD)


def folder() -> Path:
    """Where the entries are."""
    return Path(str(files(__package__.rpartition(".")[0]))) / "zoo"


def opened(where: Path | str) -> Run:
    """The run in a folder, or the entry that `zoo:NAME` names.

    Raises `DataError` for what is no run and for a damaged entry, `UsageError` for an unknown name.
    """
    name = str(where)
    return ZooRun(name.removeprefix(PREFIX)) if name.startswith(PREFIX) else Run.open(Path(where))


def index(root: Path | None = None) -> dict[str, ZooRow]:
    """What there is, by name. Raises `DataError` where the index is damaged."""
    path = (root or folder()) / INDEX
    return {row["name"]: row for row in read_json(path, ZooIndex)["entries"]} if path.is_file() else {}


class ZooRun(Run):
    """An entry as a run: its latest checkpoint without the optimizer's state, its last epoch log, its results."""

    read_only: ClassVar[bool] = True

    def __init__(self, name: str, root: Path | None = None) -> None:
        known = index(root)
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {PREFIX}{close[0]}? " if close else ""
            raise UsageError(f"there is no {PREFIX}{name}; {hint}`refimpl zoo` lists what there is")
        super().__init__((root or folder()) / name)
        self.name, self._sha256 = name, known[name]["sha256"]
        for file in FILES:
            self._check_file(file)

    def _check_file(self, file: str) -> None:
        """Raise `DataError` for a file that is not the one of the index."""
        path = self.folder / file
        if hashlib.sha256(read_bytes(path, MAX_BYTES)).hexdigest() != self._sha256.get(file):
            raise DataError(f"{path} is damaged: its SHA-256 is not that of {INDEX}; install refimpl again")

    @property
    def title(self) -> str:
        return PREFIX + self.name

    @property
    def config(self) -> Config:
        return read_config(self.folder / CONFIG)

    @cached_property
    def entry(self) -> ZooEntry:
        return read_json(self.folder / ENTRY, ZooEntry)

    @property
    def manifest(self) -> Manifest:
        return self.entry["manifest"]

    def write_manifest(self, manifest: Mapping[str, Any]) -> None:
        raise UsageError(f"{self.title} is read only")

    write_config: Any = write_manifest

    @property
    def history(self) -> list[dict[str, Any]]:
        """The last epoch log alone."""
        return [dict(self.entry["log"])]

    def checkpoint_path(self, epoch: int) -> Path:
        return self.folder / WEIGHTS

    def latest(self, warn: Warn = lambda message: None) -> Checkpoint:
        return checkpoints.read(self.folder / WEIGHTS)

    def load(self, backend: Backend, warn: Warn = lambda message: None) -> Checkpoint:
        saved, untrained = self.latest(), begun(self.config)._replace(state={})
        saved = checkpoints.check_shapes(saved, untrained, self.title)
        return saved._replace(params={name: backend.asarray(p) for name, p in saved.params.items()})

    def measures(self, epoch: int) -> Measures | None:
        return self.entry["measures"]

    def attacks(self, epoch: int) -> list[tuple[str, AttackFile]]:
        return [(self.title, one) for one in self.entry["attacks"]]

    @property
    def card(self) -> str:
        """What the entry is, in Markdown."""
        return read_bytes(self.folder / CARD, MAX_BYTES).decode()
