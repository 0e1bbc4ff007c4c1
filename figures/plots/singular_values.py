"""The singular values of each weight matrix after training; filters are rows."""

import numpy as np
from matplotlib.ticker import MaxNLocator

from refimpl.parameters import as_matrix

from ..drawing import Drawing, style
from .source import FEW, Source, figure, logarithmic, rounded

ZERO = 1e-7
"""Of the largest singular value: what is below is rounding, and not drawn."""


def draw(source: Source) -> Drawing:
    columns: dict[str, list[float | str]] = {"layer": [], "index": [], "singular_value": []}
    drawn = figure(source, "Singular values of each layer", 2.8)
    ax = drawn.subplots()
    for i, (name, W) in enumerate(source.weights.items()):
        values = np.linalg.svd(np.asarray(as_matrix(W)), compute_uv=False)
        index = np.arange(1, len(values) + 1)
        columns["layer"] += [name] * len(values)
        columns["index"] += index.tolist()
        columns["singular_value"] += [rounded(value) for value in np.where(values > ZERO * values[0], values, 0)]
        there = (values > ZERO * values[0]) & (values > 0)
        if there.any():
            every = None if len(values) <= FEW else 0.25
            ax.plot(index[there], values[there], label=name, markevery=every, linewidth=1.1, **style(i))
    logarithmic(ax)
    ax.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10], integer=True))
    ax.set(xlabel="i", ylabel="i-th singular value")
    drawn.legend(loc="outside right center")
    return Drawing(f"{source.name}-singular-values", drawn, columns)
