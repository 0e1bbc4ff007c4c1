"""Figures of quantities against the epoch: natural training first, then what each defence makes of it."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from refimpl.experiments import CONTROL, SOURCE, methods_of
from refimpl.experiments.quantities import Quantity

from .base import Columns, PaperFigure
from .finished import Finished, label

COLUMNS = ("panel", "method", "epoch", "mean", "low", "high", "seeds")


def _measured(quantity: Quantity, lines: Sequence[dict[str, Any]]) -> list[float]:
    return [value for value in map(quantity, lines) if not math.isnan(value)]


def per_cent(quantity: Quantity) -> Quantity:
    """A ratio as a percentage."""
    return lambda line: 100 * quantity(line)


@dataclass(frozen=True)
class Panel:
    """`upper`, where given, is the upper of two bounds: then both are drawn, and no mean."""

    title: str
    quantity: Quantity
    upper: Quantity | None = None


@dataclass(frozen=True)
class Curves(PaperFigure):
    """One panel a quantity, `across` of them in a row; the band is the range over seeds."""

    name: str
    words: str | None
    arch: str
    unit: str
    panels: Sequence[Panel]
    across: int

    def collect(self, runs: Path, assumption: str) -> Columns:
        """Natural training from epoch 1; each method from where it ended."""
        finished = Finished(runs, assumption)
        columns: Columns = {name: [] for name in COLUMNS}
        ends = [lines[-1] for lines in finished.lines(self.arch, SOURCE)]
        before = ends[0]["epoch"]
        for method in methods_of(self.arch):
            seeds = finished.lines(self.arch, method)
            if method != SOURCE:  # begin where natural training ended
                seeds = [[end | {"epoch": 0}, *lines] for end, lines in zip(ends, seeds, strict=False)]
            for panel in self.panels:
                for lines in zip(*seeds, strict=True):
                    epoch = lines[0]["epoch"] + (0 if method == SOURCE else before)
                    lows = _measured(panel.quantity, lines)
                    highs = _measured(panel.upper or panel.quantity, lines)
                    if lows and highs:
                        mean = (statistics.fmean(lows) + statistics.fmean(highs)) / 2
                        row = (panel.title, method, epoch, mean, min(lows), max(highs), len(lows))
                        for name, value in zip(COLUMNS, row, strict=True):
                            columns[name].append(float(f"{value:.6g}") if isinstance(value, float) else value)
        return columns

    def draw(self, columns: Columns) -> Figure:
        table = {name: np.asarray(values) for name, values in columns.items()}
        down = -(-len(self.panels) // self.across)
        figure = Figure(figsize=(2.5 * self.across, 2.1 * down + 0.7))
        axes = figure.subplots(down, self.across, squeeze=False).ravel()
        for ax, panel in zip(axes, self.panels, strict=False):
            rows = {name: values[table["panel"] == panel.title] for name, values in table.items()}
            self._panel(ax, rows, panel.upper is not None)
            ax.set_title(panel.title)
        for ax in axes[len(self.panels) :]:
            ax.set_visible(False)
        for ax in axes[len(self.panels) - self.across : len(self.panels)]:
            ax.set_xlabel("epoch")
        for ax in axes[:: self.across]:
            ax.set_ylabel(self.unit)
        figure.legend(
            *axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=min(4, 2 * self.across - 2)
        )
        return figure

    def _panel(self, ax: Axes, table: dict[str, np.ndarray], bounds: bool) -> None:
        methods = list(dict.fromkeys(table["method"].tolist()))
        for i, method in enumerate(methods):
            rows = {name: values[table["method"] == method] for name, values in table.items()}
            color = "0.4" if method in (SOURCE, CONTROL) else f"C{(i - 2) % 7}"
            style = ":" if method == CONTROL else "--" if i - 2 >= 7 else "-"
            if bounds:
                ax.plot(rows["epoch"], rows["low"], style, color=color, linewidth=0.9)
                ax.plot(rows["epoch"], rows["high"], style, color=color, linewidth=0.9)
            else:
                ax.plot(rows["epoch"], rows["mean"], style, color=color, label=label(method), linewidth=1)
                ax.fill_between(rows["epoch"], rows["low"], rows["high"], color=color, alpha=0.15, linewidth=0)
        natural = table["epoch"][table["method"] == SOURCE]
        if len(natural):
            ax.axvline(natural.max(), color="0.7", linewidth=0.8, zorder=0)  # from here on, fine-tuning
