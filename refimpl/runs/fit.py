"""Training a run to its last epoch, from wherever it was left, to the bits of a run that was never stopped."""

from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from filelock import Timeout

from ..atomic import append_line, remove_temporaries, write_text
from ..backend import Backend
from ..data import Dataset, on
from ..errors import DataError, UsageError
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
    training = fitting(run, data, backend, warn, epochs)
    while True:
        try:
            log = next(training)
        except StopIteration as ended:
            last: Checkpoint = ended.value
            return last
        try:
            on_epoch(log)
        except BaseException as error:
            training.throw(error)


def fitting(
    run: Run, data: Dataset, backend: Backend, warn: Warn = lambda message: None, epochs: int | None = None
) -> Generator[EpochLog, None, Checkpoint]:
    """The logs of the epochs of `run` from its latest checkpoint, or from the start, to the last; the final checkpoint.

    Ends with the same bits as a run that was never stopped; `epochs` makes it longer. KeyboardInterrupt,
    BrokenPipeError and the end of a generator that is closed before its last epoch first write a checkpoint of the last
    whole epoch. Raises `DataError` where the data are not those the run began with or the run is damaged, `UsageError`
    where it is being trained already or has done more epochs, `NumericalError` where training fails; a run that is
    refused stays as it was.
    """
    lock = run.lock()
    try:
        lock.acquire()
    except Timeout:
        raise UsageError(
            f"{run.folder}: another process, or training that was begun here and not closed, is at work on this run"
        ) from None
    try:
        return (yield from _fitting(run, data, backend, warn, epochs))
    finally:
        lock.release()


def _fitting(
    run: Run, data: Dataset, backend: Backend, warn: Warn, epochs: int | None
) -> Generator[EpochLog, None, Checkpoint]:
    config, manifest, last = _begun(run, data, backend, warn, epochs)
    if last.epoch:
        for difference in differences(manifest, environment(config.backend)):
            warn(f"{run.folder} was begun with {difference}: the bits may differ from an uninterrupted run's")
    epochs = config.epochs_for(len(data.train.labels))
    manifest = _going_on(run, config, manifest, last, epochs)
    with _recorded(run, manifest) as ended:
        history = run.history
        try:
            for log in logs(replace(config, epochs=epochs), data, backend, last, history, warn):
                append_line(run.folder / "history.jsonl", to_line(history[-1]))
                last = Checkpoint(log.epoch, log.params, log.state)
                if log.epoch % config.checkpoint_every == 0 or log.epoch == epochs:
                    ended["checkpoint"] = _save(run, last)
                yield log
        except (KeyboardInterrupt, BrokenPipeError, GeneratorExit):
            ended["checkpoint"] = _save(run, last)
            _forget_after(run, last.epoch, epochs)  # an epoch that was being logged
            raise
        finally:
            ended["catastrophic_overfitting"] = catastrophic_overfitting(history) if config.attack else None
            if {**manifest, **ended}.get("checkpoint", -1) >= epochs:
                ended |= {"status": "finished", "history_sha256": run.history_sha256}
    return last


def logs(
    config: Config, data: Dataset, backend: Backend, last: Checkpoint, history: list[dict[str, Any]], warn: Warn
) -> Iterator[EpochLog]:
    """The epochs after the checkpoint `last`, monitored; `history` grows by a line for each.

    `warn` hears of catastrophic overfitting, once.
    """
    epochs = config.epochs_for(len(data.train.labels))
    monitor = _monitor(config, data, backend, epochs)
    known = catastrophic_overfitting(history) if config.attack else None
    for log in _training(config, data, backend, last, epochs):
        line = monitor(log.line(), log.params)
        history.append(line)
        if config.attack and not known and (known := catastrophic_overfitting(history)):
            warn(f"catastrophic overfitting at epoch {known}: FGSM fools fewer inputs, PGD more, than before")
        yield replace(log, layers=line["layers"], attacks=line.get("attacks"))


def _begun(
    run: Run, data: Dataset, backend: Backend, warn: Warn, epochs: int | None
) -> tuple[Config, Manifest, Checkpoint]:
    """The run as it was left, with the epochs asked for, once all is seen to fit together; changes nothing."""
    config, manifest, done = run.config, run.manifest, len(run.history)
    if epochs is not None:
        if epochs < done:
            raise UsageError(f"{run.folder} has {done} epochs already; --epochs {epochs} is less")
        config = replace(config, epochs=epochs)
    if manifest["data"]["sha256"] != data.sha256:
        raise DataError(
            f"{run.folder} was trained on other data: the SHA-256 in its manifest are not those of {data.name}"
        )
    last = run.load(backend, warn)
    if done < last.epoch:
        raise DataError(
            f"{run.folder}/history.jsonl has {done} epochs, but the latest checkpoint is of epoch {last.epoch}"
        )
    return config, manifest, last


def _going_on(run: Run, config: Config, manifest: Manifest, last: Checkpoint, epochs: int) -> Manifest:
    """The manifest of the run while it is trained to epoch `epochs`, written; its other files as after epoch `last`.

    What killed processes left half-written is removed.
    """
    if config != run.config:
        run.write_config(config)
    going: Any = {key: value for key, value in manifest.items() if key not in ("ended", "reason", "history_sha256")}
    going |= {"status": "running"} | ({"checkpoint": last.epoch} if last.sha256 else {})
    run.write_manifest(going)
    for folder in (run.folder, run.folder / "checkpoints"):
        remove_temporaries(folder)
    _forget_after(run, last.epoch, epochs)
    return going


def _forget_after(run: Run, epoch: int, last: int) -> None:
    """Drop the logs of epochs after the checkpoint: they will be made again, with the same bits.

    What was measured of an epoch because it was the last, and is no longer, goes too.
    """
    lines = "".join(to_line(unmonitored(log, last)) + "\n" for log in run.history[:epoch])
    write_text(run.folder / "history.jsonl", lines)


@contextmanager
def _recorded(run: Run, manifest: Manifest) -> Iterator[dict[str, Any]]:
    """Write to the manifest how the body ended, as it says itself, interrupted, or failed and why; and what it took."""
    ended: dict[str, Any] = {"status": "interrupted"}
    usage = Usage()
    try:
        yield ended
    except BrokenPipeError:
        raise
    except Exception as error:
        if ended["status"] != "finished":
            ended |= {"status": "failed", "reason": str(error) or type(error).__name__}
        raise
    finally:
        run.write_manifest({**manifest, **ended, "ended": now(), **_taken(manifest, usage)})


def _taken(before: Manifest, usage: Usage) -> dict[str, Any]:
    """With what it took before it was interrupted; nothing of the cores where that is not known."""
    found: dict[str, Any] = {"seconds": round(before["seconds"] + usage.seconds, 3)}
    if "cpu_seconds" in before:
        peaks = [peak for peak in (before.get("peak_memory_bytes"), usage.peak_memory) if peak is not None]
        found["cpu_seconds"] = round(before["cpu_seconds"] + usage.cpu_seconds, 3)
        found["peak_memory_bytes"] = max(peaks, default=None)
    return found


def _save(run: Run, last: Checkpoint) -> int:
    """Write a checkpoint; its epoch."""
    checkpoints.write(run.checkpoint_path(last.epoch), last)
    return last.epoch


def _training(config: Config, data: Dataset, backend: Backend, last: Checkpoint, epochs: int) -> Iterator[EpochLog]:
    """The epochs after the checkpoint `last`."""
    step = accelerated(config.step(last.params, last.state), config.threads)
    network = accelerated(config.trained(), config.threads)
    schedule = Schedule(epochs, config.batch_size, config.seed, start=last.epoch)
    return train(step, network, accelerated(on(backend, data)), schedule, config.regularizers)


def _monitor(config: Config, data: Dataset, backend: Backend, last: int) -> Monitor:
    inputs = LabelledImages(data.test.images, data.test.labels, backend, config.dtype).some(config.monitor_examples)
    network = accelerated(config.trained(), config.threads)
    return Monitor(network, inputs, config.monitored_attacks(), "mi" in config.monitored, last)
