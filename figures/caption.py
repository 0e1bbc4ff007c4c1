"""What every figure says of its numbers, in a sentence: net, data, seeds, budget, images, assumption."""

from typing import Any

from refimpl.experiments import ASSUMPTIONS
from refimpl.experiments.tables import NETS

from .base import Columns


def caption(columns: Columns) -> str:
    """From those of the columns arch, dataset, seed, seeds, eps, images and assumption that are there."""
    found = {name: _different(columns[name]) for name in columns}
    nets = ", ".join(f"{NETS.get(arch, arch)}" for arch in found["arch"])
    parts = [f"{nets} on {', '.join(found['dataset'])}", _seeds(found)]
    if "assumption" in found and found["eps"]:
        parts.append(f"ε = {', '.join(f'{eps:g}' for eps in found['eps'])} (ℓ∞, pixels in [0, 1])")
    if images := found.get("images"):
        parts.append(f"measured on {' or '.join(f'{n:,}' for n in images)} test images")
    return ", ".join(parts) + "." + "".join(_assumption(arch, name) for arch, name in _assumptions(columns))


def _different(cells: list[Any]) -> list[Any]:
    return sorted({cell for cell in cells if cell != ""})


def _assumptions(columns: Columns) -> list[tuple[str, str]]:
    return _different(list(zip(columns["arch"], columns["assumption"], strict=True))) if "assumption" in columns else []


def _assumption(arch: str, name: str) -> str:
    known = ASSUMPTIONS[arch].get(name)
    return f" Assumption {name}" + (f": {known.words}." if known else ".")


def _seeds(found: dict[str, list[Any]]) -> str:
    if "seed" in found:
        return f"seed {found['seed'][0]}"
    least, *_, most = 2 * found["seeds"]
    return f"{'' if least == most else f'{least} to '}{most} seed{'s' * (most > 1)}"
