"""A training step that keeps layers as U S V^T against the steps of the dense net."""

from dataclasses import dataclass, replace
from typing import ClassVar

from ..backend import backend as make_backend
from ..low_rank import LowRank, n_weights
from ..settings import setting
from .base import BENCHMARKS, NetworkBenchmark, Note, described
from .timing import Row, interleave, row
from .train import Ours, epochs


@BENCHMARKS.register("low-rank")
@dataclass(frozen=True, kw_only=True)
class LowRankTraining(NetworkBenchmark):
    """An epoch of low-rank training against one of the dense net, by the readable and by the fast step.

    `weights` counts what is trained, beside the dense net's.
    """

    name: ClassVar[str] = "low-rank"

    fraction: float = setting(0.5, "Fraction of the full rank that layers keep.", above=0, at_most=1)

    def rows(self, note: Note) -> list[Row]:
        dense, backend = self.config, make_backend(self.backend)
        low_rank = replace(dense, low_rank=LowRank(fraction=self.fraction))
        data = self.load(dense.network, note)
        competitors = {
            "low rank": Ours(low_rank, data, backend, fast=False),
            "dense, readable step": Ours(dense, data, backend, fast=False),
            "dense, fast step": Ours(dense, data, backend),
        }
        n = len(data.train.labels)
        times = interleave({name: epochs(c, n) for name, c in competitors.items()}, self.repeats)
        weights = {name: n_weights(c.params) for name, c in competitors.items()}
        first, *peers = times
        title = f"train {described(dense.network)} at {self.fraction:.0%} of the rank, {data.name}, an epoch of {n}"
        return [
            row(title, times[first], peer, times[peer], weights=weights[first], peer_weights=weights[peer])
            for peer in peers
        ]
