"""What a command needs before it can work on a run: the run, its parameters, its data, a backend."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

from threadpoolctl import threadpool_limits

from refimpl.backend import Backend, Params
from refimpl.backend import backend as make_backend
from refimpl.data import Dataset, load, resolve
from refimpl.errors import DataError
from refimpl.low_rank.network import dense, factorised
from refimpl.networks.gradients import Network
from refimpl.runs.config import Config
from refimpl.runs.folder import Run

from .console import note, warn


def find_data(name: str, arch: str, data_dir: Path | None) -> Dataset:
    """The data set that `name` means, with a line where it is not the one wished for."""
    found, remark = resolve(name, arch, data_dir)
    if remark:
        note(remark)
    return load(found, data_dir=data_dir)


class Session(NamedTuple):
    run: Run
    config: Config
    epoch: int
    network: Network
    params: Params
    data: Dataset
    backend: Backend


def open_run(
    folder: Path, data_dir: Path | None, backend: str | None, threads: int | None = None, share: float | None = None
) -> Session:
    """A trained run, ready to be looked at: its latest checkpoint, and the data it was trained on, by hash.

    With `share` its layers are truncated to that share of their full rank.
    """
    run = Run.open(folder)
    config = replace(run.config, threads=threads or run.config.threads)
    where = make_backend(backend or config.backend)
    checkpoint = run.load(where, warn)
    if checkpoint.epoch == 0:
        raise DataError(f"{folder} has no checkpoint yet: `refimpl train --resume {folder}` goes on with it")
    data = load(config.dataset, data_dir=data_dir)
    if data.sha256 != run.manifest["data"]["sha256"]:
        raise DataError(f"{folder} was trained on other data than the {data.name} found in {data.source}")
    params = checkpoint.params if share is None else factorised(dense(checkpoint.params), share)
    return Session(run, config, checkpoint.epoch, config.network, params, data, where)


@contextmanager
def blas_threads(count: int) -> Iterator[None]:
    with threadpool_limits(count, user_api="blas"):
        yield


@contextmanager
def sigterm_interrupts() -> Iterator[None]:
    """Let SIGTERM, a cluster's polite kill, do what Ctrl-C does."""

    def interrupt(number: int, frame: FrameType | None) -> Any:
        raise KeyboardInterrupt

    previous = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)
