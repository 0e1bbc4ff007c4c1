"""Sparsity and low rank together: a map over the lambdas of the l1 and the nuclear norm of W1, Section 6's question."""

import statistics
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm
from matplotlib.figure import Figure

from refimpl.attacks import PGD
from refimpl.errors import DataError
from refimpl.runs.compare import comparable
from refimpl.runs.config import Config
from refimpl.settings import PIXELS

from .base import FIGURES, Columns, RunsFigure
from .caption import caption
from .drawing import figure
from .pooling import FACTS, Attacked, Key, attacked, differing, facts, pooled

PANELS = {
    "accuracy": "test accuracy, %",
    "pgd": "PGD fools, % (ε = {eps:g}, pixels clipped)",
    "sparsity": "effective sparsity s(W1)",
    "rank": "effective rank r(W1)",
}
COLUMNS = (*FACTS, "eps", "l1", "nuclear", *PANELS, "seeds")
HOW_TO_READ = (
    "Means over seeds; along both axes the lambdas that were tried, at equal distances. "
    "Each colour has as many pairs of lambdas as any other."
)
TERMS = ("l1", "nuclear")


class SparsityRankMap(RunsFigure):
    """Contours of four numbers over a grid of lambdas."""

    name = "sparsity-rank-map"

    def collect(self, runs: Path, assumption: str) -> Columns:
        """From clipped PGD with its usual settings on all runs whose W1 alone is regularized, by both norms or fewer.

        Raises `DataError` unless they make a whole grid of two lambdas of each norm or more; for unlike runs.
        """
        found = pooled(_results(runs))
        _check_alike([same[0] for same in found.values()])
        columns: Columns = {name: [] for name in COLUMNS}
        for (_, l1, nuclear), same in sorted(found.items()):
            values = [_measured(one) for one in same]
            means = (statistics.fmean(each) for each in zip(*values, strict=True))
            row = (*facts(same[0]), same[0].summary["eps"], l1, nuclear, *means, len(same))
            for name, value in zip(COLUMNS, row, strict=True):
                columns[name].append(float(f"{value:.6g}") if isinstance(value, float) else value)
        across, up = (sorted(set(columns[name])) for name in TERMS)
        if min(len(across), len(up)) < 2 or len(columns["l1"]) < len(across) * len(up):
            raise DataError(
                f"the runs under {runs} that `refimpl attack RUN --attack pgd --clip` attacked make no whole grid of"
                f" the lambdas of l1 and nuclear of W1: {len(columns['l1'])} of {len(across)} x {len(up)}"
            )
        return columns

    def draw(self, columns: Columns) -> Figure:
        drawn = figure(6.0, "Sparsity and low rank together, by the lambda of each", caption(columns), HOW_TO_READ)
        axes = drawn.subplots(2, 2, sharex=True, sharey=True)
        for ax, (name, title) in zip(axes.ravel(), PANELS.items(), strict=True):
            _panel(drawn, ax, columns, name)
            ax.set_title(title.format(eps=columns["eps"][0]))
        for ax in axes[-1]:
            ax.set_xlabel(r"$\lambda_1$ of $\|W^1\|_1$")
        for ax in axes[:, 0]:
            ax.set_ylabel(r"$\lambda_*$ of $\|W^1\|_*$")
        return drawn


def _panel(drawn: Figure, ax: Axes, columns: Columns, name: str) -> None:
    across, up = (sorted(set(columns[term])) for term in TERMS)
    surface: Float[np.ndarray, "up across"] = np.full((len(up), len(across)), np.nan)
    for l1, nuclear, value in zip(*(columns[key] for key in (*TERMS, name)), strict=True):
        surface[up.index(nuclear), across.index(l1)] = value
    levels = np.unique(np.quantile(surface, np.linspace(0, 1, 7)))
    if len(levels) > 1:
        filled = ax.contourf(surface, levels=levels, cmap="viridis", norm=BoundaryNorm(levels, 256))
        ax.contour(surface, levels=levels[1:-1], colors="0.1", linewidths=0.7)
        drawn.colorbar(filled, ax=ax, ticks=levels, format="%.3g")
    ax.set_xticks(range(len(across)), [f"{lam:g}" for lam in across])
    ax.set_yticks(range(len(up)), [f"{lam:g}" for lam in up])


def _results(runs: Path) -> Iterator[tuple[Key, Attacked]]:
    for one in attacked(runs):
        lambdas, eps = _lambdas(one.config), one.summary["eps"]
        usual = PGD(eps=eps, clip=PIXELS).describe() if one.summary["attack"] == PGD.name else {}
        same = usual and all(_plain(one.summary.get(key)) == _plain(value) for key, value in usual.items())
        if lambdas is not None and same:
            yield (f"{lambdas[0]:g}, {lambdas[1]:g}", *lambdas), one


def _check_alike(found: list[Attacked]) -> None:
    """Raise `DataError` for runs that differ in more than seeds and lambdas, and for results on unlike images."""
    likeness = [
        {name: value for name, value in comparable(one.config.table()).items() if not name.startswith("regularizer")}
        | {"eps": one.summary["eps"], "number of images": one.summary["n"]}
        for one in found
    ]
    for one, mine in zip(found, likeness, strict=True):
        if names := differing(mine, likeness[0]):
            raise DataError(f"{one.path} and {found[0].path} differ in {', '.join(names)}: draw them apart")


def _plain(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value


def _lambdas(config: Config) -> tuple[float, float] | None:
    """Of the l1 and the nuclear norm of W1, 0 where there is none; None where training has anything else."""
    terms = {term.name: term.table() for term in config.regularizers}
    other = config.attack or config.low_rank or config.adversarial_weights or set(terms) - set(TERMS)
    if other or any(set(table) != {"W1"} for table in terms.values()):
        return None
    return terms.get("l1", {}).get("W1", 0.0), terms.get("nuclear", {}).get("W1", 0.0)


def _measured(one: Attacked) -> tuple[float, float, float, float]:
    layer = one.run.history[-1]["layers"][0]
    ratio = one.summary["fooling_ratio"]
    fooled = 100 * ratio if ratio is not None else np.nan
    return 100 * one.summary["accuracy"], fooled, layer["effective_sparsity"], layer["effective_rank"]


FIGURES.register("sparsity-rank-map")(SparsityRankMap())
