"""A run as pictures read it, and what their figures have in common."""

from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from refimpl.errors import DataError
from refimpl.parameters import weights
from refimpl.runs.compare import read_history
from refimpl.runs.folder import Run
from refimpl.runs.trained import TrainedRun, open_run

from .. import drawing

FEW = 40
"""Points, each of which has a marker."""


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
    def trained(self) -> TrainedRun:
        """With its data. Raises `AbsentError` where they are not found, or are others."""
        try:
            return open_run(self.run.folder, data_dir=self.data_dir, backend="numpy")
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


def figure(source: Source, shows: str, height: float, reading: str = "") -> Figure:
    """An empty figure; the texts above it say what it shows, of which run, and how to read it."""
    return drawing.figure(height, shows, source.title, reading)


def plot_epochs(ax: Axes, epochs: Iterable[int], values: Iterable[float], **how: Any) -> None:
    """A line over epochs, with few markers where they are many."""
    x, y = np.asarray(list(epochs), float), np.asarray(list(values), float)
    ax.plot(x, y, linewidth=1.1, markevery=None if len(x) <= FEW else 0.25, **how)
    ax.set_xlabel("epoch")
    ax.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10], integer=True, min_n_ticks=1))


def logarithmic(ax: Axes) -> None:
    """A logarithmic y axis with ticks at 1, 2 and 5 times powers of ten, as plain numbers."""
    ax.set_yscale("log")
    ax.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    ax.yaxis.set_minor_locator(NullLocator())
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
