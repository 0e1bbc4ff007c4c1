"""Figure 6: the first filters of the CNN, reshaped, after natural and adversarial training."""

from refimpl.experiments import SOURCE

from .base import FIGURES
from .weights import Weights

FIGURES.register("6")(Weights("figure-6", __doc__, "cnn", "W1", (SOURCE, "fgsm", "pgd")))
