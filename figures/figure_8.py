"""Figure 8: the first layer of the fully connected net after the regularizations, a unit an image."""

from .base import FIGURES
from .weights import Weights

METHODS = (
    "l1-0.01",
    "nuclear-0.01",
    "l1-0.01-nuclear-0.01",
    "l1-0.01-nuclear-0.03",
    "joint-0.001",
    "l1-0.01-joint-0.001",
)
FIGURES.register("8")(Weights("figure-8", __doc__, "fcnn", "W1", METHODS, images=True, own_scales=True))
