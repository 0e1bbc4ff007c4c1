"""Figure 7: the second filters of the CNN, reshaped, after natural and adversarial training."""

from refimpl.experiments import SOURCE

from .weights import Weights

FIGURE = Weights("figure-7", "cnn", "W2", (SOURCE, "fgsm", "pgd"), across=1)
