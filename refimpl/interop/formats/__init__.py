"""The formats that `export` writes a network in: one file each, called as the option --to names it.

A module has `SUFFIX`, that of its files; `content`, the bytes of one; and `readings`, what others who read these bytes
compute.
"""

import pkgutil
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

NAMES = tuple(sorted(module.name for module in pkgutil.iter_modules(__path__)))


class Reading(NamedTuple):
    """The logits that a reader of a file finds, and how far they may be from ours, relative to the largest."""

    reader: str
    logits: Float[np.ndarray, "batch classes"]
    limit: float
