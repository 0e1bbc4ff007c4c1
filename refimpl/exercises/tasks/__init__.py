"""The exercises, in the order of the lessons: one more is a function here, and its `Exercise` below it."""

from . import layers, convolution, attacks, measures, weights  # isort: skip

__all__ = ["attacks", "convolution", "layers", "measures", "weights"]
