"""Regularizers, ranks, sparsity, mutual information, certificates."""

from typing import Any

import numpy as np

from ..backend import Array, Backend
from ..errors import NumericalError
from ..low_rank.factorization import clamp, orthogonal, retract
from ..measures import (
    certified,
    condition_number,
    effective_rank,
    effective_sparsity,
    label_information,
    mutual_information,
)
from ..measures.per_layer import layer_information
from ..networks import FCNN
from ..regularizers import (
    Batch,
    Joint,
    MarginBound,
    OperatorNorms,
    l1,
    nuclear,
    nuclear_by_svd,
    singular_value_threshold,
    soft_threshold,
)
from .check import CHECKS, NUMPY, compare, data, draw, leaves, pixels, put

DECOMPOSED = 1e-9
"""By how much decompositions may differ: of Gram matrices, whose condition numbers are squares."""


def matrices() -> dict[str, np.ndarray]:
    return {
        "wide": draw(20, 84),
        "tall": draw(84, 20, seed=1),
        "rank 3": draw(20, 3, seed=2) @ draw(3, 40, seed=3),
        "zero": np.zeros((4, 6)),
        "stack": draw(3, 5, 9, seed=4),
    }


@CHECKS.register("regularizers")
def regularizers(on: Backend) -> str:
    """Values and gradients of every term and its proximal step, float64; nan stays nan."""
    norms = {"l1": l1, "nuclear": nuclear, "nuclear by svd": nuclear_by_svd}
    params, y = FCNN().init(NUMPY, 1, "float64"), data().test.labels[:16].astype(np.int64)

    def found(where: Backend) -> dict[str, Any]:
        Ws, there = put(where, matrices()), put(where, params)
        batch = Batch(where.asarray(pixels(16)), where.asarray(y))
        terms = {
            "joint": Joint(0.1),
            "margin bound": MarginBound(0.1, 0.01, 0.001),
            "operator norms": OperatorNorms(0.1),
        }
        return {
            **{f"{norm}, {kind}": f(W) for norm, f in norms.items() for kind, W in Ws.items()},
            **{f"threshold, {kind}": singular_value_threshold(W, 0.5) for kind, W in Ws.items()},
            **{f"soft, {kind}": soft_threshold(W, 0.5) for kind, W in Ws.items()},
            **{name: _sorted(term.value_and_grad(there, batch)) for name, term in terms.items()},
        }

    said = compare(found(on), found(NUMPY), DECOMPOSED)
    broken = on.asarray(np.where(np.arange(12).reshape(3, 4) == 5, np.nan, draw(3, 4)))
    for name, norm in norms.items():
        if not np.isnan(next(leaves([norm(broken)[0]]))[1]):
            raise NumericalError(f"the {name} norm of a matrix with a nan is a number")
    return said


def _sorted(pair: tuple[Array, dict[str, Array]]) -> tuple[Array, dict[str, Array]]:
    return pair[0], dict(sorted(pair[1].items()))


@CHECKS.register("ranks and sparsity")
def ranks(on: Backend) -> str:
    """Effective rank and sparsity, condition numbers, and what low-rank training decomposes; float64."""
    measures = {"rank": effective_rank, "sparsity": effective_sparsity, "condition": condition_number}
    well = {name: W for name, W in matrices().items() if name in ("wide", "tall", "stack")}

    def found(where: Backend) -> dict[str, Any]:
        S, X = where.asarray(draw(10, 10, seed=5)), where.asarray(draw(30, 10, seed=6))
        of_each = {f"{m}, {kind}": f(W) for m, f in measures.items() for kind, W in put(where, well).items()}
        return {**of_each, "clamp": clamp(S, 0.1), "orthogonal": orthogonal(S), "retract": retract(X)}

    return compare(found(on), found(NUMPY), DECOMPOSED)


@CHECKS.register("mutual information")
def mutual_informations(on: Backend) -> str:
    """Both bounds, of the input and of the label, whatever the block; of every hidden layer of a net."""
    h, y = np.tanh(draw(300, 20)), np.random.default_rng(0).integers(0, 10, 300)
    images, params = data().test.images, FCNN().init(NUMPY, 1, "float64")

    def found(where: Backend) -> dict[str, Any]:
        there, labels = where.asarray(h), where.asarray(y)
        blocks = {f"block {block}": mutual_information(there, block=block) for block in (64, 512, None)}
        of_layers = layer_information(FCNN(), put(where, params), where.asarray(images))
        return {**blocks, "label": label_information(there, labels), "layers": of_layers}

    return compare(found(on), found(NUMPY), DECOMPOSED)


@CHECKS.register("certificates")
def certificates(on: Backend) -> str:
    """Which inputs the bound on the margins certifies, at three radii; float64."""
    params, network = FCNN().init(NUMPY, 0, "float64"), FCNN()

    def found(where: Backend) -> dict[str, Array]:
        there, x = put(where, params), where.asarray(pixels(64))
        y = where.xp.argmax(network.gradients(there).logits(x), axis=-1)
        return {f"{eps:g}": certified(network, there, x, y, eps, eps / 10) for eps in (1e-5, 1e-4, 1e-3)}

    return compare(found(on), found(NUMPY), 0.0)
