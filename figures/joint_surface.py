"""The surface of accuracy over the radii of inputs and weights, a panel a method: who withstands which of both."""

import json
import statistics
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from refimpl.attacks.input_weight_settings import STEPS

from refimpl.errors import DataError
from refimpl.runs.folder import list_runs

TITLES = {
    "natural": "natural training",
    "pgd": "against perturbed inputs",
    "weights": "against perturbed weights",
    "pgd-weights": "against both",
    "margin-reach": "the margins' reach in the loss",
}
COLUMNS = ("method", "mode", "eps", "eps_weights", "accuracy", "low", "high", "seeds")
Columns = dict[str, list[Any]]


class JointSurface:
    """A panel a method, in colours and numbers."""

    name = "joint-surface"

    def collect(self, root: Path) -> Columns:
        """In per cent, of inputs right before and under attack; mean and range over the runs of a method, one a seed.

        From the results of `refimpl attack RUN --attack joint` with the usual steps and one radius for all layers.
        Raises `DataError` where there are none.
        """
        found: dict[tuple[Any, ...], list[float]] = defaultdict(list)
        for run in list_runs(root):
            for path in sorted((run.folder / "attacks").glob("joint-*.json")):
                result = _read(path)
                if not result["clip"] and result["steps"] == STEPS and isinstance(result["eps_weights"], float):
                    key = (run.config.method, result["mode"], result["eps"], result["eps_weights"])
                    found[key].append(100 * result["adversarial_accuracy"])
        if not found:
            raise DataError(
                f"no run under {root} was attacked: "
                "`refimpl attack RUN --attack joint --eps 0,0.05 --eps-weights 0,0.01`"
            )
        columns: Columns = {name: [] for name in COLUMNS}
        for key, values in sorted(found.items(), key=lambda item: (_order(item[0][0]), item[0])):
            row = (
                *key,
                *(float(f"{v:.6g}") for v in (statistics.fmean(values), min(values), max(values))),
                len(values),
            )
            for name, value in zip(COLUMNS, row, strict=True):
                columns[name].append(value)
        return columns

    def draw(self, columns: Columns) -> Figure:
        """Radii of the weights across, of the inputs upwards; simultaneous steps."""
        table = {name: np.asarray(values) for name, values in columns.items()}
        table = {name: values[table["mode"] == "simultaneous"] for name, values in table.items()}
        methods = list(dict.fromkeys(table["method"].tolist()))
        down = -(-len(methods) // 2)
        figure = Figure(figsize=(7.0, 2.5 * down + 0.3))
        axes = figure.subplots(down, 2, squeeze=False).ravel()
        for ax, method in zip(axes, methods, strict=False):
            rows = {name: values[table["method"] == method] for name, values in table.items()}
            shown = _panel(ax, rows)
            ax.set_title(TITLES.get(method, method))
        for ax in axes[len(methods) :]:
            ax.set_visible(False)
        for ax in axes[::2]:
            ax.set_ylabel(r"inputs, $\epsilon_x$")
        for ax in axes[max(0, len(methods) - 2) : len(methods)]:
            ax.set_xlabel(r"weights, $\epsilon_W$")
        figure.colorbar(shown, ax=axes.tolist(), shrink=0.6, label="accuracy under attack, %")
        return figure


def _panel(ax: Axes, rows: dict[str, np.ndarray]) -> Any:
    across, up = sorted(set(rows["eps_weights"].tolist())), sorted(set(rows["eps"].tolist()))
    surface = np.full((len(up), len(across)), np.nan)
    for eps, radius, accuracy in zip(rows["eps"], rows["eps_weights"], rows["accuracy"], strict=True):
        surface[up.index(eps), across.index(radius)] = accuracy
    shown = ax.imshow(surface, cmap="viridis", vmin=0, vmax=100, origin="lower", aspect="auto")
    for (i, j), value in np.ndenumerate(surface):
        if np.isfinite(value):
            ax.text(j, i, f"{value:.0f}", ha="center", va="center", color="white" if value < 60 else "black")
    ax.set_xticks(range(len(across)), [f"{radius:g}" for radius in across])
    ax.set_yticks(range(len(up)), [f"{eps:g}" for eps in up])
    return shown


def _read(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text()))
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read: {error}") from None


def _order(method: str) -> tuple[int, str]:
    known = list(TITLES)
    return (known.index(method) if method in known else len(known), method)


FIGURE = JointSurface()
