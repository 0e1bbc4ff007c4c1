"""Figure 7: the second filters of the CNN, reshaped, after natural and adversarial training."""

from refimpl.experiments import SOURCE

from .base import FIGURES
from .weights import Weights

FIGURES.register("7")(Weights("figure-7", __doc__, "cnn", "W2", (SOURCE, "fgsm", "pgd"), across=1))
