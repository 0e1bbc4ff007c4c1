"""Accuracy under attack against the budget: nets trained at low rank, truncated to it, regularized, and as they are."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from refimpl.attacks import ATTACKS
from refimpl.errors import DataError
from refimpl.runs.config import Config

from .base import FIGURES, Columns, RunsFigure
from .pooling import Attacked, Key, attacked, mean_and_range, pooled

COLUMNS = ("attack", "net", "eps", "mean", "low", "high", "seeds")
PANELS = {"fgsm": "FGSM", "pgd": "PGD"}


class LowRankTraining(RunsFigure):
    """A panel an attack, in per cent of the test images; lines are means over seeds, bands their range."""

    name = "low-rank-training"

    def collect(self, runs: Path, assumption: str) -> Columns:
        """From the attacks on the runs under `runs`, those of one net, by its settings, together.

        Raises `DataError` unless a low-rank net is among them, and for unlike runs of one net.
        """
        found = pooled(_results(runs))
        if not any(net.startswith("low rank") for net, _, _ in found):
            raise DataError(
                f"no low-rank net under {runs} was attacked: `refimpl train --low-rank 50%`, then `refimpl attack RUN`"
            )
        columns: Columns = {name: [] for name in COLUMNS}
        for (attack, net, eps), same in sorted(((a, net, eps), same) for (net, a, eps), same in found.items()):
            values = [100 * one.summary["adversarial_accuracy"] for one in same]
            row = (attack, net, eps, *mean_and_range(values), len(values))
            for name, value in zip(COLUMNS, row, strict=True):
                columns[name].append(value)
        return columns

    def draw(self, columns: Columns) -> Figure:
        table = {name: np.asarray(values) for name, values in columns.items()}
        figure = Figure(figsize=(7.0, 3.6))
        axes = figure.subplots(1, len(PANELS), sharey=True)
        nets = sorted(set(columns["net"]))
        for ax, (attack, title) in zip(axes, PANELS.items(), strict=True):
            for i, net in enumerate(nets):
                chosen = (table["attack"] == attack) & (table["net"] == net)
                eps, mean, low, high = (table[name][chosen] for name in ("eps", "mean", "low", "high"))
                color = "0.4" if net == "natural" else f"C{i}"
                ax.plot(eps, mean, "--" if "truncated" in net else "-", color=color, label=net)
                ax.fill_between(eps, low, high, color=color, alpha=0.15, linewidth=0)
            ax.set(xlabel=r"budget $\epsilon$", ylim=(0, 100), xlim=(0, None))
            ax.set_title(title)
        axes[0].set_ylabel("test accuracy under attack, %")
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
        return figure


def _results(runs: Path) -> Iterator[tuple[Key, Attacked]]:
    """Each result of FGSM and PGD with their usual settings but eps."""
    for one in attacked(runs):
        attack, eps = one.summary["attack"], one.summary["eps"]
        if attack in PANELS and _plain(one.summary, ATTACKS[attack](eps=eps).describe()):
            yield (_net(one.config, one.summary), attack, eps), one


def _plain(summary: dict[str, Any], usual: dict[str, Any]) -> bool:
    return all(summary.get(name) == value for name, value in usual.items() if name != "seed")


def _net(config: Config, summary: dict[str, Any]) -> str:
    name, terms = config.method, {term.name: term.table() for term in config.regularizers}
    if how := config.low_rank:
        bound = "condition number 1" if how.mode == "mean" else f"tau {how.tau:g}"
        name = f"low rank {how.fraction:.0%}, {bound}"
    elif list(terms) == ["nuclear"]:
        name = f"nuclear norm, lambda to {max(terms['nuclear'].values()):g}"
    return name + (f", truncated to {summary['truncated']:.0%}" if "truncated" in summary else "")


FIGURES.register("low-rank-training")(LowRankTraining())
