"""Optimizers as pure updates: parameters and gradients in, parameters out.

Read `sgd`, `adam`, then `proximal`; `base` says what an optimizer is. A new file here is an optimizer on the command
line.
"""

from .adam import Adam
from .base import OPTIMIZERS, Optimizer, State, Updates
from .proximal import Proximal
from .sgd import SGD

__all__ = ["OPTIMIZERS", "SGD", "Adam", "Optimizer", "Proximal", "State", "Updates"]
