"""Figure 6: the first filters of the CNN, reshaped, after natural and adversarial training."""

from refimpl.experiments import SOURCE

from .weights import Weights

FIGURE = Weights("figure-6", "cnn", "W1", (SOURCE, "fgsm", "pgd"))
