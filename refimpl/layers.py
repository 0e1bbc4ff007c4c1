"""A net measured layer by layer: its weights, and what its hidden layers know."""

from typing import Any

from jaxtyping import Int, UInt8

from .backend import Array, Params
from .information import label_information, mutual_information
from .metrics import effective_rank, effective_sparsity
from .objectives import Network
from .ops import scale


def measure_weights(params: Params) -> dict[str, tuple[Array, Array]]:
    """Effective rank and effective sparsity of every weight matrix, by name, left on the device."""
    weights = {name: W for name, W in params.items() if name.startswith("W")}
    return {name: (effective_rank(W), effective_sparsity(W)) for name, W in weights.items()}


def layers(params: Params) -> list[dict[str, Any]]:
    """`measure_weights` as rows, with the shapes. Waits for the device."""
    return [
        {
            "name": name,
            "shape": list(params[name].shape),
            "effective_rank": float(rank),
            "effective_sparsity": float(sparsity),
        }
        for name, (rank, sparsity) in measure_weights(params).items()
    ]


def information(
    network: Network,
    params: Params,
    images: UInt8[Array, "examples height width"],
    labels: Int[Array, "examples"],
    sigma2: float = 0.1,
) -> list[dict[str, float]]:
    """Bounds of I(x;t) and I(y;t) of every hidden layer over the given examples, in bits. Waits for the device."""
    rows = []
    for t in network.hidden(params, scale(images, params["W1"].dtype)):
        known, useful = mutual_information(t, sigma2), label_information(t, labels, sigma2)
        rows.append(
            {
                "mutual_information_lower": known[0],
                "mutual_information_upper": known[1],
                "label_information_lower": useful[0],
                "label_information_upper": useful[1],
            }
        )
    return rows
