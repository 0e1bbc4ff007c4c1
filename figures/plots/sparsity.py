"""The effective sparsity of each weight matrix over the epochs, Eq. (2); small means sparse."""

from ..drawing import Drawing
from .layers import draw_measure
from .source import Source, logarithmic


def draw(source: Source) -> Drawing:
    drawing, ax = draw_measure(source, "effective_sparsity", "sparsity", "effective sparsity s(W)")
    logarithmic(ax)
    return drawing
