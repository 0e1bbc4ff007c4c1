"""PGD over the test set against the same loop elsewhere."""

import importlib.util
from collections.abc import Callable

import numpy as np

from ..attacks import pgd
from ..backend import Backend, Params, to_host
from ..data import Dataset
from ..layers.images import scale
from ..networks import fcnn
from ..networks.gradients import Network, logits, loss_gradient
from .race import Row, absent, race, row

EPS, STEP_SIZE, STEPS = 0.05, 0.005, 20
CHUNK = 256
THEIRS = {"fcnn": (256, 500), "cnn": (64, 256)}  # PyTorch's best among them


def bench_attack(
    data: Dataset,
    network: Network,
    params: Params,
    backend: Backend,
    *,
    against: tuple[str, ...],
    threads: int,
    repeats: int,
) -> list[Row]:
    """Rows of seconds for PGD-20 on every test image, with the accuracy left; PyTorch in small and in large batches."""
    arch = "fcnn" if network is fcnn else "cnn"
    title = f"attack {arch}, {data.name}, PGD-{STEPS} on {len(data.test.labels)} images"
    images = backend.asarray(data.test.images)
    x, y = scale(images, backend.dtype("float32")), backend.asarray(data.test.labels, "int64")
    kept: dict[str, np.ndarray] = {}

    def ours() -> None:
        chunks = [slice(i, i + CHUNK) for i in range(0, len(data.test.labels), CHUNK)]
        parts = [
            pgd(loss_gradient(network, params, y[part]), x[part], eps=EPS, step_size=STEP_SIZE, steps=STEPS)
            for part in chunks
        ]
        kept["refimpl"] = to_host(backend.xp.concat(parts))

    runners: dict[str, Callable[[], None]] = {"refimpl": ours}
    missing = [peer for peer in against if importlib.util.find_spec(peer) is None]
    if "torch" in against and "torch" not in missing:
        from . import torch_peer

        peer = torch_peer.Attacking(network, {name: to_host(p) for name, p in params.items()}, data, threads)

        def theirs(name: str, chunk: int) -> Callable[[], None]:
            def run() -> None:
                kept[name] = peer.attack(chunk, EPS, STEP_SIZE, STEPS)

            return run

        for chunk in THEIRS[arch]:
            name = f"torch, eager, batches of {chunk}"
            runners[name] = theirs(name, chunk)

    times = race(runners, repeats)
    accuracy = {name: _accuracy(network, params, backend, x_adv, data.test.labels) for name, x_adv in kept.items()}
    taken = times.pop("refimpl")
    rows = [
        row(title, taken, name, theirs, threads, accuracy=accuracy["refimpl"], peer_accuracy=accuracy[name])
        for name, theirs in times.items()
    ]
    return rows + [absent(title, peer, threads) for peer in missing]


def _accuracy(network: Network, params: Params, backend: Backend, x: np.ndarray, y: np.ndarray) -> float:
    return float((to_host(logits(network, params, backend.asarray(x))).argmax(axis=-1) == y).mean())
