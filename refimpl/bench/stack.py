"""Many models in one step against one by one, and against the same stacks elsewhere; times are those of a model."""

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from ..backend import backend as make_backend
from ..backend import fetch
from ..data import Dataset, on
from ..errors import UsageError
from ..parameters import stacked
from ..runs.config import Config
from ..runs.fast_twins import accelerated
from ..settings import setting
from ..training import score
from ..training.stack import stacked_batch, stacked_step
from . import peers
from .base import BENCHMARKS, DataBenchmark, Note
from .timing import Row, interleave, row
from .train import OURS, Competitor, Ours, Task, epochs

SINGLE = "single"
"""Our own step of one model, as often as there are models."""

NAMES = {"torch": ("torch, vmap of the step",), "jax": ("jax, one scan", "jax, vmap of the scan")}
"""The competitors of each peer."""

OF_ONE = (SINGLE, "jax, one scan")
"""Those that train one model at a time, of which one is trained."""


class OurStack:
    """Our step of a stack whose models share their batches, called as `train_stack` calls it."""

    def __init__(self, configs: list[Config], data: Dataset) -> None:
        backend, first = make_backend("numpy"), configs[0]
        params = [config.init(backend) for config in configs]
        steps = [config.step(p, config.updates().init(p)) for config, p in zip(configs, params, strict=True)]
        self.step, self.network = accelerated(stacked_step(steps)), accelerated(first.trained())
        self.examples, self.batch_size, self.t = accelerated(on(backend, data)), first.batch_size, 0

    def epoch(self, order: np.ndarray) -> None:
        dtype = self.step.params["b1"].dtype
        for i in range(0, len(order), self.batch_size):
            self.t += 1
            index = order[None, i : i + self.batch_size]
            batch = stacked_batch(self.examples, index, dtype, self.step.params)
            self.step(batch._replace(step=self.t, new_epoch=i == 0))

    def accuracy(self) -> float:
        """The mean over the models."""
        params, _ = self.step.snapshot()
        labels = self.examples.test_labels
        _, correct = score(self.network, params, self.examples.test_images, labels)
        return float(np.mean(fetch([correct])[0])) / len(labels)


@BENCHMARKS.register("stack")
@dataclass(frozen=True, kw_only=True)
class Stack(DataBenchmark):
    """An epoch of plain SGD for many fully connected nets that share their batches; seconds are those of one model.

    Rows have mean accuracies after equal steps. The peer `single` is our own step of one model.
    """

    name: ClassVar[str] = "stack"

    models: tuple[int, ...] = setting((1, 2, 4, 8, 16, 32), "Numbers of models in a stack.")
    against: tuple[str, ...] = setting(("jax", "torch"), "Peers: torch, jax.")
    examples: int | None = setting(12_800, "The first so many examples.", at_least=1)

    def __post_init__(self) -> None:
        super().__post_init__()
        peers.check(self.against, NAMES)
        if min(self.models, default=0) < 1:
            raise UsageError(f"stack models must be numbers of at least 1, got {self.models}")

    def rows(self, note: Note) -> list[Row]:
        config = Config(threads=self.threads)
        data = self.load(config.network, note)
        title = f"stack of fcnn, {data.name}, an epoch of {len(data.train.labels)}, seconds a model"
        there, absent = peers.present(self.against, config.network, title)
        names = [SINGLE, *(name for peer in there for name in NAMES[peer])]
        found = []
        for models in self.models:
            of_so_many = f"{title}, {models} model{'s' if models > 1 else ''}"
            found += _rows(of_so_many, models, names, config, data, self.repeats)
        return found + absent


def _rows(title: str, models: int, names: list[str], config: Config, data: Dataset, repeats: int) -> list[Row]:
    """Ours against each of `names`."""
    competitors = {name: competitor(name, models, config, data) for name in (OURS, *names)}
    times = interleave({name: epochs(c, len(data.train.labels)) for name, c in competitors.items()}, repeats)
    of_a_model = {name: [s / (1 if name in OF_ONE else models) for s in taken] for name, taken in times.items()}
    accuracy = {name: c.accuracy() for name, c in competitors.items()}
    return [
        row(title, of_a_model[OURS], name, of_a_model[name], accuracy=accuracy[OURS], peer_accuracy=accuracy[name])
        for name in names
    ]


def competitor(name: str, models: int, config: Config, data: Dataset) -> Competitor:
    """One of those of a benchmark by name, from first weights of as many seeds as there are models."""
    if name == SINGLE:
        return Ours(config, data, make_backend("numpy"))
    configs = [replace(config, seed=seed) for seed in range(models)]
    if name == OURS:
        return OurStack(configs, data)
    (peer,) = (peer for peer, known in NAMES.items() if name in known)
    first = config.init(make_backend("numpy"))
    params = first if name in OF_ONE else stacked([one.init(make_backend("numpy")) for one in configs])
    task = Task(config.network, params, data, config.optimizer.learning_rate, config.batch_size, config.threads)
    found: Competitor = peers.load(peer).competitor(name, task)
    return found
