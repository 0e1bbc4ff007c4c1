"""The same work in other libraries, as their users write it; a module is imported when its peer takes part."""

import importlib
import importlib.util
from collections.abc import Iterable
from types import ModuleType

from ...errors import UsageError
from ...networks import CNN, FCNN, Network
from ..timing import Row

SUPPORTED: dict[str, tuple[type[Network], ...]] = {"torch": (FCNN, CNN), "jax": (FCNN,), "torchattacks": (FCNN, CNN)}
"""Peers, each with the networks that it has."""

ON_GPU = ("torch", "torchattacks")
"""Peers that are timed on the GPU that CuPy is timed on."""


def check(against: tuple[str, ...], peers: Iterable[str]) -> None:
    """Raise `UsageError` unless all that are asked for are among the peers that there are."""
    for peer in against:
        if peer not in peers:
            raise UsageError(f"unknown peer {peer!r}: choose one of {', '.join(peers)}")


def load(peer: str) -> ModuleType:
    return importlib.import_module(f".{peer}_peer", __package__)


def present(peers: tuple[str, ...], network: Network, title: str, device: str = "cpu") -> tuple[list[str], list[Row]]:
    """The peers that can take part on a device, and the rows of the others, each with the reason under `absent`."""
    reasons = {peer: _absent(peer, network, device) for peer in dict.fromkeys(peers)}
    absent = [{"name": title, "peer": peer, "absent": reason} for peer, reason in reasons.items() if reason]
    return [peer for peer, reason in reasons.items() if not reason], absent


def _absent(peer: str, network: Network, device: str) -> str | None:
    if not isinstance(network, SUPPORTED[peer]):
        return f"the {peer} peer does not support {network.name}"
    if importlib.util.find_spec(peer) is None:
        return f"{peer} is not installed: `pip install {peer}`"
    if device == "cpu":
        return None
    if peer not in ON_GPU:
        return f"the {peer} peer computes on the CPU alone: `--backend numpy` times it"
    if not load("torch").finds_gpu():
        return f"the {peer} installed here finds no GPU, and a CPU is no peer of one: install its build for CUDA"
    return None
