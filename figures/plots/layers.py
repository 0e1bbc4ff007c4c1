"""A measure of each weight matrix over the epochs."""

import numpy as np
from matplotlib.axes import Axes

from ..drawing import Drawing, style, widen
from .source import AbsentError, Source, figure, number, plot_epochs, rounded


def draw_measure(source: Source, key: str, name: str, words: str) -> tuple[Drawing, Axes]:
    """The picture `name` of what `key` is in the layers of the history, and its axes. `words` are its title and axis.

    Raises `AbsentError` where the history has no layers.
    """
    epochs = [line["epoch"] for line in source.history]
    values: dict[str, dict[int, float]] = {}
    for epoch, line in zip(epochs, source.history, strict=True):
        for layer in line["layers"]:
            values.setdefault(layer["name"], {})[epoch] = number(layer[key])
    if not values:
        raise AbsentError("the history has no layers")
    drawn = figure(source, f"{words[0].upper()}{words[1:]} of each layer", 2.8)
    ax = drawn.subplots()
    columns: dict[str, list[float | str]] = {"epoch": [*epochs]}
    for i, (called, by_epoch) in enumerate(values.items()):
        numbers = [by_epoch.get(epoch, np.nan) for epoch in epochs]
        plot_epochs(ax, epochs, numbers, label=called, **style(i))
        columns[called] = [rounded(number) for number in numbers]
    widen([ax])
    ax.set_ylabel(words)
    drawn.legend(loc="outside right center")
    return Drawing(f"{source.name}-{name}", drawn, columns), ax
