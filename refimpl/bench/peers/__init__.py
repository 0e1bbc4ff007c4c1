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


def check(against: tuple[str, ...], peers: Iterable[str]) -> None:
    """Raise `UsageError` unless all that are asked for are among the peers that there are."""
    for peer in against:
        if peer not in peers:
            raise UsageError(f"unknown peer {peer!r}: choose one of {', '.join(peers)}")


def load(peer: str) -> ModuleType:
    return importlib.import_module(f".{peer}_peer", __package__)


def present(peers: tuple[str, ...], network: Network, title: str) -> tuple[list[str], list[Row]]:
    """The peers that can take part, and the rows of the others, each with the reason under `absent`."""
    there, absent = [], []
    for peer in dict.fromkeys(peers):
        if not isinstance(network, SUPPORTED[peer]):
            absent.append({"name": title, "peer": peer, "absent": f"the {peer} peer does not support {network.name}"})
        elif importlib.util.find_spec(peer) is None:
            absent.append({"name": title, "peer": peer, "absent": f"{peer} is not installed: `pip install {peer}`"})
        else:
            there.append(peer)
    return there, absent
