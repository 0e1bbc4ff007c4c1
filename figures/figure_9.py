"""Figure 9: the first filters of the CNN, reshaped, after the regularizations."""

from .weights import Weights

METHODS = ("l1-0.01", "l1-0.01-nuclear-0.05", "l1-0.01-nuclear-0.1", "l1-0.01-nuclear-0.5")
FIGURE = Weights("figure-9", "cnn", "W1", METHODS, across=4)
