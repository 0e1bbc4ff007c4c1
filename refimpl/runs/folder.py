"""A run: one method, one seed, one folder.

    config.toml     the resolved configuration; `refimpl train --config` does it again
    manifest.json   versions, hardware, data and their hashes, seeds, times, status
    history.jsonl   one log an epoch; no clock in it, so that equal runs have equal files
    checkpoints/    epoch-00010.safetensors, ...

A run is created whole: a folder beside it is filled and renamed into place. Every file is written atomically, or
appended to line by line and read up to the last whole line.
"""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from filelock import FileLock, Timeout

from ..atomic import TEMPORARY, read_bytes, temporary_beside, write_text
from ..backend import Backend
from ..backend import backend as make_backend
from ..data import Dataset
from ..errors import DataError, RefimplError, UsageError
from ..low_rank import factorised
from ..low_rank.network import is_low_rank
from ..rng import STREAMS
from . import checkpoint as checkpoints
from .checkpoint import Checkpoint
from .config import Config
from .manifest import environment, now
from .schema import MAX_BYTES, AttackFile, Log, Manifest, Measures, parse_lines, read_json
from .toml import read_config, to_toml

Warn = Callable[[str], None]
T = TypeVar("T")


class Run:
    """The files of one run folder, which is named `title`."""

    read_only: ClassVar[bool] = False

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    def create(
        cls,
        folder: Path,
        config: Config,
        data: Dataset,
        start: Checkpoint | None = None,
        stack: Sequence[str] = (),
    ) -> "Run":
        """A new folder with its configuration and manifest, and the weights to `start` from where they are given.

        `stack` names the folders, side by side, of the runs that are trained together, this one among them.
        Raises `UsageError` where there is such a file or folder already, for parts of the configuration that a file
        cannot name, and for more weights than there is memory for, `DataError` for weights to start from that are not
        the configuration's; nothing is then left behind.
        """
        config.check_named()
        first = begun(config, start)
        with _created(folder) as temporary:
            run = cls(temporary)
            (temporary / "checkpoints").mkdir()
            if start:
                checkpoints.write(run.checkpoint_path(0), first)
            run.write_manifest(
                {
                    "status": "running",
                    "started": now(),
                    "seconds": 0.0,
                    "cpu_seconds": 0.0,
                    **({"checkpoint": 0} if start else {}),
                    **({"stack": {"size": len(stack), "runs": list(stack)}} if stack else {}),
                    "data": {"name": data.name, "source": data.source, "sha256": data.sha256},
                    "seed": {"entropy": config.seed, "streams": list(STREAMS)},
                    **environment(config.backend),
                }
            )
            run.write_config(config)
        return cls(folder)

    @classmethod
    def open(cls, folder: Path, config: Config | None = None) -> "Run":
        """The run in a folder. Raises `DataError` where there is none, or one whose configuration is not `config`."""
        if not (folder / "config.toml").is_file():
            raise DataError(f"{folder} is not a run: it has no config.toml (`refimpl runs` lists the runs)")
        run = cls(folder)
        if config is not None and run.config != config:
            raise DataError(f"{folder} holds a run of other settings than those asked for: choose another --out")
        return run

    @property
    def title(self) -> str:
        return str(self.folder)

    @property
    def config(self) -> Config:
        return read_config(self.folder / "config.toml")

    def write_config(self, config: Config) -> None:
        write_text(self.folder / "config.toml", to_toml(config))

    @property
    def manifest(self) -> Manifest:
        return read_json(self.folder / "manifest.json", Manifest)

    def write_manifest(self, manifest: Mapping[str, Any]) -> None:
        write_text(self.folder / "manifest.json", json.dumps(manifest, indent=2) + "\n")

    @property
    def history(self) -> list[dict[str, Any]]:
        """The epoch logs so far; a last line torn by a crash is not counted.

        Raises `DataError` where they are damaged, and where those of a finished run are not those that it wrote.
        """
        path, manifest = self._history, self.manifest
        content = self._history_bytes()
        if manifest["status"] == "finished" and manifest.get("history_sha256") != _sha256(content):
            raise DataError(f"{path} was changed after the run: its SHA-256 is not the one in manifest.json")
        logs: list[Any] = parse_lines(content, Log, str(path))
        for number, log in enumerate(logs, start=1):
            if log["epoch"] != number:
                raise DataError(f"{path}, line {number} is damaged: it is of epoch {log['epoch']}")
        return logs

    @property
    def history_sha256(self) -> str:
        """The hash of history.jsonl, by which the manifest of a finished run knows it."""
        return _sha256(self._history_bytes())

    @property
    def _history(self) -> Path:
        return self.folder / "history.jsonl"

    def _history_bytes(self) -> bytes:
        return read_bytes(self._history, MAX_BYTES) if self._history.exists() else b""

    def result(self, path: Path, kind: type[T]) -> T:
        """The content of measure.json or of a file in attacks/, whose type is `kind`.

        Raises `DataError` where it is damaged, and where it was not made from this run's checkpoint and data.
        """
        found: Any = read_json(path, kind)
        if found["data_sha256"] != self.manifest["data"]["sha256"]:
            raise DataError(f"{path} is of other data than the run was trained on: make it again")
        checkpoint = self.checkpoint_path(found["epoch"])
        if found["checkpoint_sha256"] != checkpoints.read(checkpoint).sha256:
            raise DataError(f"{path} was not made from {checkpoint}: make it again")
        return found

    def attacks(self, epoch: int) -> list[tuple[str, AttackFile]]:
        """The results in RUN/attacks of the net after `epoch` epochs, each with its file, by name.

        Those of another epoch are left out. Raises `DataError` for a damaged file.
        """
        paths = sorted((self.folder / "attacks").glob("*.json"))
        of_epoch = [path for path in paths if read_json(path, AttackFile)["epoch"] == epoch]
        return [(str(path), self.result(path, AttackFile)) for path in of_epoch]

    def measures(self, epoch: int) -> Measures | None:
        """measure.json; None where there is none, and where it is of another epoch."""
        path = self.folder / "measure.json"
        if not path.is_file() or read_json(path, Measures)["epoch"] != epoch:
            return None
        return self.result(path, Measures)

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
        if "checkpoint" in self.manifest or len(self.history) >= self.config.checkpoint_every:
            raise DataError(f"{self.folder} is damaged: it has lost its checkpoints, of which there is none")
        return None

    def _checkpoints(self) -> list[Path]:
        """The files, the newest first. Raises `DataError` where the folder that holds them is missing or unreadable."""
        folder = self.folder / "checkpoints"
        try:
            names = [path for path in folder.iterdir() if checkpoints.epoch_of(path) is not None]
        except OSError as error:
            raise DataError(f"{folder} cannot be read: {error.strerror}; the run is damaged") from None
        return sorted(names, key=lambda path: checkpoints.epoch_of(path) or 0, reverse=True)

    def saved_epochs(self) -> list[int]:
        """The epochs that have a checkpoint, whole or not, the newest first; 0 among them."""
        found = [checkpoints.epoch_of(path) or 0 for path in self._checkpoints()]
        return found if 0 in found else [*found, 0]

    def remove_checkpoints_after(self, epoch: int) -> None:
        for later in self.saved_epochs():
            if later > epoch:
                self.checkpoint_path(later).unlink()

    def load(self, backend: Backend, warn: Warn = lambda message: None) -> Checkpoint:
        """The latest checkpoint, checked against the configuration, on `backend`; without one, the untrained net."""
        return self._checked(self.latest(warn), backend)

    def load_epoch(self, epoch: int, backend: Backend) -> Checkpoint:
        """The checkpoint of an epoch, as `load`. Raises `DataError` where there is none that is whole."""
        untrained = epoch == 0 and not self.config.start
        return self._checked(None if untrained else checkpoints.read(self.checkpoint_path(epoch)), backend)

    def _checked(self, saved: Checkpoint | None, backend: Backend) -> Checkpoint:
        try:
            untrained = _untrained(self.config)
        except UsageError as error:
            raise DataError(f"{self.folder}/config.toml: {error}") from None
        saved = checkpoints.check_shapes(saved or untrained, untrained, str(self.folder))
        params, state = ({k: backend.asarray(x) for k, x in part.items()} for part in (saved.params, saved.state))
        return saved._replace(params=params, state=state)

    def trained(self, backend: Backend, warn: Warn = lambda message: None) -> Checkpoint:
        """`load`. Raises `DataError` also where no epoch has been trained yet."""
        checkpoint = self.load(backend, warn)
        if checkpoint.epoch == 0:
            raise DataError(
                f"{self.folder} has no checkpoint yet: `refimpl train --resume {self.folder}` goes on with it"
            )
        return checkpoint

    @property
    def status(self) -> str:
        """running, finished, interrupted, failed; or killed: said to be running, but no process is.

        Where the lock cannot be opened, in somebody else's folder, nothing is known of processes: running.
        """
        status = self.manifest["status"]
        if status == "running":
            try:
                with self.lock():
                    return "killed"
            except (Timeout, OSError):
                pass
        return status

    def lock(self) -> FileLock:
        return FileLock(self.folder / ".lock", timeout=0)


def begun(config: Config, start: Checkpoint | None = None) -> Checkpoint:
    """The weights before the first step, on the host: those of `start` where they are given, with a new state.

    Full weights are truncated to the rank of a low-rank configuration. Raises `UsageError` for more weights than there
    is memory for, `DataError` for weights to start from that are not the configuration's.
    """
    untrained = _untrained(config)
    if start is None:
        return untrained
    params = start.params
    if config.low_rank is not None and not is_low_rank(params):
        params = factorised(params, config.low_rank.fraction)
    same = checkpoints.check_shapes(Checkpoint(0, params, {}), untrained._replace(state={}), config.start)
    return same._replace(state=config.state(same.params, start.params))


def _untrained(config: Config) -> Checkpoint:
    """The initial weights and optimizer state, on the host. Raises `UsageError` for more than there is memory for."""
    try:
        params = config.init(make_backend("numpy"))
        return Checkpoint(0, params, config.state(params))
    except RefimplError:
        raise
    except (MemoryError, OverflowError, ValueError) as error:  # which of them depends on how far it is beyond
        raise UsageError(f"there is no memory for the weights of this {config.arch}: {error}") from None


@contextmanager
def _created(folder: Path) -> Iterator[Path]:
    """A new folder under a temporary name, for the body to fill; then it is `folder`. Removed where the body fails.

    Of two processes that create the same name, the second to end meets the folder of the first, which is not empty.
    """
    taken = UsageError(f"{folder} exists: choose another --out, or continue it with --resume")
    if folder.exists() or folder.is_symlink():
        raise taken
    temporary = temporary_beside(folder)
    try:
        temporary.mkdir(parents=True)
        yield temporary
        temporary.rename(folder)
    except BaseException as error:
        shutil.rmtree(temporary, ignore_errors=True)
        if not isinstance(error, OSError):
            raise
        raise (
            taken if folder.exists() else DataError(f"{folder} cannot be created: {error.strerror or error}")
        ) from None


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def list_runs(root: Path) -> list[Run]:
    """The runs under `root`, by name, without what killed processes left of runs that they were creating."""
    folders = [path.parent for path in sorted(root.glob("**/config.toml"))]
    return [Run(path) for path in folders if not any(map(TEMPORARY.fullmatch, path.relative_to(root).parts))]
