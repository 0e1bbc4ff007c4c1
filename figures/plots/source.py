"""A run as pictures read it, and what their figures have in common."""

import textwrap
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from refimpl.errors import DataError
from refimpl.parameters import weights
from refimpl.runs.compare import read_history
from refimpl.runs.folder import Run
from refimpl.runs.session import Session, open_run

WIDTH = 7.0
"""Inches."""

COLORS = 7
STYLES = ("-", "--", ":", "-.")


class AbsentError(Exception):
    """A run has nothing for a picture to show; the message says why."""


class Source:
    """The run in `folder`; `name` begins the names of its pictures. Raises `DataError` for what is no run."""

    def __init__(self, folder: Path, name: str, data_dir: Path | None = None) -> None:
        self.run, self.name, self.data_dir = Run.open(folder), name, data_dir
        self.config = self.run.config

    @cached_property
    def history(self) -> list[dict[str, Any]]:
        return read_history(self.run)

    @cached_property
    def epoch(self) -> int:
        """The last one."""
        return int(self.history[-1]["epoch"])

    @cached_property
    def weights(self) -> dict[str, np.ndarray]:
        """After training, full where the layers are in factors, by name."""
        saved = self.run.latest()
        if saved is None:
            raise AbsentError("no checkpoint")
        full = weights(self.config.trained().full(saved.params))
        return {name: np.asarray(W, float) for name, W in full.items()}

    @cached_property
    def session(self) -> Session:
        """With its data. Raises `AbsentError` where they are not found, or are others."""
        try:
            return open_run(self.run.folder, self.data_dir, "numpy")
        except DataError as error:
            raise AbsentError(str(error)) from None

    @property
    def title(self) -> str:
        """Network, data, training with its budget, seed."""
        config = self.config
        budget = f" (ε = {config.attack.eps:g}, ℓ{norm(config.attack.ball)})" if config.attack else ""
        epochs = "1 epoch" if self.epoch == 1 else f"{self.epoch} epochs"
        training = f"{config.method} training{budget}"
        return f"{config.arch} on {Path(config.dataset).name}, {training}, seed {config.seed}, after {epochs}"


def norm(ball: str) -> str:
    return "∞" if ball == "inf" else ball


def number(value: float | None) -> float:
    """A number of a JSON file, in which null is what is not finite."""
    return np.nan if value is None else float(value)


def rounded(value: float) -> float | str:
    """To six digits, as CSV files have it; an empty cell for nan."""
    return "" if np.isnan(value) else float(f"{value:.6g}")


def figure(source: Source, shows: str, height: float) -> Figure:
    """An empty figure of `WIDTH` by `height` inches; its title says what it shows, and of which run."""
    made = Figure(figsize=(WIDTH, height))
    made.suptitle("\n".join(line for text in (shows, source.title) for line in textwrap.wrap(text, 100)), fontsize=9)
    return made


def style(i: int) -> dict[str, Any]:
    """Colour and dashes of the i-th line, all different for 28 lines."""
    return {"color": f"C{i % COLORS}", "linestyle": STYLES[i // COLORS % len(STYLES)]}


def plot_epochs(ax: Axes, epochs: Iterable[int], values: Iterable[float], **how: Any) -> None:
    """A line over epochs, with a marker for each where they are few or far apart."""
    x, y = np.asarray(list(epochs), float), np.asarray(list(values), float)
    marker = "o" if len(x) <= 40 else None
    ax.plot(x, y, marker=marker, markersize=2.5, linewidth=1.1, **how)
    ax.set_xlabel("epoch")
    ax.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10], integer=True, min_n_ticks=1))


def logarithmic(ax: Axes) -> None:
    """A logarithmic y axis with ticks at 1, 2 and 5 times powers of ten, as plain numbers."""
    ax.set_yscale("log")
    ax.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    ax.yaxis.set_minor_locator(NullLocator())
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def colours(name: str) -> matplotlib.colors.Colormap:
    """A colour map in which what is no number is grey."""
    return matplotlib.colormaps[name].with_extremes(bad="0.75")
