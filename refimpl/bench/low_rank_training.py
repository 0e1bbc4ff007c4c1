"""A training step that keeps layers as U S V^T against the steps of the dense net."""

from typing import Any

from ..backend import Backend
from ..data import Dataset
from ..low_rank.network import n_weights
from ..runs.config import Config
from ..training.loop import examples, make_step
from ..training.step import Step
from .race import Row, race, row
from .train import Ours, epochs


def bench_low_rank_training(
    data: Dataset, backend: Backend, *, arch: str = "fcnn", share: float = 0.5, threads: int, repeats: int
) -> list[Row]:
    """Rows of seconds an epoch: ours keeps `share` of the rank, the dense net is the peer, readable step and fast.

    `weights` counts what is trained, beside the dense net's.
    """
    low, full = Config.of(arch=arch, threads=threads, low_rank=share), Config.of(arch=arch, threads=threads)
    arrays = examples(data, backend)
    runners, weights = {}, {}
    for name, config, make in (
        ("low rank", low, Step),
        ("dense, readable step", full, Step),
        ("dense, fast step", full, make_step),
    ):
        optimizer, params = config.make_optimizer(), config.init(backend)
        step: Any = make(
            config.network, params, optimizer.init(params), optimizer, arrays.train_images, arrays.train_labels
        )
        runners[name] = epochs(Ours(step, arrays, backend, config.batch_size), len(data.train.labels))
        weights[name] = n_weights(params)
    times = race(runners, repeats)
    first, *peers = times
    title = f"train {arch} at {share:.0%} of the rank, {data.name}, an epoch of {len(data.train.labels)}"
    return [
        row(title, times[first], peer, times[peer], threads, weights=weights[first], peer_weights=weights[peer])
        for peer in peers
    ]
