"""The architectures by the name the command line gives them, each a network with its options settled."""

from dataclasses import dataclass

from . import cnn
from .backend import Array, Params
from .tape import Tape

ARCHITECTURES = ("fcnn", "cnn")


@dataclass(frozen=True)
class CNN:
    """`cnn` with its padding and activation, and the threads its fast passes may use."""

    padding: str = "valid"
    activation: str = "tanh"
    threads: int = 1

    def forward(self, params: Params, x: Array) -> tuple[Array, Tape]:
        return cnn.forward(params, x, padding=self.padding, activation=self.activation)

    def hidden(self, params: Params, x: Array) -> list[Array]:
        return cnn.hidden(params, x, padding=self.padding, activation=self.activation)
