"""Networks: what computes logits, and the gradients that attacks and measures ask of it.

Read `fcnn`, the paper's fully connected net, then `cnn`; `lenet5` is `cnn` with other sizes. `base` says what a network
is, `gradients` how it is differentiated. A network is one file that registers itself.
"""

from . import cnn, fcnn
from .base import NETWORKS, Network, Usual
from .cnn import CNN
from .fcnn import FCNN
from .gradients import Gradients, loss_gradient, margin_gradients
from .lenet5 import LeNet5

__all__ = [
    "CNN",
    "FCNN",
    "NETWORKS",
    "Gradients",
    "LeNet5",
    "Network",
    "Usual",
    "cnn",
    "fcnn",
    "loss_gradient",
    "margin_gradients",
]
