"""A trained run, ready to be looked at: its network, its weights, its data, a backend."""

from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from ..backend import Backend, Params
from ..backend import backend as make_backend
from ..data import Dataset, load
from ..errors import DataError
from ..low_rank import LowRankNetwork, factorised
from ..networks import Network
from .config import Config
from .fast_twins import accelerated
from .folder import Run, Warn
from .schema import Origin


class Session(NamedTuple):
    """`network` is the fast twin where there is one, and in factors where the layers are.

    `checkpoint_sha256` is the hash in the checkpoint that `params` were read from.
    """

    run: Run
    config: Config
    epoch: int
    network: Network
    params: Params
    data: Dataset
    backend: Backend
    checkpoint_sha256: str

    @property
    def origin(self) -> Origin:
        """What is found of the net was made from, as the keys of a result."""
        return {
            "epoch": self.epoch,
            "checkpoint_sha256": self.checkpoint_sha256,
            "data_sha256": self.data.sha256,
        }


def open_run(
    folder: Path,
    data_dir: Path | None = None,
    backend: str | None = None,
    threads: int | None = None,
    warn: Warn = lambda message: None,
) -> Session:
    """The run in `folder` at its latest checkpoint, with the data it was trained on, by hash.

    Raises `DataError` for what is no run or has no checkpoint, and where the data are others.
    """  # fmt: skip
    run = Run.open(folder)
    config = replace(run.config, threads=threads or run.config.threads)
    where = make_backend(backend or config.backend)
    checkpoint = run.load(where, warn)
    if checkpoint.epoch == 0:
        raise DataError(f"{folder} has no checkpoint yet: `refimpl train --resume {folder}` goes on with it")
    data = load(config.dataset, data_dir=data_dir)
    if data.sha256 != run.manifest["data"]["sha256"]:
        raise DataError(f"{folder} was trained on other data than the {data.name} found in {data.source}")
    network = accelerated(config.trained(), config.threads)
    return Session(run, config, checkpoint.epoch, network, checkpoint.params, data, where, checkpoint.sha256)


def full(session: Session) -> Session:
    """The same net with its layers as full weights, where they are in factors."""
    params: Any = session.config.trained().full(session.params)
    return session._replace(network=accelerated(session.config.network, session.config.threads), params=params)


def truncated(session: Session, fraction: float) -> Session:
    """The net with its layers, but the last, truncated to a fraction of their full rank."""
    params = factorised(full(session).params, fraction)
    network: Any = LowRankNetwork(session.config.network, fraction)
    return session._replace(network=accelerated(network, session.config.threads), params=params)
