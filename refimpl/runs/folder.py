"""A run: one method, one seed, one folder.

    config.toml     the resolved configuration; `refimpl train --config` does it again
    manifest.json   versions, hardware, data and their hashes, seeds, times, status
    history.jsonl   one log an epoch; no clock in it, so that equal runs have equal files
    checkpoints/    epoch-00010.safetensors, ...

Every file is written atomically, or appended to line by line and read up to the last whole line.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from ..atomic import write_text
from ..backend import Backend
from ..backend import backend as make_backend
from ..data import Dataset
from ..errors import DataError, UsageError
from ..low_rank import factorised
from ..low_rank.network import is_low_rank
from ..rng import STREAMS
from . import checkpoint as checkpoints
from .checkpoint import Checkpoint
from .config import Config
from .manifest import environment, now
from .toml import from_toml, to_toml

Warn = Callable[[str], None]


class Run:
    """The files of one run folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    def create(cls, folder: Path, config: Config, data: Dataset, start: Checkpoint | None = None) -> "Run":
        """A new folder with its configuration and manifest, and the weights to `start` from where they are given.

        Full weights are truncated to the rank of a low-rank configuration.

        Raises `UsageError` where there is a folder already, `DataError` for weights that are not the configuration's.
        """
        given = start.params if start else None
        if start:
            if config.low_rank is not None and not is_low_rank(start.params):
                start = start._replace(params=factorised(start.params, config.low_rank.fraction))
            start = checkpoints.check_shapes(
                start._replace(state={}), _untrained(config)._replace(state={}), config.start
            )
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            raise UsageError(f"{folder} exists: choose another --out, or continue it with --resume") from None
        (folder / "checkpoints").mkdir()
        run = cls(folder)
        run.write_manifest(
            {
                "status": "running",
                "started": now(),
                "seconds": 0.0,
                "data": {"name": data.name, "source": data.source, "sha256": data.sha256},
                "seed": {"entropy": config.seed, "streams": list(STREAMS)},
                **environment(config.backend),
            }
        )
        if start:
            state = config.state(start.params, given)
            checkpoints.write(run.checkpoint_path(0), Checkpoint(0, start.params, state))
        write_text(folder / "config.toml", to_toml(config))
        return run

    @classmethod
    def open(cls, folder: Path) -> "Run":
        if not (folder / "config.toml").is_file():
            raise DataError(f"{folder} is not a run: it has no config.toml (`refimpl runs` lists the runs)")
        return cls(folder)

    @property
    def config(self) -> Config:
        path = self.folder / "config.toml"
        return from_toml(path.read_text(), str(path))

    def write_config(self, config: Config) -> None:
        write_text(self.folder / "config.toml", to_toml(config))

    @property
    def manifest(self) -> dict[str, Any]:
        path = self.folder / "manifest.json"
        try:
            return dict(json.loads(path.read_text()))
        except (OSError, ValueError) as error:
            raise DataError(f"{path} cannot be read: {error}") from None

    def write_manifest(self, manifest: dict[str, Any]) -> None:
        write_text(self.folder / "manifest.json", json.dumps(manifest, indent=2) + "\n")

    @property
    def history(self) -> list[dict[str, Any]]:
        """The epoch logs so far; a last line torn by a crash is not counted."""
        path = self.folder / "history.jsonl"
        whole = path.read_text().split("\n")[:-1] if path.exists() else []
        try:
            return [json.loads(line) for line in whole]
        except ValueError as error:
            raise DataError(f"{path} is damaged: {error}") from None

    def checkpoint_path(self, epoch: int) -> Path:
        return self.folder / "checkpoints" / checkpoints.name_of(epoch)

    def latest(self, warn: Warn = lambda message: None) -> Checkpoint | None:
        """The newest checkpoint that is whole; `warn` hears of each damaged one passed over. None where there is none.

        Raises `DataError` where there are checkpoints and all are damaged, and where one should be and is none.
        """
        paths = self._checkpoints()
        for path in paths:
            try:
                return checkpoints.read(path)
            except DataError as error:
                warn(f"{error}; trying the one before it")
        if paths:
            raise DataError(f"{self.folder}: none of the {len(paths)} checkpoints can be read")
        if len(self.history) >= self.config.checkpoint_every:
            raise DataError(
                f"{self.folder} is damaged: history.jsonl has {len(self.history)} epochs, but there is no checkpoint"
            )
        return None

    def _checkpoints(self) -> list[Path]:
        """The files, the newest first. Raises `DataError` where the folder that holds them is missing or unreadable."""
        folder = self.folder / "checkpoints"
        try:
            names = [path for path in folder.iterdir() if checkpoints.epoch_of(path) is not None]
        except OSError as error:
            raise DataError(f"{folder} cannot be read: {error.strerror}; the run is damaged") from None
        return sorted(names, key=lambda path: checkpoints.epoch_of(path) or 0, reverse=True)

    def load(self, backend: Backend, warn: Warn = lambda message: None) -> Checkpoint:
        """The latest checkpoint, checked against the configuration, on `backend`; without one, the untrained net."""
        untrained = _untrained(self.config)
        saved = self.latest(warn) or untrained
        saved = checkpoints.check_shapes(saved, untrained, str(self.folder))
        params, state = ({k: backend.asarray(x) for k, x in part.items()} for part in (saved.params, saved.state))
        return Checkpoint(saved.epoch, params, state)

    @property
    def status(self) -> str:
        """running, finished, interrupted, failed; or killed: said to be running, but no process is.

        Where the lock cannot be opened, in somebody else's folder, nothing is known of processes: running.
        """
        status = str(self.manifest["status"])
        if status == "running":
            try:
                with self.lock():
                    return "killed"
            except (Timeout, OSError):
                pass
        return status

    def lock(self) -> FileLock:
        return FileLock(self.folder / ".lock", timeout=0)


def _untrained(config: Config) -> Checkpoint:
    """The initial weights and optimizer state, on the host."""
    params = config.init(make_backend("numpy"))
    return Checkpoint(0, params, config.state(params))


def list_runs(root: Path) -> list[Run]:
    """The runs under `root`, by name."""
    return [Run(path.parent) for path in sorted(root.glob("**/config.toml"))]
