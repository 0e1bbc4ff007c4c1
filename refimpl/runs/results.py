"""Results as files: JSON for the summaries, safetensors for what belongs to each example."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save

from ..atomic import make_folder, write_bytes, write_text
from ..measures.fooling import AttackResult


def to_json(value: Any) -> str:
    """Standard JSON: what is not a number (nan, infinite) becomes null."""
    return json.dumps(_plain(value), indent=2, allow_nan=False)


def to_line(value: Any) -> str:
    """`to_json` on one line: a record of a JSON-lines file."""
    return json.dumps(_plain(value), allow_nan=False)


def write_result(folder: Path, name: str, result: AttackResult, images: bool) -> Path:
    """`name.json`, the summary; `name.safetensors`, what belongs to each example, with its adversarial image if asked.

    The path of the summary is returned. Tensors: `index` into the test set, `label`, `adversarial_label`, `distance` in
    the attack's norm, `zero_gradient`, and `x_adv`, pixels in [0, 1] of the dtype that was attacked: nothing is rounded
    to grey levels; with it, under their names, the weights that an attack on weights left.
    """
    make_folder(folder)
    tensors = {
        "index": result.index,
        "label": result.label,
        "adversarial_label": result.adversarial_label,
        "distance": result.distance,
        "zero_gradient": result.zero_gradient,
    }
    if images:
        tensors |= {"x_adv": result.x_adv, **result.weights}
    content = {key: np.ascontiguousarray(tensor) for key, tensor in tensors.items()}
    write_bytes(folder / f"{name}.safetensors", save(content))
    path = folder / f"{name}.json"
    write_text(path, to_json(result.summary) + "\n")
    return path


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
