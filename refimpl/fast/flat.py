"""All parameters in one vector, so that an update is two calls and not twenty-four."""

import numpy as np
from jaxtyping import Float

from ..backend import Params


class Flat(dict[str, np.ndarray]):
    """Named views of one `vector`."""

    def __init__(self, params: Params) -> None:
        self.vector = np.concatenate([p.reshape(-1) for p in params.values()])
        super().__init__(views(self.vector, params))


def views(vector: Float[np.ndarray, "size"], like: Params) -> Params:
    """Named views of a vector, of the names and shapes of `like`."""
    ends = np.cumsum([p.size for p in like.values()])[:-1]
    return {name: part.reshape(p.shape) for (name, p), part in zip(like.items(), np.split(vector, ends), strict=True)}
