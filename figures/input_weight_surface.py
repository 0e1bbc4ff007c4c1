"""The surface of accuracy over the radii of inputs and weights, a panel a method: who withstands which of both."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from refimpl.attacks import InputWeight
from refimpl.errors import DataError

from .base import FIGURES, Columns, RunsFigure
from .caption import caption
from .drawing import figure
from .pooling import FACTS, Attacked, Key, attacked, facts, mean_and_range, pooled

TITLES = {
    "natural": "naturally",
    "pgd": "against perturbed inputs",
    "weights": "against perturbed weights",
    "pgd-weights": "against both",
    "margin-reach": "with the margins' reach in the loss",
    "margin-bound": "with the margin bound in the loss",
}
HOW_TO_READ = (
    "A panel for each way of training, all in one scale; numbers are means over seeds, in per cent of all inputs. "
    f"The attack takes {InputWeight.steps} steps on inputs and weights at once."
)
COLUMNS = (*FACTS, "method", "mode", "eps", "eps_weights", "accuracy", "low", "high", "seeds")


class InputWeightSurface(RunsFigure):
    """A panel a method, in colours and numbers."""

    name = "input-weight-surface"

    def collect(self, runs: Path, assumption: str) -> Columns:
        """In per cent, of inputs right before and under attack; mean and range over the runs of a method, one a seed.

        From the results of `refimpl attack RUN --attack input-weight` with the usual steps, one radius for all layers.
        Raises `DataError` where there are none, and for unlike runs of one method.
        """
        found = pooled(_results(runs))
        if not found:
            raise DataError(
                f"no run under {runs} was attacked:"
                " `refimpl attack RUN --attack input-weight --eps 0,0.05 --eps-weights 0,0.01`"
            )
        columns: Columns = {name: [] for name in COLUMNS}
        for key, same in sorted(found.items(), key=lambda item: (_order(item[0][0]), item[0])):
            values = [100 * one.summary["robust_accuracy"] for one in same]
            for name, value in zip(COLUMNS, (*facts(same[0]), *key, *mean_and_range(values), len(values)), strict=True):
                columns[name].append(value)
        return columns

    def draw(self, columns: Columns) -> Figure:
        """Radii of the weights across, of the inputs upwards; simultaneous steps."""
        table = {name: np.asarray(values) for name, values in columns.items()}
        table = {name: values[table["mode"] == "simultaneous"] for name, values in table.items()}
        methods = list(dict.fromkeys(table["method"].tolist()))
        down = -(-len(methods) // 2)
        drawn = figure(
            2.0 * down, "Accuracy under attacks on inputs and weights together, by the radius of each",
            caption(columns), HOW_TO_READ,
        )  # fmt: skip
        axes = drawn.subplots(down, 2, squeeze=False).ravel()
        for ax, method in zip(axes, methods, strict=False):
            rows = {name: values[table["method"] == method] for name, values in table.items()}
            shown = _panel(ax, rows)
            ax.set_title(f"trained: {TITLES.get(method, method)}")
        for ax in axes[len(methods) :]:
            ax.set_visible(False)
        for ax in axes[::2]:
            ax.set_ylabel(r"inputs, $\epsilon_x$ (pixels in [0, 1])")
        for ax in axes[max(0, len(methods) - 2) : len(methods)]:
            ax.set_xlabel(r"each weight, $\epsilon_W$")
        drawn.colorbar(shown, ax=axes.tolist(), shrink=0.6, aspect=30, label="accuracy under attack, %")
        return drawn


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


def _results(runs: Path) -> Iterator[tuple[Key, Attacked]]:
    for one in attacked(runs):
        s = one.summary
        usual = s["attack"] == InputWeight.name and not s["clip"] and s["steps"] == InputWeight.steps
        if usual and isinstance(s["eps_weights"], float) and "truncated" not in s:
            yield (one.config.method, s["mode"], s["eps"], s["eps_weights"]), one


def _order(method: str) -> tuple[int, str]:
    known = list(TITLES)
    return (known.index(method) if method in known else len(known), method)


FIGURES.register("input-weight-surface")(InputWeightSurface())
