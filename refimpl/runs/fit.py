"""Training a run to its last epoch, from wherever it was left, to the bits of a run that was never stopped."""

import time
from collections.abc import Callable

from filelock import Timeout

from ..atomic import append_line, write_text
from ..backend import Backend
from ..data import Dataset
from ..errors import DataError, UsageError
from ..training.loop import Record, examples, make_step, train
from ..training.monitor import Watch, catastrophic_overfitting
from . import checkpoint as checkpoints
from .checkpoint import Checkpoint
from .folder import Run
from .manifest import differences, environment, now
from .results import to_line


def fit(
    run: Run,
    data: Dataset,
    backend: Backend,
    on_epoch: Callable[[Record], None],
    warn: Callable[[str], None] = lambda message: None,
) -> Checkpoint:
    """Train `run` from its latest checkpoint, or from the start, to its last epoch; the final checkpoint.

    Ends with the same bits as a run that was never stopped. KeyboardInterrupt first writes a checkpoint of the last
    whole epoch. Raises `DataError` where the data are not those the run began with, `UsageError` where another
    process is at work on it, `NumericalError` where training fails.
    """
    try:
        with run.lock():
            return _fit(run, data, backend, on_epoch, warn)
    except Timeout:
        raise UsageError(f"{run.folder}: another process is training this run") from None


def _fit(
    run: Run, data: Dataset, backend: Backend, on_epoch: Callable[[Record], None], warn: Callable[[str], None]
) -> Checkpoint:
    config, manifest = run.config, run.manifest
    if manifest["data"]["sha256"] != data.sha256:
        raise DataError(
            f"{run.folder} was trained on other data: the SHA-256 in its manifest are not those of {data.name}"
        )
    epochs = config.epochs_for(len(data.train.labels))
    last = run.load(backend, warn)
    if last.epoch:
        for difference in differences(manifest, environment(config.backend)):
            warn(f"{run.folder} was begun with {difference}: the bits may differ from an uninterrupted run's")
    _forget_after(run, last.epoch)
    run.write_manifest(manifest | {"status": "running"})

    network, arrays = config.network, examples(data, backend)
    step = make_step(
        network,
        last.params,
        last.state,
        config.make_optimizer(),
        arrays.train_images,
        arrays.train_labels,
        config.make_penalty(),
        config.make_adversary(),
        config.make_weight_adversary(),
        config.make_reach(),
    )
    records = train(
        network, step, arrays, epochs=epochs, batch_size=config.batch_size, seed=config.seed, start=last.epoch
    )
    watch, history = Watch(network, config, data, backend, epochs), run.history

    def overfitted() -> int | None:
        return None if config.adversarial == "none" else catastrophic_overfitting(history)

    known = overfitted()
    status, began = "failed", time.monotonic()
    try:
        for record in records:
            history.append(watch(record.line(), record.params))
            append_line(run.folder / "history.jsonl", to_line(history[-1]))
            last = Checkpoint(record.epoch, record.params, record.state)
            if record.epoch % config.checkpoint_every == 0 or record.epoch == epochs:
                checkpoints.write(run.checkpoint_path(record.epoch), last)
            on_epoch(record)
            if not known and (known := overfitted()):
                warn(f"catastrophic overfitting at epoch {known}: FGSM fools fewer inputs, PGD more, than before")
        status = "finished"
    except KeyboardInterrupt:
        status = "interrupted"
        checkpoints.write(run.checkpoint_path(last.epoch), last)
        raise
    finally:
        seconds = manifest["seconds"] + time.monotonic() - began
        found = {"status": status, "ended": now(), "seconds": round(seconds, 3)}
        run.write_manifest(manifest | found | {"catastrophic_overfitting": known})
    return last


def _forget_after(run: Run, epoch: int) -> None:
    """Drop the records of epochs after the checkpoint: they will be made again, with the same bits."""
    history = run.history
    if len(history) < epoch:
        raise DataError(
            f"{run.folder}/history.jsonl has {len(history)} epochs, but the latest checkpoint is of epoch {epoch}"
        )
    lines = "".join(to_line(record) + "\n" for record in history[:epoch])
    write_text(run.folder / "history.jsonl", lines)
