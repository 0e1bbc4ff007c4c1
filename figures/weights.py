"""Figures of weight matrices: as they are, or each row as an image."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from refimpl.parameters import as_matrix

from .base import Columns, PaperFigure
from .caption import caption
from .drawing import colours, figure
from .finished import FACTS, Finished, label

QUANTILE = 0.995
"""Of the sizes of the weights that share a scale: larger ones have the colour at its end."""


@dataclass(frozen=True)
class Weights(PaperFigure):
    """One panel a method; white is zero. With `images` a row is an image.

    One colour scale for all, or, with `own_scales`, for weights of unlike size, one for each panel.
    """

    name: str
    words: str | None
    arch: str
    layer: str
    methods: Sequence[str]
    images: bool = False
    across: int = 3
    own_scales: bool = False

    def collect(self, runs: Path, assumption: str) -> Columns:
        """Of the first seed, a row of the table a row of a matrix, to four decimals: finer than the colours."""
        finished = Finished(runs, assumption)
        facts = finished.facts(self.arch)
        columns: Columns = {name: [] for name in (*FACTS, "seed", "method", "row")}
        for method in self.methods:
            run = finished.of(self.arch, method)[0]
            config, last = run.config, run.latest()
            assert last is not None, "a finished run has a checkpoint"
            budget = config.attack.eps if config.attack else ""
            for i, row in enumerate(np.asarray(as_matrix(last.params[self.layer]))):
                cells = (*facts, budget, config.seed, method, i)
                for name, cell in zip((*FACTS, "seed", "method", "row"), cells, strict=True):
                    columns[name].append(cell)
                for j, value in enumerate(row):
                    columns.setdefault(f"w{j}", []).append(round(float(value), 4) + 0.0)
        return columns

    def draw(self, columns: Columns) -> Figure:
        methods = np.asarray(columns["method"])
        values = np.array([columns[name] for name in columns if name.startswith("w")], float).T
        panels = {method: values[methods == method] for method in self.methods}
        down = -(-len(self.methods) // self.across)
        rows, entries = panels[self.methods[0]].shape
        wide = 5.6 / self.across
        tall = 0.8 * wide if self.images else min(max(1.0, 1.1 * wide * rows / entries), 2.4)
        drawn = figure((tall + 0.35) * down + 0.1, self.words or "", caption(columns), self._remarks(rows, entries))
        axes = drawn.subplots(down, self.across, squeeze=False)
        for ax in axes.ravel()[len(self.methods) :]:
            ax.set_visible(False)
        common = _limit(values)
        for ax, (method, W) in zip(axes.ravel(), panels.items(), strict=False):
            most = _limit(W) if self.own_scales else common
            shown = self._panel(ax, W / most if self.own_scales else W, 1.0 if self.own_scales else most)
            ax.set_title(label(method) + (f" (±{most:.2g})" if self.own_scales else ""))
        words = "weight, as a fraction of the panel's ±" if self.own_scales else f"weight of {self.layer}"
        drawn.colorbar(shown, ax=axes.ravel().tolist(), shrink=0.8, pad=0.02, aspect=30, extend="both", label=words)
        return drawn

    def outcome(self, columns: Columns) -> str:
        """The largest weight of each method."""
        sizes: dict[str, float] = {}
        for name in columns:
            if name.startswith("w"):
                for method, weight in zip(columns["method"], columns[name], strict=True):
                    sizes[method] = max(sizes.get(method, 0.0), abs(weight))
        return f"Largest weights: {', '.join(f'{label(method)} {size:.3g}' for method, size in sizes.items())}."

    def _panel(self, ax: Axes, W: np.ndarray, most: float) -> Any:
        picture = mosaic(W) if self.images else W
        shown = ax.imshow(picture, cmap=colours("RdBu_r"), vmin=-most, vmax=most, interpolation="nearest")
        ax.set_aspect("equal" if self.images else "auto")
        ax.set(xticks=[], yticks=[])
        ax.spines[:].set_visible(False)
        return shown

    def _remarks(self, rows: int, entries: int) -> str:
        if self.images:
            what = f"each image the {entries} weights from the pixels to one of the {rows} units"
        else:
            what = f"a row for each of the {rows} filters, a column for each of their {entries} entries"
        scale = "Each panel has a scale of its own, up to the ± above it" if self.own_scales else "One scale for all"
        beyond = f"the largest {100 * (1 - QUANTILE):.1g} % of the weights are beyond it"
        return f"A panel for each way of training, {what}. {scale}; {beyond}."


def _limit(W: np.ndarray) -> float:
    return float(np.quantile(np.abs(W), QUANTILE)) or float(np.abs(W).max()) or 1.0


def mosaic(W: np.ndarray) -> np.ndarray:
    """The rows as square images, five beside each other, with a line of nan between them."""
    side, across = math.isqrt(W.shape[1]), 5
    down = -(-len(W) // across)
    picture = np.full((down * (side + 1) - 1, across * (side + 1) - 1), np.nan)
    for i, row in enumerate(W):
        top, left = (i // across) * (side + 1), (i % across) * (side + 1)
        picture[top : top + side, left : left + side] = row.reshape(side, side)
    return picture
