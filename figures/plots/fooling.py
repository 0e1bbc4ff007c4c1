"""Fooling ratios of the attacks that were monitored in training, over the epochs at which they were."""

import numpy as np

from ..drawing import Drawing, style
from .source import AbsentError, Source, figure, number, plot_epochs, rounded


def draw(source: Source) -> Drawing:
    rows = []
    for line in source.history:
        for one in line.get("attacks", []):
            name, eps = one["attack"], number(one["eps"])
            n, ratio = one["n"], number(one["fooling_ratio"])
            rows.append((line["epoch"], name, eps, n, ratio))
    if not rows:
        raise AbsentError("train with --monitor fooling")
    drawn = figure(source, "Fooling ratios in training", 2.9)
    ax = drawn.subplots()
    for i, (name, eps, n) in enumerate(dict.fromkeys(row[1:4] for row in rows)):
        epochs, ratios = np.array([(row[0], row[4]) for row in rows if row[1:4] == (name, eps, n)]).T
        label = f"{name}, ε = {eps:g}, {n} test images"
        plot_epochs(ax, epochs, 100 * ratios, label=label, **style(i))
    ax.set_ylabel("fooling ratio, %\n(of correctly classified)")
    ax.set_ylim(-2, 102)
    drawn.legend(loc="outside lower center", ncols=2)
    columns = dict(zip(("epoch", "attack", "eps", "n"), zip(*(row[:4] for row in rows), strict=True), strict=True))
    return Drawing(f"{source.name}-fooling", drawn, {**columns, "fooling_ratio": [rounded(row[4]) for row in rows]})
