"""NumPy: the weights under our names in an .npz archive of plain arrays."""

import io
from collections.abc import Iterator

import numpy as np
from jaxtyping import Float

from ...backend import to_host
from ..layers import PlainNetwork
from . import Reading

SUFFIX = ".npz"


def content(network: PlainNetwork, provenance: str) -> bytes:
    """Arrays W1, b1, ..., and the provenance as the text `refimpl`."""
    file = io.BytesIO()
    arrays = {name: to_host(p) for name, p in network.params.items()}
    np.savez(file, allow_pickle=False, **arrays, refimpl=np.array(provenance))
    return file.getvalue()


def readings(network: PlainNetwork, content: bytes, x: Float[np.ndarray, "batch C H W"]) -> Iterator[Reading]:
    """By NumPy and our own forward pass, in double precision."""
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        params = {name: arrays[name].astype(np.float64) for name in arrays.files if name != "refimpl"}
    logits, _ = network.network.forward(params, x.reshape(len(x), -1))
    yield Reading(f"NumPy {np.__version__}", logits, 1e-6)
