"""A net measured layer by layer: its weights, and what its hidden layers know."""

from typing import Any

from jaxtyping import Int, UInt8

from ..backend import Array, Params, namespace
from ..layers.images import scale
from ..low_rank.network import dense, factors
from ..networks.gradients import Network
from ..parameters import as_matrix
from .information import Bounds, label_information, mutual_information
from .rank_sparsity import condition_number, effective_rank, effective_sparsity

CHUNK = 250
"""Examples whose every layer is in memory at a time."""


def measure_weights(params: Params) -> dict[str, tuple[Array, Array]]:
    """Effective rank and effective sparsity of every weight matrix, by name, left on the device."""
    weights = {name: as_matrix(W) for name, W in dense(params).items() if name.startswith("W")}
    return {name: (effective_rank(W), effective_sparsity(W)) for name, W in weights.items()}


def layers(params: Params) -> list[dict[str, Any]]:
    """`measure_weights` as rows, with shapes, condition numbers, and the rank of a layer in factors. Waits for the
    device."""
    weights = dense(params)
    rows: list[dict[str, Any]] = []
    for name, (effective, sparsity) in measure_weights(params).items():
        W = as_matrix(weights[name])
        row = {"name": name, "shape": list(W.shape), "effective_rank": float(effective),
               "effective_sparsity": float(sparsity)}  # fmt: skip
        if name not in params:
            W = factors(params, name[1:]).S  # of which κ is W's, and free of the rounding of a product
            row["rank"] = W.shape[0]
        rows.append(row | {"condition_number": float(condition_number(W))})
    return rows


def information(
    network: Network,
    params: Params,
    images: UInt8[Array, "examples height width"],
    labels: Int[Array, "examples"] | None = None,
    sigma2: float = 0.1,
) -> list[dict[str, float]]:
    """Bounds of I(x;t) of every hidden layer over the given examples, in bits; of I(y;t) too where labels are given.

    Waits for the device.
    """
    rows, xp = [], namespace(images)
    parts = [scale(images[i : i + CHUNK, ...], params["b1"].dtype) for i in range(0, images.shape[0], CHUNK)]
    for chunks in zip(*(network.hidden(params, part) for part in parts), strict=True):
        t = xp.concat(chunks)
        row = _bounds("mutual_information", mutual_information(t, sigma2))
        if labels is not None:
            row |= _bounds("label_information", label_information(t, labels, sigma2))
        rows.append(row)
    return rows


def _bounds(name: str, bounds: Bounds) -> dict[str, float]:
    return {f"{name}_lower": bounds[0], f"{name}_upper": bounds[1]}
