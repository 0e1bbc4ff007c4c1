"""The fast twins where `refimpl.fast` is there; everything works without."""

import importlib
import importlib.util
from typing import TypeVar

T = TypeVar("T")


def accelerated(thing: T, threads: int = 1) -> T:
    """The fast twin of a network, a step or a data set, which behaves like it; the thing itself where there is none."""
    if importlib.util.find_spec("refimpl.fast") is None:
        return thing
    twin: T = importlib.import_module("refimpl.fast").accelerate(thing, threads)
    return twin
