"""On the Effect of Low-Rank Weights on Adversarial Robustness of Neural Networks: a reference implementation.

Four wings; the first imports none of the others.

    core        layers networks attacks regularizers optimizers measures training: the mathematics, to be read in this
                order; beneath it backend (arrays in, the same arrays out), tape (backpropagation, whole), rng,
                parameters, settings, registry, validation, atomic, errors
    fast twins  fast: the same mathematics for NumPy, every array allocated once; without it everything works, slower
    neighbours  low_rank: layers kept as U S V^T; theory: the paper's statements as objects that can be refuted
    machinery   data, runs (one method, one seed, one folder), experiments (the paper's), bench; webpage

The mathematics knows nothing of files, the files nothing of the command line.

In Python, the names that are exported here:

    backend namespace                     where arrays are, and the functions for them
    FCNN CNN LeNet5, fcnn cnn             networks: init, forward, hidden
    cross_entropy margins                 losses, each with a Pullback
    gradients input_gradient              backpropagation along a tape; loss_gradient margin_gradients for attacks
    attacks regularizers optimizers       fgsm, pgd, gnm, ...; l1, nuclear, joint, ...; SGD, Adam
    effective_rank effective_sparsity     measures of weights; mutual_information label_information of layers
    accuracy interval fooling             measures of networks; fooling_weights, margin_bound with perturbed weights
    load Dataset LabelledImages           data

Errors are RefimplError: UsageError, BackendError, DataError, NumericalError.
"""

from . import attacks, layers, measures, networks, optimizers, regularizers
from .backend import backend, namespace
from .data import Dataset, load
from .errors import BackendError, DataError, NumericalError, RefimplError, UsageError
from .layers.loss import cross_entropy, margins
from .measures import (
    LabelledImages,
    accuracy,
    effective_rank,
    effective_sparsity,
    fooling,
    fooling_weights,
    interval,
    label_information,
    margin_bound,
    mutual_information,
)
from .networks import CNN, FCNN, LeNet5, cnn, fcnn, loss_gradient, margin_gradients
from .optimizers import SGD, Adam
from .tape import Pullback, gradients, input_gradient

__version__ = "0.1.0"

__all__ = [
    "CNN",
    "FCNN",
    "SGD",
    "Adam",
    "BackendError",
    "DataError",
    "Dataset",
    "LabelledImages",
    "LeNet5",
    "NumericalError",
    "Pullback",
    "RefimplError",
    "UsageError",
    "accuracy",
    "attacks",
    "backend",
    "cnn",
    "cross_entropy",
    "effective_rank",
    "effective_sparsity",
    "fcnn",
    "fooling",
    "fooling_weights",
    "gradients",
    "input_gradient",
    "interval",
    "label_information",
    "layers",
    "load",
    "loss_gradient",
    "margin_bound",
    "margin_gradients",
    "margins",
    "measures",
    "mutual_information",
    "namespace",
    "networks",
    "optimizers",
    "regularizers",
]
