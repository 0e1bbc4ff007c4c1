"""What an optimizer is: named dictionaries of arrays in, named dictionaries of arrays out."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Protocol, runtime_checkable

from ..backend import Params
from ..registry import Registry
from ..settings import Settings, setting

State = Params
"""Arrays by name: of a moment that follows the parameters, the moment's name, a dot, the parameter's: `v.W1`."""


@dataclass(frozen=True)
class Optimizer(Settings):
    """Derive from it, and register with `OPTIMIZERS`.

    `elementwise` says that each entry is updated by itself, so that all parameters may be handed over as one vector, or
    a piece of it at a time; `uniform_step` that a step is the learning rate times a direction in which entries are
    weighted alike, the length that a proximal step needs.
    """

    elementwise: ClassVar[bool] = False
    uniform_step: ClassVar[bool] = False

    learning_rate: float = setting(
        0.001, "Length of a step.", usual="0.001; cnn 0.01, tuned 0.001; lenet5 0.1", above=0
    )

    @abstractmethod
    def init(self, params: Params) -> State:
        """The state before the first step."""

    @abstractmethod
    def update(self, params: Params, grads: Params, state: State, t: int) -> tuple[Params, State]:
        """Parameters and state, with the names of `init`, after step t = 1, 2, ..."""


@runtime_checkable
class Updates(Protocol):
    """What a step calls: an `Optimizer`, or what wraps one."""

    def init(self, params: Params) -> State: ...

    def update(self, params: Params, grads: Params, state: State, t: int) -> tuple[Params, State]: ...


OPTIMIZERS: Registry[type[Optimizer]] = Registry("optimizer", __package__)
