"""Training a run to its last epoch, from wherever it was left, to the bits of a run that was never stopped."""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace

from filelock import Timeout

from ..atomic import append_line, write_text
from ..backend import Backend
from ..data import Dataset, on
from ..errors import DataError, RefimplError, UsageError
from ..measures.fooling import LabelledImages
from ..training import EpochLog, Monitor, Schedule, catastrophic_overfitting, train
from ..training.monitor import unmonitored
from . import checkpoint as checkpoints
from .checkpoint import Checkpoint
from .config import Config
from .fast_twins import accelerated
from .folder import Run
from .manifest import differences, environment, now
from .results import to_line

Warn = Callable[[str], None]


def fit(
    run: Run,
    data: Dataset,
    backend: Backend,
    on_epoch: Callable[[EpochLog], None],
    warn: Warn = lambda message: None,
    epochs: int | None = None,
) -> Checkpoint:
    """Train `run` from its latest checkpoint, or from the start, to its last epoch; the final checkpoint.

    Ends with the same bits as a run that was never stopped; `epochs` makes it longer. KeyboardInterrupt first writes a
    checkpoint of the last whole epoch. Raises `DataError` where the data are not those the run began with, `UsageError`
    where another process is at work on it or has done more epochs, `NumericalError` where training fails.
    """
    try:
        with run.lock():
            if epochs is not None:
                _extend(run, epochs)
            return _fit(run, data, backend, on_epoch, warn)
    except Timeout:
        raise UsageError(f"{run.folder}: another process is training this run") from None


def _extend(run: Run, epochs: int) -> None:
    done = len(run.history)
    if epochs < done:
        raise UsageError(f"{run.folder} has {done} epochs already; --epochs {epochs} is less")
    run.write_config(replace(run.config, epochs=epochs))


def _fit(run: Run, data: Dataset, backend: Backend, on_epoch: Callable[[EpochLog], None], warn: Warn) -> Checkpoint:
    config, manifest = run.config, run.manifest
    if manifest["data"]["sha256"] != data.sha256:
        raise DataError(
            f"{run.folder} was trained on other data: the SHA-256 in its manifest are not those of {data.name}"
        )
    last = run.load(backend, warn)
    if last.epoch:
        for difference in differences(manifest, environment(config.backend)):
            warn(f"{run.folder} was begun with {difference}: the bits may differ from an uninterrupted run's")
    epochs = config.epochs_for(len(data.train.labels))
    _forget_after(run, last.epoch, epochs)
    run.write_manifest(manifest | {"status": "running"})

    logs, history = _training(config, data, backend, last, epochs), run.history
    monitor = _monitor(config, data, backend, epochs)
    known = catastrophic_overfitting(history) if config.attack else None
    found: dict[str, object] = {"status": "failed"}
    began = time.monotonic()
    try:
        for log in logs:
            history.append(monitor(log.line(), log.params))
            append_line(run.folder / "history.jsonl", to_line(history[-1]))
            last = Checkpoint(log.epoch, log.params, log.state)
            if log.epoch % config.checkpoint_every == 0 or log.epoch == epochs:
                checkpoints.write(run.checkpoint_path(log.epoch), last)
            on_epoch(log)
            if config.attack and not known and (known := catastrophic_overfitting(history)):
                warn(f"catastrophic overfitting at epoch {known}: FGSM fools fewer inputs, PGD more, than before")
        found = {"status": "finished"}
    except KeyboardInterrupt:
        found = {"status": "interrupted"}
        checkpoints.write(run.checkpoint_path(last.epoch), last)
        _forget_after(run, last.epoch, epochs)  # an epoch that was being logged
        raise
    except (RefimplError, OSError) as error:
        found = {"status": "failed", "reason": str(error)}
        raise
    finally:
        seconds = round(manifest["seconds"] + time.monotonic() - began, 3)
        kept = {key: value for key, value in manifest.items() if key != "reason"}
        run.write_manifest(kept | found | {"ended": now(), "seconds": seconds, "catastrophic_overfitting": known})
    return last


def _training(config: Config, data: Dataset, backend: Backend, last: Checkpoint, epochs: int) -> Iterator[EpochLog]:
    """The epochs after the checkpoint `last`."""
    step = accelerated(config.step(last.params, last.state), config.threads)
    network = accelerated(config.trained(), config.threads)
    schedule = Schedule(epochs, config.batch_size, config.seed, start=last.epoch)
    return train(step, network, accelerated(on(backend, data)), schedule, config.regularizers)


def _monitor(config: Config, data: Dataset, backend: Backend, last: int) -> Monitor:
    n = config.monitor_examples
    inputs = LabelledImages(data.test.images[:n], data.test.labels[:n], backend, config.dtype)
    network = accelerated(config.trained(), config.threads)
    return Monitor(network, inputs, config.monitored_attacks(), "mi" in config.monitored, last)


def _forget_after(run: Run, epoch: int, last: int) -> None:
    """Drop the logs of epochs after the checkpoint: they will be made again, with the same bits.

    What was measured of an epoch because it was the last, and is no longer, goes too.
    """
    history = run.history
    if len(history) < epoch:
        raise DataError(
            f"{run.folder}/history.jsonl has {len(history)} epochs, but the latest checkpoint is of epoch {epoch}"
        )
    lines = "".join(to_line(unmonitored(log, last)) + "\n" for log in history[:epoch])
    write_text(run.folder / "history.jsonl", lines)
