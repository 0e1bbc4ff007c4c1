"""PGD over the test set against the same loop elsewhere."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ..attacks import PGD
from ..backend import to_host
from ..layers.images import scale
from ..networks import CNN
from ..settings import setting
from . import peers
from .base import BENCHMARKS, AttackBenchmark, Note, Trained
from .timing import Row, interleave, row

ATTACK = PGD(eps=0.05, step_size=0.005, steps=20)
CHUNK = 256
PEER_BATCHES = {"dense": (256, 500), "convolutional": (64, 256)}
"""PyTorch's best is among them."""


@BENCHMARKS.register("attack")
@dataclass(frozen=True, kw_only=True)
class AttackImages(AttackBenchmark):
    """PGD-20 at eps 0.05 on the test images, without a random start; PyTorch in small and in large batches.

    Rows have the accuracies on the adversarial examples.
    """

    name: ClassVar[str] = "attack"

    against: tuple[str, ...] = setting(("torch",), "Peers: torch.")

    def __post_init__(self) -> None:
        super().__post_init__()
        peers.check(self.against, ("torch",))

    def rows(self, note: Note) -> list[Row]:
        trained = self.trained(note)
        data, network = trained.data, trained.network
        title = f"attack {network.name}, {data.name}, PGD-{ATTACK.steps} on {len(data.test.labels)} images"
        there, absent = peers.present(self.against, network, title)
        found: dict[str, np.ndarray] = {}
        competitors = {"refimpl": _ours(trained, found)}
        if "torch" in there:
            params = {name: to_host(p) for name, p in trained.params.items()}
            peer = peers.load("torch").Attacking(network, params, data, self.threads)
            for chunk in PEER_BATCHES["convolutional" if isinstance(network, CNN) else "dense"]:
                competitors[f"torch, eager, batches of {chunk}"] = _theirs(peer, chunk, found)
        times = interleave(competitors, self.repeats)
        accuracy = {name: _accuracy(trained, x_adv) for name, x_adv in found.items()}
        ours = times.pop("refimpl")
        return [
            row(title, ours, name, theirs, accuracy=accuracy["refimpl"], peer_accuracy=accuracy[name])
            for name, theirs in times.items()
        ] + absent


def _ours(trained: Trained, found: dict[str, np.ndarray]) -> Callable[[], None]:
    test, backend = trained.data.test, trained.backend
    x, y = scale(backend.asarray(test.images), backend.dtype("float32")), backend.asarray(test.labels, "int64")
    chunks = [slice(i, i + CHUNK) for i in range(0, len(test.labels), CHUNK)]

    def run() -> None:
        parts = [ATTACK.perturb(trained.gradients, x[chunk, ...], y[chunk]) for chunk in chunks]
        found["refimpl"] = to_host(backend.xp.concat(parts))

    return run


def _theirs(peer: Any, chunk: int, found: dict[str, np.ndarray]) -> Callable[[], None]:
    def run() -> None:
        found[f"torch, eager, batches of {chunk}"] = peer.attack(chunk, ATTACK)

    return run


def _accuracy(trained: Trained, x: np.ndarray) -> float:
    predicted = to_host(trained.gradients.logits(trained.backend.asarray(x))).argmax(axis=-1)
    return float((predicted == trained.data.test.labels).mean())
