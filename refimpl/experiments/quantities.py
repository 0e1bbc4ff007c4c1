"""Quantities of a line of a history or of a result: what claims compare and figures draw; nan where not measured."""

import math
from collections.abc import Callable
from typing import Any

Measured = dict[str, Any]
"""A line of history.jsonl, or a result.json."""

Quantity = Callable[[Measured], float]


def rank(layer: int) -> Quantity:
    """Effective rank of a layer's weight, layer = 1, 2, ..."""
    return lambda measured: number(measured["layers"][layer - 1]["effective_rank"])


def sparsity(layer: int) -> Quantity:
    """Effective sparsity of a layer's weight."""
    return lambda measured: number(measured["layers"][layer - 1]["effective_sparsity"])


def information(layer: int, end: str) -> Quantity:
    """The "lower" or "upper" bound of I(x;t) of a hidden layer, in bits."""
    return lambda measured: number(measured["layers"][layer - 1].get(f"mutual_information_{end}"))


def fooling(attack: str) -> Quantity:
    """The fooling ratio of an attack."""

    def of(measured: Measured) -> float:
        return next((ratio(a) for a in measured.get("attacks", ()) if a["attack"] == attack), math.nan)

    return of


def ratio(summary: dict[str, Any]) -> float:
    """The fooling ratio in an attack's summary, nan where no input was classified correctly."""
    return number(summary["fooling_ratio"])


def number(value: Any) -> float:
    """What a file has as null is nan."""
    return math.nan if value is None else float(value)
