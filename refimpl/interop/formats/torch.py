"""PyTorch: the state_dict of a `torch.nn.Sequential`, as safetensors, since PyTorch's own files are pickles."""

import importlib.util
from collections.abc import Iterator

import numpy as np
from jaxtyping import Float
from safetensors.numpy import save

from ...backend import to_host
from ..layers import PlainNetwork
from . import Reading

SUFFIX = ".safetensors"


def content(network: PlainNetwork, provenance: str) -> bytes:
    """Tensors 1.weight, 1.bias, ...; the provenance is the metadata `refimpl`."""
    tensors = {name: np.ascontiguousarray(to_host(p)) for name, p in network.state_dict.items()}
    return save(tensors, {"refimpl": provenance})


def readings(network: PlainNetwork, content: bytes, x: Float[np.ndarray, "batch C H W"]) -> Iterator[Reading]:
    """By PyTorch in double precision, where it is installed."""
    if importlib.util.find_spec("torch"):
        import torch
        from safetensors.torch import load

        from ..torch import sequential

        module = sequential(network.network, network.params)
        module.load_state_dict(load(content))
        logits = module.double()(torch.from_numpy(x)).detach().numpy()
        yield Reading(f"PyTorch {torch.__version__}", logits, 1e-6)
