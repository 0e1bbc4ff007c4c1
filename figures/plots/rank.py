"""The effective rank of each weight matrix over the epochs, Eq. (3)."""

from ..drawing import Drawing
from .layers import draw_measure
from .source import Source


def draw(source: Source) -> Drawing:
    return draw_measure(source, "effective_rank", "rank", "effective rank r(W)")[0]
