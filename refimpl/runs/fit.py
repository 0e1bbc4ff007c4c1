"""Training a run to its last epoch, from wherever it was left, to the bits of a run that was never stopped."""

from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from types import TracebackType
from typing import Any, NamedTuple

from filelock import Timeout

from ..atomic import append_line, remove_temporaries, write_text
from ..backend import Backend
from ..data import Dataset, on
from ..errors import DataError, NumericalError, UsageError
from ..measures.fooling import LabelledImages
from ..training import EpochLog, Monitor, Schedule, catastrophic_overfitting, train
from ..training.monitor import unmonitored
from . import checkpoint as checkpoints
from .checkpoint import Checkpoint
from .config import Config
from .fast_twins import accelerated
from .folder import Run, Warn
from .manifest import differences, environment, now
from .results import to_line
from .schema import Manifest
from .usage import Usage


def fit(
    run: Run,
    data: Dataset,
    backend: Backend,
    on_epoch: Callable[[EpochLog], None],
    warn: Warn = lambda message: None,
    epochs: int | None = None,
) -> Checkpoint:
    """Train `run` to its last epoch, telling `on_epoch` of each; the final checkpoint. See `fitting`."""
    fitted = fitting(run, data, backend, warn, epochs)
    while True:
        try:
            log = next(fitted)
        except StopIteration as ended:
            last: Checkpoint = ended.value
            return last
        try:
            on_epoch(log)
        except BaseException as error:
            fitted.throw(error)


def fitting(
    run: Run, data: Dataset, backend: Backend, warn: Warn = lambda message: None, epochs: int | None = None
) -> Generator[EpochLog, None, Checkpoint]:
    """The logs of the epochs of `run` from its latest checkpoint, or from the start, to the last; the final checkpoint.

    Ends with the same bits as a run that was never stopped; `epochs` makes it longer. KeyboardInterrupt,
    BrokenPipeError and the end of a generator that is closed before its last epoch first write a checkpoint of the last
    whole epoch. Raises `DataError` where the data are not those the run began with or the run is damaged, `UsageError`
    where it is being trained already, has done more epochs, or is not finished and of a stack, `NumericalError` where
    training fails; a run that is refused stays as it was.
    """
    with held(run):
        begun = _begun(run, data, backend, warn, epochs)
        with Recorder(begun, data, backend, warn) as recorder:
            for log in training(begun.config, data, backend, begun.last):
                monitored = recorder.add(log)
                recorder.agree()
                yield monitored
        return recorder.last


@contextmanager
def held(run: Run) -> Iterator[None]:
    """The run locked. Raises `UsageError` where it is being trained already."""
    lock = run.lock()
    try:
        lock.acquire()
    except Timeout:
        raise UsageError(
            f"{run.folder}: another process, or training that was begun here and not closed, is at work on this run"
        ) from None
    try:
        yield
    finally:
        lock.release()


class Begun(NamedTuple):
    """A run that is to go on from the checkpoint `last`, by the manifest that it has now, to the end of `config`."""

    run: Run
    config: Config
    manifest: Manifest
    last: Checkpoint


class Recorder:
    """What training leaves in the folder of a run: logs, checkpoints, and in the manifest how it went and ended.

    Entered, it brings the folder to the state after the checkpoint that training goes on from. What training takes is
    counted by `usage`. An interrupted run keeps the last epoch on which its caller has agreed.
    """

    def __init__(
        self,
        begun: Begun,
        data: Dataset,
        backend: Backend,
        warn: Warn = lambda message: None,
        usage: Usage | None = None,
    ) -> None:
        self.run, self.config, self.last = begun.run, begun.config, begun.last
        self.epochs = self.config.epochs_for(len(data.train.labels))
        self._agreed, self._usage, self._ended = self.last, usage or Usage(), False
        self._begun, self._monitored_by = begun, (data, backend, warn)

    def __enter__(self) -> "Recorder":
        self._manifest: Any = _going_on(self._begun, self.epochs)
        self._history = self.run.history
        self._monitored = monitored(self.config, self._history, *self._monitored_by)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end(error)

    def add(self, log: EpochLog) -> EpochLog:
        """The log of the next epoch, monitored; it and, where one is due, a checkpoint are in the folder."""
        log = self._monitored(log)
        append_line(self.run.folder / "history.jsonl", to_line(self._history[-1]))
        self.last = Checkpoint(log.epoch, log.params, log.state)
        if log.epoch % self.config.checkpoint_every == 0 or log.epoch == self.epochs:
            self._save()
        return log

    def agree(self) -> None:
        """The last epoch stands, and is what is kept when training is interrupted from here on."""
        self._agreed = self.last

    def end(self, error: BaseException | None = None) -> None:
        """Write to the manifest how training ended: finished, interrupted, or failed and why; once."""
        if self._ended:
            return
        self._ended = True
        try:
            if isinstance(error, KeyboardInterrupt | BrokenPipeError | GeneratorExit):
                self.last = self._agreed
                self._save()
                _forget_after(self.run, self.last.epoch, self.epochs)  # an epoch that was being logged
        except Exception as full:
            error = full
            raise
        finally:
            self.run.write_manifest(self._manifest | self._how(error) | {"ended": now()})

    def _save(self) -> None:
        checkpoints.write(self.run.checkpoint_path(self.last.epoch), self.last)
        self._manifest["checkpoint"] = self.last.epoch

    def _how(self, error: BaseException | None) -> dict[str, Any]:
        how: dict[str, Any] = _taken(self._manifest, self._usage) | {"status": "interrupted"}
        how["catastrophic_overfitting"] = catastrophic_overfitting(self._history) if self.config.attack else None
        if self._manifest.get("checkpoint", -1) >= self.epochs:
            return how | {"status": "finished", "history_sha256": self.run.history_sha256}
        if isinstance(error, Exception) and not isinstance(error, BrokenPipeError):
            how |= {"status": "failed", "reason": str(error) or type(error).__name__}
        if isinstance(error, NumericalError):
            how["diverged"] = self.last.epoch + 1
        return how


def monitored(
    config: Config, history: list[dict[str, Any]], data: Dataset, backend: Backend, warn: Warn
) -> Callable[[EpochLog], EpochLog]:
    """A function that completes the log of an epoch by what is monitored; `history` grows by a line for each.

    `warn` hears of catastrophic overfitting, once.
    """
    monitor = _monitor(config, data, backend)
    known = catastrophic_overfitting(history) if config.attack else None

    def completed(log: EpochLog) -> EpochLog:
        nonlocal known
        line = monitor(log.line(), log.params)
        history.append(line)
        if config.attack and not known and (known := catastrophic_overfitting(history)):
            warn(f"catastrophic overfitting at epoch {known}: FGSM fools fewer inputs, PGD more, than before")
        return replace(log, layers=line["layers"], attacks=line.get("attacks"))

    return completed


def _begun(run: Run, data: Dataset, backend: Backend, warn: Warn, epochs: int | None) -> Begun:
    """The run as it was left, with the epochs asked for, once all is seen to fit together; changes nothing."""
    config, manifest, done = run.config, run.manifest, len(run.history)
    if epochs is not None:
        if epochs < done:
            raise UsageError(f"{run.folder} has {done} epochs already; --epochs {epochs} is less")
        config = replace(config, epochs=epochs)
    check_data(run, manifest, data)
    _check_alone(run, manifest, warn, longer=epochs is not None and epochs > done)
    last = run.load(backend, warn)
    if done < last.epoch:
        raise DataError(
            f"{run.folder}/history.jsonl has {done} epochs, but the latest checkpoint is of epoch {last.epoch}"
        )
    begun = Begun(run, config, manifest, last)
    warn_of_changes(begun, warn)
    return begun


def _check_alone(run: Run, manifest: Manifest, warn: Warn, longer: bool) -> None:
    """Raise `UsageError` for a run of a stack that is not finished; `warn` hears that a finished one goes on alone."""
    stack = manifest.get("stack")
    if stack is None:
        return
    if manifest["status"] != "finished":
        raise UsageError(
            f"{run.folder} is trained in a stack of {stack['size']} runs: the `refimpl sweep` or `refimpl reproduce`"
            f" that began it goes on with all of them; `refimpl train --from {run.folder}` begins another run from its"
            " weights"
        )
    if longer:
        warn(
            f"{run.folder} was trained in a stack of {stack['size']} runs and goes on alone: with the stack its bits"
            " would differ by rounding"
        )


def check_data(run: Run, manifest: Manifest, data: Dataset) -> None:
    """Raise `DataError` where the data are not those the run began with."""
    if manifest["data"]["sha256"] != data.sha256:
        raise DataError(
            f"{run.folder} was trained on other data: the SHA-256 in its manifest are not those of {data.name}"
        )


def warn_of_changes(begun: Begun, warn: Warn) -> None:
    """Let `warn` hear of what has changed since the run began and could change its bits."""
    if begun.last.epoch:
        for difference in differences(begun.manifest, environment(begun.config.backend)):
            warn(f"{begun.run.folder} was begun with {difference}: the bits may differ from an uninterrupted run's")


def _going_on(begun: Begun, epochs: int) -> Manifest:
    """The manifest of the run while it is trained to epoch `epochs`, written; its other files as after the checkpoint.

    What killed processes left half-written is removed.
    """
    run, config, manifest, last = begun
    if config != run.config:
        run.write_config(config)
    dropped = ("ended", "reason", "history_sha256", "checkpoint", "diverged")
    going: Any = {key: value for key, value in manifest.items() if key not in dropped}
    going |= {"status": "running"} | ({"checkpoint": last.epoch} if last.sha256 else {})
    run.write_manifest(going)
    for folder in (run.folder, run.folder / "checkpoints"):
        remove_temporaries(folder)
    _forget_after(run, last.epoch, epochs)
    return going


def _forget_after(run: Run, epoch: int, last: int) -> None:
    """Drop logs and checkpoints of epochs after `epoch`: they will be made again, with the same bits.

    What was measured of an epoch because it was the last, and is no longer, goes too.
    """
    lines = "".join(to_line(unmonitored(log, last)) + "\n" for log in run.history[:epoch])
    write_text(run.folder / "history.jsonl", lines)
    run.remove_checkpoints_after(epoch)


def _taken(before: Manifest, usage: Usage) -> dict[str, Any]:
    """With what it took before it was interrupted; nothing of the cores where that is not known."""
    found: dict[str, Any] = {"seconds": round(before["seconds"] + usage.seconds, 3)}
    if "cpu_seconds" in before:
        peaks = [peak for peak in (before.get("peak_memory_bytes"), usage.peak_memory) if peak is not None]
        found["cpu_seconds"] = round(before["cpu_seconds"] + usage.cpu_seconds, 3)
        found["peak_memory_bytes"] = max(peaks, default=None)
    return found


def training(config: Config, data: Dataset, backend: Backend, last: Checkpoint) -> Iterator[EpochLog]:
    """The epochs after the checkpoint `last`."""
    epochs = config.epochs_for(len(data.train.labels))
    step = accelerated(config.step(last.params, last.state), config.threads)
    network = accelerated(config.trained(), config.threads)
    schedule = Schedule(epochs, config.batch_size, config.seed, start=last.epoch)
    return train(step, network, accelerated(on(backend, data)), schedule, config.regularizers)


def _monitor(config: Config, data: Dataset, backend: Backend) -> Monitor:
    last = config.epochs_for(len(data.train.labels))
    inputs = LabelledImages(data.test.images, data.test.labels, backend, config.dtype).some(config.monitor_examples)
    network = accelerated(config.trained(), config.threads)
    return Monitor(network, inputs, config.monitored_attacks(), "mi" in config.monitored, last)
