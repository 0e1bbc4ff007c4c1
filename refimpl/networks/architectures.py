"""The architectures by the name the command line gives them, each a network with its options settled."""

from dataclasses import dataclass
from typing import Any

from ..backend import Array, Params
from ..tape import Tape
from . import cnn

PAPERS = ("fcnn", "cnn")
"""Those of the paper, whose experiments are reproduced and whose passes are raced."""
ARCHITECTURES = (*PAPERS, "lenet5")

SIZES: dict[str, dict[str, Any]] = {"cnn": {}, "lenet5": {"filters": (20, 50), "kernel": 5, "hidden_units": 500}}
"""For `cnn.init`. LeNet-5 is that of the authors of low-rank training: 28-24-12-8-4 pixels a side."""


@dataclass(frozen=True)
class CNN:
    """`cnn` with its padding and activations, and the threads its fast passes may use."""

    padding: str = "valid"
    activation: str = "tanh"
    threads: int = 1
    dense_activation: str = "tanh"

    def forward(self, params: Params, x: Array) -> tuple[Array, Tape]:
        return cnn.forward(params, x, **self._options)

    def hidden(self, params: Params, x: Array) -> list[Array]:
        return cnn.hidden(params, x, **self._options)

    @property
    def _options(self) -> dict[str, str]:
        return {"padding": self.padding, "activation": self.activation, "dense_activation": self.dense_activation}


def lenet5(threads: int = 1) -> CNN:
    """LeNet-5: no padding, leaky ReLU in the blocks and in the dense layer."""
    return CNN("valid", "leaky-relu", threads, "leaky-relu")
