"""Optimizers as pure updates: parameters and gradients in, parameters out. Named dictionaries of arrays throughout."""

import math
from collections.abc import Callable
from typing import NamedTuple

from ..backend import Params
from ..errors import UsageError

State = Params


class Optimizer(NamedTuple):
    """`init(params) -> state` and `update(params, grads, state, t) -> params, state`, t = 1, 2, ... counting steps."""

    init: Callable[[Params], State]
    update: Callable[[Params, Params, State, int], tuple[Params, State]]


def _check(learning_rate: float, *decays: float) -> None:
    if not (math.isfinite(learning_rate) and learning_rate > 0):
        raise UsageError(f"the learning rate must be finite and above 0, got {learning_rate}")
    if not all(0 <= decay < 1 for decay in decays):
        raise UsageError(f"momentum and Adam's betas must be at least 0 and below 1, got {decays}")
