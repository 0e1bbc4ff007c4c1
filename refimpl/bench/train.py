"""One epoch of training, shuffled, gathered and all, against the same epoch elsewhere."""

import importlib.util
from collections.abc import Callable
from typing import Protocol, runtime_checkable

import numpy as np

from ..backend import Backend, Params, to_host
from ..config import Config
from ..data import Dataset
from ..fused_step import FusedStep
from ..seeds import stream
from ..step import Step
from ..train import Examples, examples, make_step, score
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


def bench_train(
    data: Dataset, backend: Backend, *, arch: str = "fcnn", against: tuple[str, ...], threads: int, repeats: int
) -> list[Row]:
    """Rows of seconds an epoch and accuracies after equal steps from equal weights; the readable step is a peer too.

    `against` names peers: "torch" (eager), "jax" (a jitted step, and an epoch as one scan).
    """
    config, n = Config.of(arch=arch, threads=threads), len(data.train.labels)
    learning_rate, batch_size, network = config.learning_rate, config.batch_size, config.network
    arrays, optimizer = examples(data, backend), config.make_optimizer()

    def params() -> Params:
        return config.init(backend)

    fast = make_step(network, params(), {}, optimizer, arrays.train_images, arrays.train_labels)
    contestants: dict[str, Contestant] = {"refimpl": Ours(fast, arrays, backend, batch_size)}
    if not isinstance(fast, Step):
        slow = Step(network, params(), {}, optimizer, arrays.train_images, arrays.train_labels)
        contestants["refimpl, readable step"] = Ours(slow, arrays, backend, batch_size)
    host = {name: to_host(p) for name, p in params().items()}
    missing = [peer for peer in against if importlib.util.find_spec(peer) is None]
    if "torch" in against and "torch" not in missing:
        from . import torch_peer

        contestants["torch, eager"] = torch_peer.Training(host, data, learning_rate, batch_size, threads)
    if "jax" in against and "jax" not in missing and arch == "fcnn":
        from . import jax_peer

        for name, scan in (("jax, jitted step", False), ("jax, epoch as one scan", True)):
            contestants[name] = jax_peer.Training(host, data, learning_rate, batch_size, scan=scan)

    times = race({name: epochs(c, n) for name, c in contestants.items()}, repeats)
    title = f"train {arch}, {data.name}, an epoch of {n}"
    accuracy = {name: c.accuracy() for name, c in contestants.items()}
    ours = times.pop("refimpl")
    rows = [
        row(title, ours, peer, taken, threads, accuracy=accuracy["refimpl"], peer_accuracy=accuracy[peer])
        for peer, taken in times.items()
    ]
    return rows + [absent(title, peer, threads) for peer in missing]


def epochs(contestant: Contestant, n: int) -> Callable[[], None]:
    """Epoch after epoch, each in the order everybody else has for it; drawing the order counts."""
    epoch = iter(range(1, 10**6))
    return lambda: contestant.epoch(stream(0, "shuffle", next(epoch)).permutation(n))
