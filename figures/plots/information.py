"""Bounds of the mutual information of input and each hidden layer over the epochs at which they were measured."""

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from ..drawing import Drawing, style
from .source import AbsentError, Source, figure, number, plot_epochs, rounded

ACROSS = 3
BOUNDS = ("lower", "upper")
LEAST_BITS = 0.1
"""That the axes span: less is rounding."""

HOW_TO_READ = "The mutual information lies between the bounds, on the grey band."


def draw(source: Source) -> Drawing:
    rows = []
    for line in source.history:
        for layer in line["layers"]:
            if "mutual_information_lower" in layer:
                bounds = [number(layer[f"mutual_information_{bound}"]) for bound in BOUNDS]
                rows.append((line["epoch"], layer["name"], *bounds))
    if not rows:
        raise AbsentError("train with --monitor mi")
    drawn = _draw(rows, source)
    epochs, layers, lower, upper = zip(*rows, strict=True)
    columns = {"epoch": epochs, "layer": layers, "lower": [*map(rounded, lower)], "upper": [*map(rounded, upper)]}
    return Drawing(f"{source.name}-information", drawn, columns)


def _draw(rows: list[tuple[Any, ...]], source: Source) -> Figure:
    """A panel for each hidden layer: the upper bound dashed, the lower one solid, what is possible between them."""
    layers = list(dict.fromkeys(row[1] for row in rows))
    down, across = -(-len(layers) // ACROSS), min(ACROSS, len(layers))
    drawn = figure(source, "Mutual information of input x and hidden layers t", 1.8 * down + 0.6, HOW_TO_READ)
    axes = drawn.subplots(down, across, squeeze=False, sharex=True, sharey=True)
    for ax, layer in zip(axes.ravel(), layers, strict=False):
        epochs, lower, upper = np.array([(row[0], *row[2:]) for row in rows if row[1] == layer]).T
        plot_epochs(ax, epochs, upper, label="upper bound", **style(1) | {"linestyle": "--"})
        plot_epochs(ax, epochs, lower, label="lower bound", **style(0))
        ax.fill_between(epochs, lower, upper, color="0.5", alpha=0.2, linewidth=0)
        ax.set_title(f"hidden layer after {layer}")
        ax.tick_params(labelbottom=True)
    for ax in axes.ravel()[len(layers) :]:
        ax.set_visible(False)
    most = max(LEAST_BITS, *(row[3] for row in rows if np.isfinite(row[3])))
    axes[0, 0].set_ylim(-0.02 * most, 1.05 * most)
    for ax in axes[:, 0]:
        ax.set_ylabel("I(x; t), bits")
    drawn.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return drawn
