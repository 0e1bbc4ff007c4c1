"""Accuracy under attack against the budget: nets trained at low rank, truncated to it, regularized, and as they are."""

import json
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from refimpl.errors import DataError
from refimpl.runs.config import Config
from refimpl.runs.folder import list_runs

Columns = dict[str, list[Any]]
COLUMNS = ("attack", "net", "eps", "mean", "low", "high", "seeds")
ATTACKS = {"fgsm": "FGSM", "pgd": "PGD"}


class LowRankTraining:
    """A panel an attack, in per cent of the test images; lines are means over seeds, bands their range."""

    name = "low-rank-training"

    def collect(self, root: Path) -> Columns:
        """From the attacks on the runs under `root`, those of one net, by its settings, together.

        Raises `DataError` unless a low-rank net is among them.
        """
        found: dict[tuple[str, str, float], list[float]] = {}
        for net, summary in _attacked(root):
            key = summary["attack"], net, summary["eps"]
            found.setdefault(key, []).append(100 * summary["adversarial_accuracy"])
        if not any(net.startswith("low rank") for _, net, _ in found):
            raise DataError(
                f"no low-rank net under {root} was attacked: `refimpl train --low-rank 50%`, then `refimpl attack RUN`"
            )
        columns: Columns = {name: [] for name in COLUMNS}
        for key, values in sorted(found.items()):
            numbers = (statistics.fmean(values), min(values), max(values))
            row = (*key, *(float(f"{number:.6g}") for number in numbers), len(values))
            for name, value in zip(COLUMNS, row, strict=True):
                columns[name].append(value)
        return columns

    def draw(self, columns: Columns) -> Figure:
        table = {name: np.asarray(values) for name, values in columns.items()}
        figure = Figure(figsize=(7.0, 3.6))
        axes = figure.subplots(1, len(ATTACKS), sharey=True)
        nets = sorted(set(columns["net"]))
        for ax, (attack, title) in zip(axes, ATTACKS.items(), strict=True):
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


def _attacked(root: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each result of an l_inf attack without a random start, clipping or a number of steps of its own, and its net."""
    for run in list_runs(root):
        for attack in ATTACKS:
            for path in sorted((run.folder / "attacks").glob(f"{attack}-eps*.json")):
                summary = json.loads(path.read_text())
                usual = {f"{attack}-eps{summary['eps']!r}{end}" for end in ("", *_truncations(summary))}
                if path.stem in usual:
                    yield _net(run.config, summary), summary


def _truncations(summary: dict[str, Any]) -> tuple[str, ...]:
    return (f"-truncated{summary['truncated']!r}",) if "truncated" in summary else ()


def _net(config: Config, summary: dict[str, Any]) -> str:
    name = config.method
    if how := config.make_low_rank():
        bound = "condition number 1" if how.mode == "mean" else f"tau {how.tau:g}"
        name = f"low rank {how.share:.0%}, {bound}"
    elif config.nuclear and not config.l1:
        name = f"nuclear norm, lambda to {max(config.nuclear.values()):g}"
    return name + (f", truncated to {summary['truncated']:.0%}" if "truncated" in summary else "")


FIGURE = LowRankTraining()
