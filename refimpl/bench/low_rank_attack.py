"""A step of low-rank PGD against a step of PGD in the same ball, and the bytes of their perturbations."""

from collections.abc import Callable

from ..attacks.base import SIDE, Attack
from ..attacks.lora_pgd import random_factors
from ..backend import Backend, Params, to_host
from ..data import Dataset
from ..layers.images import scale
from ..networks.gradients import Network
from ..rng import stream
from .race import Row, race, row

STEPS, CHUNK = 10, 256
RANKS = (3, 6, 14, 28)


def bench_low_rank_attack(
    data: Dataset, network: Network, params: Params, backend: Backend, *, threads: int, repeats: int
) -> list[Row]:
    """Rows of seconds for a step on every test image; `bytes` are of the factors, and of a whole perturbation."""
    x = scale(backend.asarray(data.test.images), backend.dtype("float32"))
    y = backend.asarray(data.test.labels, "int64")
    parts = [slice(i, i + CHUNK) for i in range(0, len(data.test.labels), CHUNK)]

    def runner(attack: Attack) -> Callable[[], None]:
        def run() -> None:
            for part in parts:
                attack.perturb(network, params, x[part], y[part], attack.starts())
            backend.synchronize()

        return run

    attacks = {"PGD-l_2": Attack(name="pgd-l2", eps=0.5, steps=STEPS)}
    attacks |= {f"PGD-l_2, truncated to rank {RANKS[0]}": Attack(name="pgd-l2", eps=0.5, steps=STEPS, rank=RANKS[0])}
    ours = {rank: Attack(name="lora-pgd", eps=0.5, steps=STEPS, rank=rank) for rank in RANKS}
    runners = {name: runner(attack) for name, attack in attacks.items()}
    times = race(runners | {f"{rank}": runner(attack) for rank, attack in ours.items()}, repeats)
    steps = {name: [seconds / STEPS for seconds in taken] for name, taken in times.items()}
    one = to_host(x[:1])
    bytes_of = {r: sum(f.nbytes for f in random_factors(stream(0, "attack"), one, (1, SIDE, SIDE), r)) for r in RANKS}
    return [
        row(f"a step of lora-pgd, rank {rank}, {data.name}, {len(data.test.labels)} images", steps[f"{rank}"], peer,
            steps[peer], threads, bytes=bytes_of[rank], peer_bytes=one.nbytes)
        for rank in RANKS for peer in attacks
    ]  # fmt: skip
