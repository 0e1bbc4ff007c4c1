"""What a network is."""

from typing import Protocol, runtime_checkable

from ..backend import Array, Params
from ..tape import Tape


@runtime_checkable
class Network(Protocol):
    """What computes logits and hidden representations: `refimpl.fcnn`, or a `networks.CNN`."""

    def forward(self, params: Params, x: Array) -> tuple[Array, Tape]: ...

    def hidden(self, params: Params, x: Array) -> list[Array]: ...
