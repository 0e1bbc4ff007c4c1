"""Figures of quantities against the epoch: natural training first, then what each defence makes of it."""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from refimpl.experiments import CONTROL, SOURCE, methods_of
from refimpl.experiments.quantities import Quantity

from .base import Columns, PaperFigure
from .caption import caption
from .drawing import figure, sparse_markers, style, widen
from .finished import FACTS, Finished, label

COLUMNS = (*FACTS, "images", "panel", "method", "epoch", "mean", "low", "high", "seeds")
NATURAL_WIDTH = 0.28
"""Of a panel, for natural training; the epochs of tuning, fewer or not, take the rest."""

STEPS = [factor * 10**power for power in range(9) for factor in (1, 2, 5)]
"""Epochs between the marks of tuning."""

LEGEND = "trained by (a regularizer with its λ)"


def _measured(quantity: Quantity, lines: Sequence[dict[str, Any]]) -> list[float]:
    return [value for value in map(quantity, lines) if not math.isnan(value)]


def per_cent(quantity: Quantity) -> Quantity:
    """A ratio as a percentage."""
    return lambda line: 100 * quantity(line)


@dataclass(frozen=True)
class Panel:
    """What is collected under a title. `upper`, where given, is the upper of two bounds, `quantity` the lower."""

    title: str
    quantity: Quantity
    upper: Quantity | None = None


@dataclass(frozen=True)
class Row:
    """Panels that are drawn beside each other, by the title each is drawn under.

    `edge` is what a line shows: the mean over seeds with their range as a band, or the "low" or "high" end of the range
    alone. `shared`: one y axis for all, within `limits` where they are given.
    """

    label: str
    panels: Mapping[str, str]
    edge: str = "mean"
    shared: bool = True
    limits: tuple[float, float] | None = None


@dataclass(frozen=True)
class Curves(PaperFigure):
    """`panels` are collected, those named in `rows` drawn."""

    name: str
    words: str | None
    arch: str
    panels: Sequence[Panel]
    rows: Sequence[Row]
    remarks: str = ""

    def collect(self, runs: Path, assumption: str) -> Columns:
        """Natural training from epoch 1; each method from where it ended."""
        finished = Finished(runs, assumption)
        columns: Columns = {name: [] for name in COLUMNS}
        ends = [lines[-1] for lines in finished.lines(self.arch, SOURCE)]
        before, attacks = ends[0]["epoch"], ends[0].get("attacks") or [{}]
        facts = (*finished.facts(self.arch), attacks[0].get("eps", ""), attacks[0].get("n", ""))
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
                        row = (*facts, panel.title, method, epoch, mean, min(lows), max(highs), len(lows))
                        for name, value in zip(COLUMNS, row, strict=True):
                            columns[name].append(float(f"{value:.6g}") if isinstance(value, float) else value)
        return columns

    def draw(self, columns: Columns) -> Figure:
        table = {name: np.asarray(values) for name, values in columns.items()}
        across = max(len(row.panels) for row in self.rows)
        lines = "Lines: means over seeds; bands: their range. " if max(columns["seeds"]) > 1 else ""
        scale = "Grey: natural training; right of it, on a wider scale, each method that continues it."
        height = 1.35 * len(self.rows) + (0.9 if len(self.rows) > 1 else 1.4)
        drawn = figure(height, self.words or "", caption(columns), f"{lines}{self.remarks}{scale}")
        axes = drawn.subplots(len(self.rows), across, squeeze=False, sharex=True)
        for row, beside in zip(self.rows, axes, strict=True):
            self._row(row, beside, table)
        for ax in axes[-1]:
            ax.set_xlabel("epoch")
        handles = [Line2D([], [], label=label(name), **_style(name, i)) for i, name in enumerate(_methods(table))]
        drawn.legend(handles=handles, title=LEGEND, loc="outside lower center", ncols=4)
        return drawn

    def outcome(self, columns: Columns) -> str:
        """The last mean of each method in the first panel."""
        row = self.rows[0]
        panel = next(iter(row.panels.values()))
        last = {
            method: mean
            for of, method, mean in zip(*(columns[name] for name in ("panel", "method", "mean")), strict=True)
            if of == panel
        }
        values = ", ".join(f"{label(method)} {mean:.3g}" for method, mean in last.items())
        return f"At the end {row.label} ({panel}): {values}."

    def _row(self, row: Row, axes: Sequence[Axes], table: Mapping[str, np.ndarray]) -> None:
        for ax, (title, panel) in zip(axes, row.panels.items(), strict=False):
            rows = {name: values[table["panel"] == panel] for name, values in table.items()}
            for i, method in enumerate(_methods(table)):
                _line(ax, {name: values[rows["method"] == method] for name, values in rows.items()}, row.edge, i)
            _phases(ax, rows)
            ax.set_title(title)
        widen(axes)
        if row.shared:
            ends = [ax.get_ylim() for ax in axes]
            least, most = min(low for low, _ in ends), max(high for _, high in ends)
            for ax in axes:
                ax.set_ylim(row.limits or (least, most))
                ax.tick_params(labelleft=ax is axes[0])
        axes[0].set_ylabel(row.label)


def _methods(table: Mapping[str, np.ndarray]) -> list[str]:
    return list(dict.fromkeys(table["method"].tolist()))


def _style(method: str, i: int) -> dict[str, Any]:
    if method in (SOURCE, CONTROL):
        return {"color": "0.4", "linestyle": ":" if method == CONTROL else "-", "marker": None}
    return style(i - 2)


def _line(ax: Axes, rows: Mapping[str, np.ndarray], edge: str, i: int) -> None:
    if not len(rows["epoch"]):
        return
    how = _style(rows["method"][0], i)
    ax.plot(rows["epoch"], rows[edge], linewidth=0.9, **how, **sparse_markers(i))
    if edge == "mean":
        ax.fill_between(rows["epoch"], rows["low"], rows["high"], color=how["color"], alpha=0.15, linewidth=0)


def _phases(ax: Axes, rows: Mapping[str, np.ndarray]) -> None:
    """Natural training on a grey background, and the epochs after it on a wider scale."""
    switch, end = int(rows["epoch"][rows["method"] == SOURCE].max()), int(rows["epoch"].max())
    ax.axvspan(0, switch, color="0.94", zorder=0, linewidth=0)
    known, places = (0, switch, end), (0, NATURAL_WIDTH, 1)
    if end > switch:
        scale = (lambda x: np.interp(x, known, places), lambda place: np.interp(place, places, known))
        ax.set_xscale("function", functions=scale)
        step = next(step for step in STEPS if 4 * step >= end - switch)
        ax.set_xticks([0, *range(switch, end + 1, step)])
    ax.set_xlim(0, end)
