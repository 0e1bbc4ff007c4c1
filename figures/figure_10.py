"""Figure 10: the second filters of the CNN, reshaped, after the regularizations."""

from .base import FIGURES
from .weights import Weights

METHODS = ("l1-0.01", "l1-0.01-nuclear-0.05", "l1-0.01-nuclear-0.1", "l1-0.01-nuclear-0.5")
FIGURES.register("10")(Weights("figure-10", __doc__, "cnn", "W2", METHODS, across=1, own_scales=True))
