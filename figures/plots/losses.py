"""Losses of training and test set, and the accuracy on the test set, over the epochs."""

from ..drawing import Drawing, style, widen
from .source import Source, figure, number, plot_epochs, rounded

COLUMNS = ("epoch", "loss", "test_loss", "accuracy")


def draw(source: Source) -> Drawing:
    epochs = [line["epoch"] for line in source.history]
    numbers = {name: [number(line[name]) for line in source.history] for name in COLUMNS[1:]}
    drawn = figure(source, "Loss and accuracy", 2.7)
    attacked = ", attacked" if source.config.attack else ""
    left, right = drawn.subplots(1, 2)
    plot_epochs(left, epochs, numbers["loss"], label=f"training batches{attacked}, mean over the epoch", **style(0))
    plot_epochs(left, epochs, numbers["test_loss"], label="test set", **style(1) | {"linestyle": "--"})
    left.set_ylabel("cross-entropy, nats")
    left.set_ylim(bottom=0)
    plot_epochs(right, epochs, [100 * value for value in numbers["accuracy"]], **style(2))
    right.set_ylabel("test accuracy, %")
    widen([right], 0.05)
    drawn.legend(loc="outside lower left", ncols=2)
    columns = {name: [rounded(value) for value in values] for name, values in numbers.items()}
    return Drawing(f"{source.name}-losses", drawn, {"epoch": epochs, **columns})
