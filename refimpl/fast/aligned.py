"""Arrays that begin where a line of the cache does; NumPy's do so by chance.

Rows of 784 floats are 49 lines. Where the first begins with one, so do all, and no load of an AVX-512 register
touches two.
"""

import math
from typing import Any

import numpy as np
from jaxtyping import Shaped

LINE = 64
"""Bytes of a line of the cache, and of an AVX-512 register."""


def aligned(shape: tuple[int, ...], dtype: Any) -> Shaped[np.ndarray, "..."]:
    """As `np.empty`."""
    size = math.prod(shape) * np.dtype(dtype).itemsize
    memory = np.empty(size + LINE, np.uint8)
    start = -memory.ctypes.data % LINE
    return memory[start : start + size].view(dtype).reshape(shape)


def aligned_copy(x: Shaped[np.ndarray, "*shape"]) -> Shaped[np.ndarray, "*shape"]:
    copy = aligned(x.shape, x.dtype)
    copy[...] = x
    return copy
