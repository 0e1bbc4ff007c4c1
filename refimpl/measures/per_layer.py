"""A net measured layer by layer: its weights, and what its hidden layers know."""

from typing import Any

from jaxtyping import Int, UInt8

from ..backend import Array, Params, chunks, fetch, namespace
from ..errors import UsageError
from ..layers.images import scale
from ..networks.base import Network
from ..parameters import as_matrix, weights
from .information import Bounds, label_information, mutual_information
from .rank_sparsity import condition_number, effective_rank, effective_sparsity


def measure_weights(network: Network, params: Params) -> list[dict[str, Any]]:
    """Name, effective rank and effective sparsity of every weight matrix; numbers are left on the device."""
    matrices = {name: as_matrix(W) for name, W in weights(network.full(params)).items()}
    return [
        {"name": name, "effective_rank": effective_rank(W), "effective_sparsity": effective_sparsity(W)}
        for name, W in matrices.items()
    ]


def layers(network: Network, params: Params) -> list[dict[str, Any]]:
    """`measure_weights` with shapes and condition numbers, and the rank of a layer in factors. Waits for the device."""
    full, rows = weights(network.full(params)), []
    for row in measure_weights(network, params):
        W = as_matrix(full[row["name"]])
        core = network.core(params, row["name"])
        rank = {"rank": core.shape[0]} if core.shape != W.shape else {}
        measured = {key: row[key] for key in ("effective_rank", "effective_sparsity")}
        measured["condition_number"] = condition_number(core)
        rows.append({"name": row["name"], "shape": list(W.shape), **rank, **fetch(measured)})
    return rows


def layer_information(
    network: Network,
    params: Params,
    images: UInt8[Array, "examples *shape"],
    labels: Int[Array, "examples"] | None = None,
    sigma2: float = 0.1,
) -> list[dict[str, float]]:
    """Bounds of I(x;t) of every hidden layer over the given examples, in bits; of I(y;t) too where labels are given.

    Waits for the device. Raises `UsageError` for no examples.
    """
    if not images.shape[0]:
        raise UsageError("mutual information needs at least one example, got none")
    rows, xp, n, size = [], namespace(images), images.shape[0], chunks(images).measured
    parts = [scale(images[i : min(i + size, n), ...], params["b1"].dtype) for i in range(0, n, size)]
    for pieces in zip(*(network.hidden(params, part) for part in parts), strict=True):
        t = xp.concat(pieces)
        row = _bounds("mutual_information", mutual_information(t, sigma2))
        if labels is not None:
            row |= _bounds("label_information", label_information(t, labels, sigma2))
        rows.append(row)
    return rows


def _bounds(name: str, bounds: Bounds) -> dict[str, float]:
    return {f"{name}_lower": bounds[0], f"{name}_upper": bounds[1]}
