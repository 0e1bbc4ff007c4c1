"""A step of low-rank PGD against a step of PGD in the same ball, and the bytes of their perturbations."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from ..attacks import PGDL2, InputAttack, LoraPGD
from ..attacks.low_rank import random_factors
from ..backend import to_host
from ..layers.images import scale
from ..rng import stream
from .base import BENCHMARKS, AttackBenchmark, Note, Trained, described
from .timing import Row, interleave, row

EPS, STEPS = 0.5, 10
RANKS = (3, 6, 14, 28)
PEERS = {
    "PGD-l_2": PGDL2(eps=EPS, steps=STEPS),
    f"PGD-l_2, truncated to rank {RANKS[0]}": PGDL2(eps=EPS, steps=STEPS, rank=RANKS[0]),
}


@BENCHMARKS.register("lora")
@dataclass(frozen=True, kw_only=True)
class LowRankAttack(AttackBenchmark):
    """A step of low-rank PGD, random start included, on every test image, against a step of PGD in the l2 ball.

    `bytes` are of the factors of one image's perturbation, beside those of a whole perturbation.
    """

    name: ClassVar[str] = "lora"

    def rows(self, note: Note) -> list[Row]:
        trained = self.trained(note)
        data, images = trained.data, trained.data.test.images[:1]
        ours = {f"{rank}": LoraPGD(eps=EPS, steps=STEPS, rank=rank) for rank in RANKS}
        competitors = {name: _attacking(trained, attack) for name, attack in (PEERS | ours).items()}
        times = interleave(competitors, self.repeats)
        steps = {name: [seconds / STEPS for seconds in taken] for name, taken in times.items()}
        one = scale(images, to_host(trained.params["b1"]).dtype)
        shape = trained.network.image_shape(one.shape[-1])
        size = {r: sum(f.nbytes for f in random_factors(stream(0, "attack"), one, shape, r)) for r in RANKS}
        what = f"{data.name}, {len(data.test.labels)} images"
        title = f"a step of lora-pgd on {described(trained.network)}, rank {{}}, {what}"
        return [
            row(title.format(rank), steps[f"{rank}"], peer, steps[peer], bytes=size[rank], peer_bytes=one.nbytes)
            for rank in RANKS
            for peer in PEERS
        ]


def _attacking(trained: Trained, attack: InputAttack) -> Callable[[], None]:
    test, backend = trained.data.test, trained.backend
    x, y = scale(backend.asarray(test.images), backend.dtype("float32")), backend.asarray(test.labels, "int64")
    size = backend.chunks.attacked(trained.params)
    chunks = [slice(i, i + size) for i in range(0, len(test.labels), size)]

    def run() -> None:
        for chunk in chunks:
            attack.perturb(trained.gradients, x[chunk, ...], y[chunk], attack.starts())
        backend.synchronize()

    return run
