"""Low-rank PGD beside PGD in the same l_2 ball: whom it fools at each rank, and which singular values it changes."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from refimpl.attacks import ATTACKS
from refimpl.errors import DataError

from .base import FIGURES, Columns, RunsFigure
from .pooling import Attacked, Key, attacked, mean_and_range, pooled

COLUMNS = ("panel", "series", "eps", "rank", "index", "mean", "low", "high", "runs")
FULL, LOW = "pgd-l2", "lora-pgd"


class LowRankAttack(RunsFigure):
    """Above, fooling ratios in per cent against the rank; below, fractions of the relative change of singular values.

    One column a budget; marks are means over runs, bars their range.
    """

    name = "low-rank-attack"

    def collect(self, runs: Path, assumption: str) -> Columns:
        """The attacks on the runs under `runs`, by what they are called, budget and rank.

        Raises `DataError` unless there is one of full rank and one of low rank at the same budget; for unlike runs.
        """
        found = pooled(_results(runs))
        budgets = {eps for _, series, eps, _ in found if series == FULL} & {
            eps for _, series, eps, _ in found if series == LOW
        }
        if not budgets:
            raise DataError(
                f"no run under {runs} was attacked at low and at full rank with one eps: `refimpl attack RUN --attack"
                " lora-pgd --rank 1,3,50%` and `--attack pgd-l2`"
            )
        columns: Columns = {name: [] for name in COLUMNS}
        for (_, series, eps, rank), same in sorted(found.items()):
            if eps not in budgets:
                continue
            _add(columns, ("fooling", series, eps, rank, 0), [100 * one.summary["fooling_ratio"] for one in same])
            if series in (LOW, FULL):
                spectra = zip(*(one.summary["spectral_fraction"] for one in same), strict=True)
                for i, fractions in enumerate(spectra, start=1):
                    _add(columns, ("spectrum", series, eps, rank, i), fractions)
        return columns

    def draw(self, columns: Columns) -> Figure:
        rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        budgets, full = sorted({row["eps"] for row in rows}), max(row["rank"] for row in rows)
        figure = Figure(figsize=(max(7.0, 2.5 * len(budgets)), 5.4))
        axes = figure.subplots(2, len(budgets), squeeze=False, sharey="row")
        for (above, below), eps in zip(axes.T, budgets, strict=True):
            _fooling(above, [row for row in rows if (row["panel"], row["eps"]) == ("fooling", eps)], full)
            _spectrum(below, [row for row in rows if (row["panel"], row["eps"]) == ("spectrum", eps)], full)
            above.set_title(rf"$\ell_2$ budget {eps:g}")
        axes[0, 0].set_ylabel("fooling ratio, %")
        axes[1, 0].set_ylabel("share of relative change")
        for ax in axes[:, -1]:
            ax.legend(loc="upper left", bbox_to_anchor=(1.02, 1))
        return figure


def _results(runs: Path) -> Iterator[tuple[Key, Attacked]]:
    """By series, budget and rank; all are of one net."""
    for one in attacked(runs):
        s = one.summary
        if s["attack"] in (FULL, LOW) and "spectral_fraction" in s and "truncated" not in s:
            key = _series(s), s.get("matched_eps", s["eps"]), s["rank"] or len(s["spectral_fraction"])
            yield ("the net", *key), one


def _series(summary: dict[str, Any]) -> str:
    """The attack, and every setting that makes it another one."""
    usual = ATTACKS[summary["attack"]]().describe()
    parts = {
        "truncated": summary["attack"] == FULL and summary["rank"],
        "warm": summary.get("warm_start"),
        "guided": "surrogate" in summary,
        "matched": "matched_eps" in summary,
        "clipped": summary["clip"],
        f"{summary['steps']} steps": summary["steps"] != usual["steps"],
    }
    return ", ".join([summary["attack"], *(part for part, holds in parts.items() if holds)])


def _add(columns: Columns, key: tuple[Any, ...], values: Sequence[float]) -> None:
    for name, value in zip(COLUMNS, (*key, *mean_and_range(values), len(values)), strict=True):
        columns[name].append(value)


def _fooling(ax: Axes, rows: list[dict[str, Any]], full: int) -> None:
    for i, series in enumerate(dict.fromkeys(row["series"] for row in rows)):
        own = [row for row in rows if row["series"] == series]
        rank, mean, low, high = (np.array([row[key] for row in own]) for key in ("rank", "mean", "low", "high"))
        color = "0.4" if series == FULL else f"C{i}"
        if series == FULL:
            ax.axhline(mean[0], color=color, linestyle="--", linewidth=1)
        ax.errorbar(rank, mean, [mean - low, high - mean], fmt="o-", color=color, markersize=3, label=series)
    ax.set(xlabel="rank", xlim=(0, full + 1))


def _spectrum(ax: Axes, rows: list[dict[str, Any]], full: int) -> None:
    """Of PGD and of low-rank PGD at each rank, dark to light."""
    ranks = sorted({row["rank"] for row in rows if row["series"] == LOW})
    shades = matplotlib.colormaps["viridis"](np.linspace(0, 0.9, len(ranks)))
    lines = [(LOW, rank, shade) for rank, shade in zip(ranks, shades, strict=True)]
    for series, rank, color in [*lines, (FULL, full, "0.4")]:
        own = [row for row in rows if (row["series"], row["rank"]) == (series, rank)]
        style = "--" if series == FULL else "-"
        label = series if series == FULL else f"{series}, rank {rank:g}"
        fraction = [row["mean"] or math.nan for row in own]
        ax.plot([row["index"] for row in own], fraction, style, color=color, label=label)
    ax.set(xlabel="i-th singular value", xlim=(1, full), yscale="log")


FIGURES.register("low-rank-attack")(LowRankAttack())
