"""One epoch of training, shuffled, gathered and all, against the same epoch elsewhere."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, Protocol, runtime_checkable

import numpy as np

from ..backend import Backend, Params, fetch, to_host
from ..backend import backend as make_backend
from ..data import Dataset, on
from ..networks import Network
from ..rng import stream
from ..runs.config import Config
from ..runs.fast_twins import accelerated
from ..settings import setting
from ..training import score
from . import peers
from .base import BENCHMARKS, NetworkBenchmark, Note, described
from .memory import peak_bytes
from .timing import Row, interleave, row

OURS, READABLE = "refimpl", "refimpl, readable step"
NAMES = {"torch": ("torch, eager",), "jax": ("jax, jitted step", "jax, epoch as one scan")}
"""The competitors of each peer."""


@runtime_checkable
class Competitor(Protocol):
    """A network that trains one epoch in a given order, and knows its test accuracy afterwards."""

    def epoch(self, order: np.ndarray) -> None: ...

    def accuracy(self) -> float: ...


class Task(NamedTuple):
    """What a peer trains: plain SGD on the mean cross-entropy, from these first weights on the host.

    `device` is "cpu" or "cuda".
    """

    network: Network
    params: Params
    data: Dataset
    learning_rate: float
    batch_size: int
    threads: int
    device: str = "cpu"


class Ours:
    """Our training step, called as the training loop calls it: the fast twin, or the readable one."""

    def __init__(self, config: Config, data: Dataset, backend: Backend, *, fast: bool = True) -> None:
        self.params = config.init(backend)
        self.step = config.step(self.params, config.updates().init(self.params))
        self.network, self.examples, self.backend = config.trained(), on(backend, data), backend
        self.batch_size, self.t = config.batch_size, 0
        if fast:
            self.step = accelerated(self.step, config.threads)
            self.network = accelerated(self.network, config.threads)
            self.examples = accelerated(self.examples)

    def epoch(self, order: np.ndarray) -> None:
        here, dtype = self.backend.asarray(order), self.params["b1"].dtype
        for i in range(0, len(order), self.batch_size):
            self.t += 1
            batch = self.examples.batch(here[i : i + self.batch_size], dtype)
            self.step(batch._replace(step=self.t, new_epoch=i == 0))
        self.backend.synchronize()

    def accuracy(self) -> float:
        params, _ = self.step.snapshot()
        labels = self.examples.test_labels
        _, correct = score(self.network, params, self.examples.test_images, labels)
        return float(fetch([correct])[0]) / len(labels)


@BENCHMARKS.register("train")
@dataclass(frozen=True, kw_only=True)
class Train(NetworkBenchmark):
    """One epoch of plain SGD at the network's usual sizes, shuffling and gathering included.

    Rows have the accuracies after equal steps from equal weights, and on the CPU the peak memory of an epoch. The
    readable step of refimpl is a peer, too.
    """

    name: ClassVar[str] = "train"
    few: ClassVar[int] = 6400

    against: tuple[str, ...] = setting(("torch",), "Peers: torch, jax.")
    examples: int | None = setting(None, "The first so many examples.", usual="all; cnn 6400", at_least=1)

    def __post_init__(self) -> None:
        super().__post_init__()
        peers.check(self.against, NAMES)

    def rows(self, note: Note) -> list[Row]:
        config, backend = self.config, make_backend(self.backend)
        data = self.load(config.network, note)
        n = len(data.train.labels)
        title = f"train {described(config.network)}, {data.name}, an epoch of {n}"
        there, absent = peers.present(self.against, config.network, title, backend.device_kind)
        names = [OURS, READABLE, *(name for peer in there for name in NAMES[peer])]
        competitors = {name: competitor(name, config, data, backend) for name in names}
        times = interleave({name: epochs(c, n) for name, c in competitors.items()}, self.repeats)
        accuracy = {name: c.accuracy() for name, c in competitors.items()}
        peak = {name: peak_bytes(_prepared, name, config, data) for name in names} if backend.name == "numpy" else {}
        rows = []
        for name in names[1:]:
            results: dict[str, Any] = {"accuracy": accuracy[OURS], "peer_accuracy": accuracy[name]}
            if peak.get(name):
                results |= {"peak_bytes": peak[OURS], "peer_peak_bytes": peak[name]}
            rows.append(row(title, times[OURS], name, times[name], **results))
        return rows + absent


def competitor(name: str, config: Config, data: Dataset, backend: Backend) -> Competitor:
    """One of those of `Train` by name, from the same first weights."""
    if name in (OURS, READABLE):
        return Ours(config, data, backend, fast=name == OURS)
    (peer,) = (peer for peer, names in NAMES.items() if name in names)
    params = {key: to_host(p) for key, p in config.init(backend).items()}
    rate, size = config.optimizer.learning_rate, config.batch_size
    task = Task(config.network, params, data, rate, size, config.threads, backend.device_kind)
    trained: Competitor = peers.load(peer).competitor(name, task)
    return trained


def _prepared(name: str, config: Config, data: Dataset) -> Callable[[], None]:
    """An epoch from nothing; the peer's library is imported already."""
    for peer, names in NAMES.items():
        if name in names:
            peers.load(peer)
    order = np.arange(len(data.train.labels))
    return lambda: competitor(name, config, data, make_backend("numpy")).epoch(order)


def epochs(competitor: Competitor, n: int) -> Callable[[], None]:
    """Epoch after epoch, each in the order everybody else has for it; drawing the order counts."""
    epoch = iter(range(1, 10**6))
    return lambda: competitor.epoch(stream(0, "shuffle", next(epoch)).permutation(n))
