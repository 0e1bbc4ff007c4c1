"""Low-rank PGD beside PGD in the same l_2 ball: whom it fools at each rank, and which singular values it changes."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure, SubFigure

from refimpl.attacks import ATTACKS
from refimpl.errors import DataError

from .base import FIGURES, Columns, RunsFigure
from .caption import caption
from .drawing import figure, sparse_markers, style
from .pooling import FACTS, Attacked, Key, attacked, facts, mean_and_range, pooled

COLUMNS = (*FACTS, "panel", "series", "eps", "rank", "index", "mean", "low", "high", "seeds")
FULL, LOW = "pgd-l2", "lora-pgd"
NAMES = {LOW: "low-rank PGD", FULL: "PGD"}
"""The attacks as readers of the figure know them, where a series begins with one."""

HOW_TO_READ = (
    "Above: how many inputs each attack fools, means over seeds; bars: their range. Truncated: PGD's perturbation, cut "
    "to the rank; warm: begun at one step of PGD, truncated; matched: with the budget that gives PGD's nuclear norm. "
    "Below: how the relative change of an image's singular values is shared among them, largest first; where one "
    "vanishes there is no line."
)


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
            of = facts(same[0])
            _add(columns, (*of, "fooling", series, eps, rank, 0), [100 * one.summary["fooling_ratio"] for one in same])
            if series in (LOW, FULL):
                spectra = zip(*(one.summary["spectral_fraction"] for one in same), strict=True)
                for i, fractions in enumerate(spectra, start=1):
                    _add(columns, (*of, "spectrum", series, eps, rank, i), fractions)
        return columns

    def draw(self, columns: Columns) -> Figure:
        rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        budgets, full = sorted({row["eps"] for row in rows}), max(row["rank"] for row in rows)
        drawn = figure(5.6, "Low-rank PGD beside PGD in the same ℓ2 ball", caption(columns), HOW_TO_READ)
        (above,), (below,) = drawn.subfigures(2, 1, squeeze=False)
        _fooling(above, [row for row in rows if row["panel"] == "fooling"], budgets, full)
        _spectrum(below, [row for row in rows if row["panel"] == "spectrum"], budgets, full)
        return drawn


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


def _fooling(part: SubFigure, rows: list[dict[str, Any]], budgets: list[float], full: int) -> None:
    axes = part.subplots(1, len(budgets), squeeze=False, sharey=True)[0]
    names = list(dict.fromkeys(row["series"] for row in rows))
    for ax, eps in zip(axes, budgets, strict=True):
        for i, series in enumerate(names):
            own = [row for row in rows if (row["series"], row["eps"]) == (series, eps)]
            rank, mean, low, high = (np.array([row[key] for row in own]) for key in ("rank", "mean", "low", "high"))
            how = style(i) | ({"color": "0.4"} if series == FULL else {})
            how |= {"linestyle": "none"} if len(own) < 3 else {}  # two ranks far apart show no course
            ax.errorbar(rank, mean, [mean - low, high - mean], label=_named(series), linewidth=1, **how)
            if series == FULL:
                ax.axhline(mean[0], color="0.4", linestyle="--", linewidth=0.8)
        ax.set(xlabel="rank", xlim=(0, full + 1), ylim=(0, 103), title=f"ε = {eps:g} (ℓ2)")
    axes[0].set_ylabel("fooling ratio, %")
    part.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)


def _spectrum(part: SubFigure, rows: list[dict[str, Any]], budgets: list[float], full: int) -> None:
    """Of PGD and of low-rank PGD at each rank, dark to light."""
    axes = part.subplots(1, len(budgets), squeeze=False, sharey=True)[0]
    ranks = sorted({row["rank"] for row in rows if row["series"] == LOW})
    shades = matplotlib.colormaps["viridis"](np.linspace(0, 0.9, len(ranks)))
    lines = [(LOW, rank, shade) for rank, shade in zip(ranks, shades, strict=True)]
    for ax, eps in zip(axes, budgets, strict=True):
        for i, (series, rank, color) in enumerate([*lines, (FULL, full, "0.4")]):
            own = [row for row in rows if (row["series"], row["rank"], row["eps"]) == (series, rank, eps)]
            fraction = [row["mean"] or math.nan for row in own]
            how = style(i) | {"color": color, "linestyle": "--" if series == FULL else "-"} | sparse_markers(i)
            name = _named(series) + (f", rank {rank:g}" if series == LOW else "")
            ax.plot([row["index"] for row in own], fraction, linewidth=1, label=name, **how)
        ax.set(xlabel="i-th singular value", xlim=(0, full + 1), yscale="log")
    axes[0].set_ylabel("fraction of the relative change")
    part.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)


def _named(series: str) -> str:
    attack, *settings = series.split(", ")
    return ", ".join([NAMES[attack], *settings])


FIGURES.register("low-rank-attack")(LowRankAttack())
