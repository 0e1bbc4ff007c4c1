"""Figures of weight matrices: as they are, or each row as an image."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .base import Columns, PaperFigure
from .finished import Finished, label


@dataclass(frozen=True)
class Weights(PaperFigure):
    """One panel a method; white is zero, and each panel has its own scale. With `images` a row is an image."""

    name: str
    words: str | None
    arch: str
    layer: str
    methods: Sequence[str]
    images: bool = False
    across: int = 3

    def collect(self, runs: Path, assumption: str) -> Columns:
        """A row of the table a row of a matrix, to four decimals, which is finer than the colours."""
        finished = Finished(runs, assumption)
        columns: Columns = {"method": [], "row": []}
        for method in self.methods:
            for i, row in enumerate(finished.matrix(self.arch, method, self.layer)):
                columns["method"].append(method)
                columns["row"].append(i)
                for j, value in enumerate(row):
                    columns.setdefault(f"w{j}", []).append(round(float(value), 4) + 0.0)
        return columns

    def draw(self, columns: Columns) -> Figure:
        methods = np.asarray(columns["method"])
        values = np.array([columns[name] for name in columns if name.startswith("w")], float).T
        down = -(-len(self.methods) // self.across)
        shape = values[methods == self.methods[0]].shape
        wide = 7.5 / self.across
        tall = 0.7 * wide if self.images else min(max(1.0, wide * shape[0] / shape[1]), 3.0)
        figure = Figure(figsize=(7.5, (tall + 0.3) * down))
        axes = figure.subplots(down, self.across, squeeze=False).ravel()
        for ax in axes[len(self.methods) :]:
            ax.set_visible(False)
        for ax, method in zip(axes, self.methods, strict=False):
            W = values[methods == method]
            self._panel(ax, mosaic(W) if self.images else W)
            ax.set_title(label(method))
        return figure

    def _panel(self, ax: Axes, picture: np.ndarray) -> None:
        most = float(np.nanmax(np.abs(picture))) or 1.0
        shown = ax.imshow(picture, cmap="RdBu_r", vmin=-most, vmax=most, interpolation="nearest")
        ax.set_aspect("equal" if self.images else "auto")
        ax.set_axis_off()
        assert ax.figure is not None
        bar = ax.figure.colorbar(shown, ax=ax, shrink=0.7, pad=0.02)
        bar.ax.tick_params(labelsize=6)


def mosaic(W: np.ndarray) -> np.ndarray:
    """The rows as square images, five beside each other, with a line of nan between them."""
    side, across = math.isqrt(W.shape[1]), 5
    down = -(-len(W) // across)
    picture = np.full((down * (side + 1) - 1, across * (side + 1) - 1), np.nan)
    for i, row in enumerate(W):
        top, left = (i // across) * (side + 1), (i % across) * (side + 1)
        picture[top : top + side, left : left + side] = row.reshape(side, side)
    return picture
