"""Training runs of one stack together, each in its own folder, to the bits of a stack that was never stopped.

The bits of a model depend, by rounding, on which others are in the stack. So all runs go on from one epoch, and those
that are finished already, or diverge later, are computed again, without a trace in their folders.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import fields, replace
from functools import partial
from typing import Any

from ..backend import Backend
from ..data import Dataset, on
from ..errors import DataError, NumericalError, UsageError
from ..networks import FCNN
from ..training import EpochLog, Schedule
from ..training.stack import train_stack
from .checkpoint import Checkpoint
from .config import Config
from .fast_twins import accelerated
from .fit import Begun, Recorder, check_data, held, warn_of_changes
from .folder import Run, Warn
from .usage import SharedUsage


def alike(config: Config) -> Config | None:
    """What runs of one stack have in common, with defaults for the rest; None where a run cannot be in a stack.

    They differ in seeds, regularizers, what is monitored and the run they start from.
    """
    if type(config.network) is not FCNN or config.low_rank or not config.optimizer.elementwise:
        return None
    usual: Any = Config(network=config.network)
    monitoring = [one.name for one in fields(Config) if one.name.startswith("monitor")]
    common: Any = {name: getattr(usual, name) for name in ("seed", "regularizers", "start", *monitoring)}
    attack: Any = config.attack
    if hasattr(attack, "seed"):
        attack = replace(attack, seed=0)
    return replace(config, attack=attack, **common)


def fitting_stack(
    runs: Sequence[Run], data: Dataset, backend: Backend, warn: Warn = lambda message: None
) -> Iterator[dict[int, EpochLog | NumericalError]]:
    """After each epoch the logs of the runs that are not done yet, by their places in `runs`.

    Goes on from the last epoch after which all have a checkpoint. A run that diverges has a `NumericalError` in place
    of its log, and its folder says so; the others go on. What interrupts `refimpl.runs.fit.fitting` leaves all folders
    with a checkpoint of the last whole epoch. Raises `UsageError` and `DataError` as that does, and `UsageError` for
    runs that make no stack.
    """
    with ExitStack() as folders:
        for run in runs:
            folders.enter_context(held(run))
        going = [m for m, run in enumerate(runs) if not done(run)]
        if not going:
            return
        for run in runs:
            check_data(run, run.manifest, data)
        start = _common(runs, backend, warn)
        begun = {m: Begun(runs[m], runs[m].config, runs[m].manifest, last) for m, last in start.items()}
        warn_of_changes(begun[going[0]], warn)
        epochs, usage = _training(begun, going[0], data, backend), SharedUsage(len(begun))
        recorders = {
            m: folders.enter_context(Recorder(begun[m], data, backend, partial(_warn_of, warn, runs[m]), usage))
            for m in going
        }
        for outcomes in epochs:
            logs = {m: _recorded(recorders[m], outcomes[m]) for m in recorders if m in outcomes}
            usage.shared_by(sum(isinstance(outcome, EpochLog) for outcome in outcomes.values()))
            recorders = {m: recorders[m] for m, log in logs.items() if isinstance(log, EpochLog)}
            for recorder in recorders.values():
                recorder.agree()
            yield logs
            if not recorders:
                return


def done(run: Run) -> bool:
    """Whether a run is finished, or has diverged: it would do so again."""
    manifest = run.manifest
    return manifest["status"] == "finished" or "diverged" in manifest


def _common(runs: Sequence[Run], backend: Backend, warn: Warn) -> dict[int, Checkpoint]:
    """The checkpoints, by place, of the last epoch after which all runs that have not diverged by then have one.

    `warn` hears of damaged ones. Raises `DataError` where the first weights are damaged.
    """
    lost = [run.manifest.get("diverged") for run in runs]
    saved = [{epoch for epoch in run.saved_epochs() if epoch <= len(run.history)} for run in runs]
    for epoch in sorted(set.union(*saved), reverse=True):
        left = [m for m in range(len(runs)) if epoch < (lost[m] or epoch + 1)]
        if all(epoch in saved[m] for m in left):
            try:
                return {m: runs[m].load_epoch(epoch, backend) for m in left}
            except DataError as error:
                if epoch == 0:
                    raise
                warn(f"{error}; trying the checkpoints before it")
    raise DataError(f"{runs[0].folder} and the runs of its stack have no checkpoint to go on from")


def _training(
    begun: dict[int, Begun], leader: int, data: Dataset, backend: Backend
) -> Iterator[dict[int, EpochLog | NumericalError]]:
    """`train_stack` of runs, by place, to the last epoch of one of them; a finished one may have gone on for longer.

    Raises `UsageError` where they make no stack.
    """
    first = begun[leader].config
    configs = [replace(one.config, epochs=first.epochs) for one in begun.values()]
    if alike(first) is None or any(alike(config) != alike(first) for config in configs):
        raise UsageError("runs in a stack are of one fully connected net, trained alike but for seeds and regularizers")
    epochs = first.epochs_for(len(data.train.labels))
    epoch_logs = train_stack(
        [one.config.step(one.last.params, one.last.state) for one in begun.values()],
        accelerated(first.trained(), first.threads),
        accelerated(on(backend, data)),
        [Schedule(epochs, one.batch_size, one.seed, start=begun[leader].last.epoch) for one in configs],
        [one.regularizers for one in configs],
        partial(accelerated, threads=first.threads),
    )
    places = list(begun)
    return ({places[i]: outcome for i, outcome in outcomes.items()} for outcomes in epoch_logs)


def _recorded(recorder: Recorder, outcome: EpochLog | NumericalError) -> EpochLog | NumericalError:
    """The log as it is in the folder; the error where the run, or what is monitored of it, has failed."""
    try:
        if isinstance(outcome, NumericalError):
            raise outcome
        return recorder.add(outcome)
    except NumericalError as error:
        recorder.end(error)
        return error


def _warn_of(warn: Warn, run: Run, message: str) -> None:
    warn(f"{run.folder}: {message}")
