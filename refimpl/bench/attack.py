"""PGD and APGD over the test set against the same attacks elsewhere."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ..attacks import APGD, PGD, InputAttack
from ..backend import to_host
from ..layers.images import scale
from ..parameters import has_convolutions
from ..settings import setting
from . import peers
from .base import BENCHMARKS, AttackBenchmark, Note, Trained, described
from .timing import Row, alone, interleave, row

ATTACKS: dict[str, InputAttack] = {
    "pgd": PGD(eps=0.05, step_size=0.005, steps=20),
    "apgd": APGD(eps=0.05, steps=20, clip=(0.0, 1.0)),
}
PEERS = {"pgd": "torch", "apgd": "torchattacks"}
PEER_BATCHES = {
    "cpu": {"dense": (256, 500), "convolutional": (64, 256)},
    "cuda": {"dense": (1000, 10_000), "convolutional": (256, 1000)},
}
"""On a CPU PyTorch's best for PGD is among them; on a GPU they are ours, and smaller ones."""


@BENCHMARKS.register("attack")
@dataclass(frozen=True, kw_only=True)
class AttackImages(AttackBenchmark):
    """20 steps of PGD or APGD at eps 0.05 on the test images; the peer in small and in large batches.

    PGD starts at the image, APGD at a random point, and only APGD cuts pixels to [0, 1]. Rows have the accuracies on
    the adversarial examples.
    """

    name: ClassVar[str] = "attack"

    attack: str = setting("pgd", "Which attack.", choices=tuple(ATTACKS))
    against: tuple[str, ...] = setting((), "Peers: torch for pgd, torchattacks for apgd.", usual="that of the attack")

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.against:
            object.__setattr__(self, "against", (PEERS[self.attack],))
        peers.check(self.against, (PEERS[self.attack],))

    def rows(self, note: Note) -> list[Row]:
        trained = self.trained(note)
        data, network = trained.data, trained.network
        attack: Any = ATTACKS[self.attack]
        what = f"{self.attack.upper()}-{attack.steps} on {len(data.test.labels)} images"
        title = f"attack {described(network)}, {data.name}, {what}"
        device = trained.backend.device_kind
        there, absent = peers.present(self.against, network, title, device)
        found: dict[str, np.ndarray] = {}
        competitors = {"refimpl": _ours(trained, attack, found)}
        for name in there:
            params = {key: to_host(p) for key, p in trained.params.items()}
            peer = peers.load(name).Attacking(network, params, data, self.threads, device)
            for chunk in PEER_BATCHES[device]["convolutional" if has_convolutions(params) else "dense"]:
                called = f"{name}, eager, batches of {chunk}"
                competitors[called] = _theirs(peer, chunk, attack, found, called)
        times = interleave(competitors, self.repeats)
        accuracy = {name: _accuracy(trained, x_adv) for name, x_adv in found.items()}
        ours = times.pop("refimpl")
        rows = [
            row(title, ours, name, theirs, accuracy=accuracy["refimpl"], peer_accuracy=accuracy[name])
            for name, theirs in times.items()
        ]
        return (rows or [alone(title, ours, accuracy=accuracy["refimpl"])]) + absent


def _ours(trained: Trained, attack: InputAttack, found: dict[str, np.ndarray]) -> Callable[[], None]:
    test, backend = trained.data.test, trained.backend
    x, y = scale(backend.asarray(test.images), backend.dtype("float32")), backend.asarray(test.labels, "int64")
    size = backend.chunks.attacked(trained.params)
    chunks = [slice(i, i + size) for i in range(0, len(test.labels), size)]

    def run() -> None:
        starts = attack.starts()
        parts = [attack.perturb(trained.gradients, x[chunk, ...], y[chunk], starts) for chunk in chunks]
        found["refimpl"] = to_host(backend.xp.concat(parts))

    return run


def _theirs(
    peer: Any, chunk: int, attack: InputAttack, found: dict[str, np.ndarray], called: str
) -> Callable[[], None]:
    def run() -> None:
        found[called] = peer.attack(chunk, attack)

    return run


def _accuracy(trained: Trained, x: np.ndarray) -> float:
    predicted = to_host(trained.gradients.logits(trained.backend.asarray(x))).argmax(axis=-1)
    return float((predicted == trained.data.test.labels).mean())
