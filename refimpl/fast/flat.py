"""All parameters in one vector, so that an update is two calls and not twenty-four; on any backend."""

import math

import numpy as np
from jaxtyping import Float

from ..backend import Array, Params, namespace
from .aligned import aligned_copy


class Flat(dict[str, Array]):
    """Named views of one `vector`."""

    def __init__(self, params: Params) -> None:
        arrays = list(params.values())
        xp = namespace(arrays[0])
        vector = xp.concat([xp.reshape(p, (-1,)) for p in arrays])
        self.vector = aligned_copy(vector) if isinstance(vector, np.ndarray) else vector
        super().__init__(views(self.vector, params))


def views(vector: Float[Array, "size"], like: Params) -> Params:
    """Named views of a vector, of the names and shapes of `like`."""
    found: Params = {}
    end = 0
    for name, p in like.items():
        start, end = end, end + math.prod(p.shape)
        found[name] = namespace(vector).reshape(vector[start:end], p.shape)
    return found


def copied(vector: Float[Array, "size"]) -> Float[Array, "size"]:
    return namespace(vector).asarray(vector, copy=True)
