"""One epoch of training, shuffled, gathered and all, against the same epoch elsewhere."""

import importlib
import importlib.util
from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import numpy as np

from ..backend import Backend, to_host
from ..backend import backend as make_backend
from ..data import Dataset
from ..fast.step import FusedStep
from ..rng import stream
from ..runs.config import Config
from ..training.loop import Examples, examples, make_step, score
from ..training.step import Step
from .memory import peak_bytes
from .race import Row, absent, race, row


@runtime_checkable
class Contestant(Protocol):
    """Something that trains one epoch in a given order, and knows its test accuracy afterwards."""

    def epoch(self, order: np.ndarray) -> None: ...

    def accuracy(self) -> float: ...


class Ours:
    """Our training step, the fast one or the readable one, called as the training loop calls it."""

    def __init__(self, step: Step | FusedStep, data: Examples, backend: Backend, batch_size: int) -> None:
        self.step, self.data, self.backend, self.batch_size = step, data, backend, batch_size
        self.network, self.t = step.network, 0

    def epoch(self, order: np.ndarray) -> None:
        here = self.backend.asarray(order)
        for i in range(0, len(order), self.batch_size):
            self.t += 1
            self.step(here[i : i + self.batch_size], self.t)
        self.backend.synchronize()

    def accuracy(self) -> float:
        _, correct = score(self.network, self.step.params, self.data.test_images, self.data.test_labels)
        return float(to_host(correct)) / len(self.data.test_labels)


PEERS = {
    "torch": ("torch, eager",),
    "jax": ("jax, jitted step", "jax, epoch as one scan"),
}


def bench_train(
    data: Dataset, backend: Backend, *, arch: str = "fcnn", against: tuple[str, ...], threads: int, repeats: int
) -> list[Row]:
    """Rows of seconds an epoch, accuracies after equal steps from equal weights, and peak memory of an epoch.

    `against` names peers: "torch" (eager), and for fcnn "jax" (a jitted step, and an epoch as one scan). The
    readable step is a peer too.
    """
    missing = [peer for peer in against if importlib.util.find_spec(peer) is None]
    there = [peer for peer in against if peer not in missing and (peer, arch) != ("jax", "cnn")]
    names = ["refimpl", "refimpl, readable step", *(name for peer in there for name in PEERS[peer])]
    contestants = {name: contestant(name, arch, data, backend, threads) for name in names}
    n = len(data.train.labels)
    times = race({name: epochs(c, n) for name, c in contestants.items()}, repeats)
    accuracy = {name: c.accuracy() for name, c in contestants.items()}
    peak = {name: peak_bytes(_prepared, name, arch, data, threads) for name in names} if backend.xp is np else {}
    title = f"train {arch}, {data.name}, an epoch of {n}"
    rows = []
    for name in names[1:]:
        results: dict[str, Any] = {"accuracy": accuracy["refimpl"], "peer_accuracy": accuracy[name]}
        if peak.get(name):
            results |= {"peak_bytes": peak["refimpl"], "peer_peak_bytes": peak[name]}
        rows.append(row(title, times["refimpl"], name, times[name], threads, **results))
    return rows + [absent(title, peer, threads) for peer in missing]


def contestant(name: str, arch: str, data: Dataset, backend: Backend, threads: int) -> Contestant:
    """One of `bench_train`'s by name, from the same first weights."""
    config = Config.of(arch=arch, threads=threads)
    params, batch_size, learning_rate = config.init(backend), config.batch_size, config.learning_rate
    if name.startswith("refimpl"):
        arrays, make = examples(data, backend), make_step if name == "refimpl" else Step
        step = make(config.network, params, {}, config.make_optimizer(), arrays.train_images, arrays.train_labels)
        return Ours(step, arrays, backend, batch_size)
    host = {name: to_host(p) for name, p in params.items()}
    if name.startswith("torch"):
        from . import torch_peer

        return torch_peer.Training(config.network, host, data, learning_rate, batch_size, threads)
    from . import jax_peer

    return jax_peer.Training(host, data, learning_rate, batch_size, scan="scan" in name)


def _prepared(name: str, arch: str, data: Dataset, threads: int) -> Callable[[], None]:
    """An epoch from nothing; the peer's library is imported already."""
    for peer, names in PEERS.items():
        if name in names:
            importlib.import_module(f".{peer}_peer", __package__)
    order = np.arange(len(data.train.labels))
    return lambda: contestant(name, arch, data, make_backend("numpy"), threads).epoch(order)


def epochs(contestant: Contestant, n: int) -> Callable[[], None]:
    """Epoch after epoch, each in the order everybody else has for it; drawing the order counts."""
    epoch = iter(range(1, 10**6))
    return lambda: contestant.epoch(stream(0, "shuffle", next(epoch)).permutation(n))
