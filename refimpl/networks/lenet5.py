"""LeNet-5 as the authors of low-rank training have it (Savostianova et al. 2023): 28-24-12-8-4 pixels a side."""

from dataclasses import dataclass
from typing import ClassVar

from ..settings import setting
from .base import NETWORKS, Usual
from .cnn import ACTIVATIONS, CNN

AUTHORS = {"sgd": {"learning_rate": 0.1, "momentum": 0.3}}


@NETWORKS.register("lenet5")
@dataclass(frozen=True)
class LeNet5(CNN):
    """`cnn` with other sizes: no padding, leaky ReLU in the blocks and in the dense layer."""

    name: ClassVar[str] = "lenet5"
    usual: ClassVar[Usual] = Usual("mnist", 2_345, 128, AUTHORS, AUTHORS)
    """5 epochs of MNIST, where the authors have 120."""

    activation: str = setting("leaky-relu", "Activation of the convolutions.", choices=tuple(ACTIVATIONS))
    dense_activation: str = setting("leaky-relu", "Activation of the dense layer.", choices=tuple(ACTIVATIONS))
    filters: tuple[int, int] = setting((20, 50), "Filters of the first and of the second block.", at_least=1)
    kernel: int = setting(5, "Side of the filters.", unit="pixels", at_least=1)
    hidden_units: int = setting(500, "Units of the dense layer.", at_least=1)
