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
from .caption import caption
from .drawing import figure, style
from .pooling import FACTS, Attacked, Key, attacked, facts, mean_and_range, pooled

COLUMNS = (*FACTS, "attack", "net", "eps", "mean", "low", "high", "seeds")
HOW_TO_READ = (
    "Lines: means over seeds; bands: their range. Low rank: layers kept at a fraction of their full rank with "
    "condition numbers of at most 1 + tau; truncated: cut to that rank after training."
)
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
            values = [100 * one.summary["robust_accuracy"] for one in same]
            row = (*facts(same[0]), attack, net, eps, *mean_and_range(values), len(values))
            for name, value in zip(COLUMNS, row, strict=True):
                columns[name].append(value)
        return columns

    def draw(self, columns: Columns) -> Figure:
        table = {name: np.asarray(values) for name, values in columns.items()}
        drawn = figure(3.1, "Low-rank nets under attack, beside full ones", caption(columns), HOW_TO_READ)
        axes = drawn.subplots(1, len(PANELS), sharey=True)
        nets = sorted(set(columns["net"]))
        for ax, (attack, title) in zip(axes, PANELS.items(), strict=True):
            for i, net in enumerate(nets):
                chosen = (table["attack"] == attack) & (table["net"] == net)
                eps, mean, low, high = (table[name][chosen] for name in ("eps", "mean", "low", "high"))
                how = style(i) | ({"color": "0.4"} if net == "natural" else {})
                how |= {"linestyle": "--" if "truncated" in net else "-"}
                ax.plot(eps, mean, label=net, linewidth=1, **how)
                ax.fill_between(eps, low, high, color=how["color"], alpha=0.15, linewidth=0)
            ax.set(xlabel="ε (ℓ∞, pixels in [0, 1])", ylim=(0, 100), xlim=(0, None), title=f"attack: {title}")
        axes[0].set_ylabel("accuracy under attack, %")
        drawn.legend(*axes[0].get_legend_handles_labels(), title="trained", loc="outside lower center", ncols=2)
        return drawn


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
