"""Figure 1: the first layer of the fully connected net after natural and adversarial training, a unit an image."""

from refimpl.experiments import SOURCE

from .base import FIGURES
from .weights import Weights

FIGURES.register("1")(Weights("figure-1", __doc__, "fcnn", "W1", (SOURCE, "fgsm", "pgd"), images=True))
