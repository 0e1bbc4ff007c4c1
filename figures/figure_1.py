"""Figure 1: the first layer of the fully connected net after natural and adversarial training, a unit an image."""

from refimpl.experiments import SOURCE

from .weights import Weights

FIGURE = Weights("figure-1", "fcnn", "W1", (SOURCE, "fgsm", "pgd"), images=True)
