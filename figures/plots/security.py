"""Robust accuracy against the budget, for each attack with results in RUN/attacks."""

import numpy as np

from refimpl.measures import interval
from refimpl.runs.compare import AttackCounts, read_attacks

from ..drawing import Drawing, style
from .source import AbsentError, Source, figure, norm, rounded

COLUMNS = ("attack", "norm", "n", "eps", "robust_accuracy", "low", "high")


def draw(source: Source) -> Drawing:
    found = read_attacks(source.run, source.epoch)
    if not found:
        raise AbsentError(f"`refimpl attack {source.run.folder} --eps 0.01,0.05,0.1` makes results")
    series: dict[tuple[str, str, int], list[AttackCounts]] = {}
    for one in found:
        series.setdefault((one.settings.replace("-eps", "", 1), one.norm, one.n), []).append(one)
    norms = sorted({one.norm for one in found}, key=lambda one: one != "inf")
    drawn = figure(source, "Robust accuracy against the budget of the attack", 3.2)
    axes = dict(zip(norms, drawn.subplots(1, len(norms), squeeze=False, sharey=True)[0], strict=True))
    columns: dict[str, list[float | str]] = {name: [] for name in COLUMNS}
    for i, ((name, ball, n), results) in enumerate(series.items()):
        rows = [_point(0.0, results[0].n_correct, n)] if results[0].eps > 0 else []
        rows += [_point(one.eps, one.n_correct - one.n_fooled, n) for one in results]
        for row in rows:
            for column, value in zip(COLUMNS, (name, ball, n, *map(rounded, row)), strict=True):
                columns[column].append(value)
        eps, accuracy, low, high = 100 * np.array(rows).T
        bars = [np.maximum(accuracy - low, 0), np.maximum(high - accuracy, 0)]
        label = f"{name}, {n} test images"
        axes[ball].errorbar(eps / 100, accuracy, bars, capsize=2, linewidth=1.1, label=label, **style(i))
    for ball, ax in axes.items():
        ax.set(xlabel=f"ε, ℓ{norm(ball)} norm, pixels in [0, 1]", ylim=(-2, 102))
        ax.set_xlim(left=-0.02 * max(one.eps for one in found if one.norm == ball))
    axes[norms[0]].set_ylabel("robust accuracy, %\n(bars: 95 % intervals)")
    drawn.legend(loc="outside lower center", ncols=2)
    return Drawing(f"{source.name}-security", drawn, columns)


def _point(eps: float, correct: int, n: int) -> tuple[float, float, float, float]:
    """Without a perturbation the robust accuracy is the accuracy."""
    return eps, correct / n, *interval(correct, n)
