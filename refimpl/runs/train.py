"""Training from Python, in memory or in a folder: an iterator of epoch logs that can be stopped and continued."""

from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, runtime_checkable

import numpy as np
from threadpoolctl import ThreadpoolController

from ..backend import Backend, Params, to_host
from ..data import Dataset
from ..errors import DataError, RefimplError, UsageError
from ..layers.images import scale
from ..networks import Network
from ..parameters import depth, in_order
from ..tables import html_table, percent
from ..tape import gradients
from ..training import EpochLog
from . import checkpoint as checkpoints
from .checkpoint import Checkpoint
from .config import Config
from .fast_twins import accelerated
from .fit import fitting, monitored, training
from .folder import Run, Warn, begun
from .trained import TrainedRun, data_of, open_run, warn_in_python
from .zoo import opened

Logs = Generator[EpochLog, None, Any]


@runtime_checkable
class Home(Protocol):
    """Where a run is: it is trained on from there, as often as it is interrupted."""

    run: Run | None
    config: Config
    data: Dataset

    def logs(self) -> Logs: ...

    def result(self) -> TrainedRun: ...


class Training:
    """The epochs that are still to be trained: iterate over their logs, or ask for the `result`.

    In a loop that is left early, or interrupted, training goes on where it was when the next epoch is asked for, to the
    bits of a run that was never stopped. A run in a folder is locked until its last epoch; `close`, or a `with` block,
    leaves it to others, and to `resume`.
    """

    def __init__(self, home: Home) -> None:
        self.config, self.data, self.run = home.config, home.data, home.run
        self._home, self._blas = home, ThreadpoolController()
        self._logs: Logs | None = None
        self._last: EpochLog | None = None
        self._finished = False

    @property
    def epochs(self) -> int:
        """The number of the last epoch."""
        return self.config.epochs_for(len(self.data.train.labels))

    def __iter__(self) -> "Training":
        return self

    def __next__(self) -> EpochLog:
        """Train an epoch. Raises `NumericalError` where training fails, and what `refimpl.runs.fit` does."""
        if self._finished:
            raise StopIteration
        self._logs = self._logs or self._home.logs()
        try:
            with self._blas.limit(limits=self.config.blas_threads, user_api="blas"):
                self._last = next(self._logs)
        except StopIteration:
            self._finished = True
            raise
        except BaseException:
            self._logs = None
            raise
        return self._last

    def result(self) -> TrainedRun:
        """The trained run, once the epochs that are left are trained."""
        for _ in self:
            pass
        return self._home.result()

    def close(self, error: BaseException | None = None) -> None:
        """Stop here. A run in a folder is left with a checkpoint of the last whole epoch; `error` is why it failed."""
        going, self._logs = self._logs, None
        if going is None:
            return
        thrown = error or GeneratorExit()
        try:
            going.throw(thrown)
        except BaseException as raised:
            if raised is not thrown:
                raise

    def __enter__(self) -> "Training":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(error)

    def __repr__(self) -> str:
        return f"<Training of {self.config.arch} on {self.data.name}: {self._progress}>"

    def _repr_html_(self) -> str:
        known = ("", "") if self._last is None else (f"{self._last.loss:.4f}", percent(self._last.accuracy))
        header = ("training", "epochs", "loss", "test accuracy")
        return html_table(repr(self)[1:-1], header, [(self.config.method, self._progress, *known)])

    @property
    def _progress(self) -> str:
        return f"{self._last.epoch if self._last else 0} of {self.epochs} epochs"


def train(
    config: Config,
    data: Dataset,
    *,
    folder: Path | str | None = None,
    start: TrainedRun | Path | str | None = None,
    warn: Warn = warn_in_python,
) -> Training:
    """Training of a new run: `for log in train(config, data): ...`, or `train(config, data).result()`.

    The network's ends follow from the data. Without a `folder` nothing is written; with it, which must not exist, the
    run can be resumed, opened and compared. `start` is a run, its folder, or `zoo:NAME`, whose weights are the first.
    Raises `UsageError` for a configuration that does not go with the data or is not the network's, `DataError` for
    weights of another network, before anything is trained.
    """
    if not isinstance(config, Config) or not isinstance(data, Dataset):
        raise UsageError(
            f"expected a Config and a Dataset, got {type(config).__name__} and {type(data).__name__}: data are made by"
            " load and Dataset.from_arrays"
        )
    backend = config.make_backend()
    given, config = _start(config, start, warn)
    config = for_data(replace(config, backend=backend.name), data)
    with ThreadpoolController().limit(limits=config.blas_threads, user_api="blas"):  # which the manifest records
        first = begun(config, given)
        if config.low_rank is None:
            check_network(config.network, first.params, data)
        if folder is None:
            return Training(_InMemory(config, data, backend, first, warn))
        return Training(_InFolder(Run.create(Path(folder), config, data, given), data, backend, None, warn))


def resume(
    folder: Path | str,
    *,
    data: Dataset | None = None,
    data_dir: Path | str | None = None,
    epochs: int | None = None,
    warn: Warn = warn_in_python,
) -> Training:
    """Training of the run in `folder`, from its latest checkpoint to its last epoch, or to as many `epochs`.

    `data` are those of a run that was trained on arrays; else they are looked for by name, first in `data_dir`. Raises
    `DataError` for what is no run; where the data are others or the run is damaged, as the first epoch is asked for.
    """  # fmt: skip
    run = opened(folder)
    if run.read_only:
        raise UsageError(f"{run.title} is read only: `refimpl train --from {run.title}` goes on from its weights")
    return Training(_InFolder(run, data or data_of(run, data_dir), run.config.make_backend(), epochs, warn))


class _InFolder:
    def __init__(self, run: Run, data: Dataset, backend: Backend, epochs: int | None, warn: Warn) -> None:
        self.run: Run | None = run
        self.config = run.config if epochs is None else replace(run.config, epochs=epochs)
        self.data = data
        self._files, self._backend, self._epochs, self._warn = run, backend, epochs, warn

    def logs(self) -> Logs:
        return fitting(self._files, self.data, self._backend, self._warn, self._epochs)

    def result(self) -> TrainedRun:
        return open_run(self._files.folder, data=self.data, warn=self._warn)


class _InMemory:
    run: Run | None = None

    def __init__(self, config: Config, data: Dataset, backend: Backend, first: Checkpoint, warn: Warn) -> None:
        params, state = ({name: backend.asarray(x) for name, x in part.items()} for part in (first.params, first.state))
        self.config, self.data = config, data
        self._backend, self._warn = backend, warn
        self._last = Checkpoint(0, params, state)
        self._history: list[dict[str, Any]] = []

    def logs(self) -> Logs:
        del self._history[self._last.epoch :]  # an epoch that was being logged
        completed = monitored(self.config, self._history, self.data, self._backend, self._warn)
        for log in training(self.config, self.data, self._backend, self._last):
            log = completed(log)
            self._last = Checkpoint(log.epoch, log.params, log.state)
            yield log

    def result(self) -> TrainedRun:
        return TrainedRun(
            config=self.config,
            epoch=self._last.epoch,
            network=accelerated(self.config.trained(), self.config.threads),
            params=self._last.params,
            data=self.data,
            backend=self._backend,
            checkpoint_sha256=checkpoints.sha256(self._last),
            logs=tuple(self._history),
            warn=self._warn,
        )


def _start(config: Config, start: TrainedRun | Path | str | None, warn: Warn) -> tuple[Checkpoint | None, Config]:
    """The weights to start from, on the host, and the configuration that names where they are from."""
    if start is None:
        if config.start:
            raise UsageError(f"the configuration is of a run that started from {config.start}: give it as start")
        return None, config
    if isinstance(start, TrainedRun):
        params = {name: to_host(p) for name, p in start.params.items()}
        return Checkpoint(0, params, {}), replace(config, start=str(start.folder or start.place))
    found = opened(start).latest(warn)
    if found is None:
        raise DataError(f"{start} has no checkpoint to start from")
    return found, replace(config, start=str(start))


def for_data(config: Config, data: Dataset) -> Config:
    """The configuration with what follows from the data. Raises `UsageError` for one that is for other data."""
    if config.dataset not in ("auto", data.name):
        raise UsageError(f"the configuration is for the data set {config.dataset}, and the data are {data.name}")
    return replace(
        config,
        network=config.network.for_data(data.shape, data.classes),
        attack=config.attack and config.attack.for_images(data.shape),
        dataset=data.name,
        epochs=config.epochs_for(len(data.train.labels)),
    )


def check_network(network: Network, params: Params, data: Dataset) -> None:
    """Raise `UsageError` unless the network does with two images what its protocol promises."""
    kind = type(network).__name__
    x = scale(data.train.images[:2], in_order(params)["b1"].dtype)
    try:
        logits, tape = network.forward(params, x)
        grads, hidden = gradients(tape, np.ones_like(logits)), network.hidden(params, x)
    except RefimplError:
        raise
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise UsageError(f"{kind} fails on two images of {x.shape[1]} pixels: {error}") from error
    if logits.shape[:1] != (2,) or logits.ndim != 2 or logits.shape[1] < data.classes:
        raise UsageError(f"{kind}.forward gives {logits.shape} for two images, expected logits (2, {data.classes})")
    for name, p in params.items():
        if name not in grads or grads[name].shape != p.shape:
            found = grads[name].shape if name in grads else "missing"
            raise UsageError(f"{kind}.forward: by its tape the gradient of {name} {p.shape} is {found}")
    shapes = [t.shape for t in hidden]
    if len(shapes) != depth(params) - 1 or any(len(shape) != 2 or shape[0] != 2 for shape in shapes):
        raise UsageError(
            f"{kind}.hidden gives {shapes} for two images, expected two rows of each of {depth(params) - 1} layers"
        )
