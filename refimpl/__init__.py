"""On the Effect of Low-Rank Weights on Adversarial Robustness of Neural Networks: a reference implementation.

Four wings; the first imports none of the others.

    core        layers networks attacks regularizers optimizers measures training: the mathematics, to be read in this
                order; beneath it backend (arrays in, the same arrays out), tape (backpropagation, whole), rng,
                parameters, settings, registry, validation, tables, atomic, errors
    fast twins  fast: the same mathematics for NumPy, every array allocated once; without it everything works, slower
    neighbours  low_rank: layers kept as U S V^T; theory: the paper's statements as objects that can be refuted
    machinery   data, runs (one method, one seed, one folder), experiments (the paper's), bench, audit, exercises,
                webpage; device (checks of a GPU), interop (other libraries)

The mathematics knows nothing of files, the files nothing of the command line.

In Python, the names that are exported here:

    backend namespace                     where arrays are, and the functions for them
    FCNN CNN LeNet5, fcnn cnn             each a Network: init, forward, hidden
    cross_entropy margins                 losses, each with a Pullback
    record gradients input_gradient       backpropagation along a tape; loss_gradient margin_gradients for attacks
    attacks regularizers optimizers       fgsm, pgd, gnm, ...; l1, nuclear, joint, ...; SGD, Adam
    effective_rank effective_sparsity     measures of weights; mutual_information label_information of layers
    accuracy interval fooling             measures of networks, fooling as an AttackResult; fooling_weights margin_bound
                                          with perturbed weights
    load Dataset LabelledImages           data
    Config train resume open_run          what the command line does: Training, an iterator of epoch logs; a TrainedRun
                                          with .measure(), and .attack() as an Evaluation says; compare, which gives a
                                          Comparison of several

Errors are RefimplError: UsageError, BackendError, DataError, NumericalError. What is no error is a RefimplWarning.
"""

import importlib
from typing import TYPE_CHECKING, Any

from . import attacks, layers, measures, networks, optimizers, regularizers
from .backend import backend, namespace
from .data import Dataset, load
from .errors import BackendError, DataError, NumericalError, RefimplError, RefimplWarning, UsageError
from .layers.loss import cross_entropy, margins
from .measures import (
    AttackResult,
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
from .networks import CNN, FCNN, LeNet5, Network, cnn, fcnn, loss_gradient, margin_gradients
from .optimizers import SGD, Adam
from .tape import Pullback, gradients, input_gradient, record

if TYPE_CHECKING:
    from .runs.compare import Comparison, compare
    from .runs.config import Config
    from .runs.train import Training, resume, train
    from .runs.trained import Evaluation, TrainedRun, open_run

__version__ = "0.1.0"

RUNS = {
    "Comparison": "compare",
    "compare": "compare",
    "Config": "config",
    "Evaluation": "trained",
    "TrainedRun": "trained",
    "Training": "train",
    "open_run": "trained",
    "resume": "train",
    "train": "train",
}
"""Names of modules in `runs`, which are loaded when they are asked for: the mathematics does without files."""

__all__ = [
    "CNN",
    "FCNN",
    "SGD",
    "Adam",
    "AttackResult",
    "BackendError",
    "Comparison",
    "Config",
    "DataError",
    "Dataset",
    "Evaluation",
    "LabelledImages",
    "LeNet5",
    "Network",
    "NumericalError",
    "Pullback",
    "RefimplError",
    "RefimplWarning",
    "TrainedRun",
    "Training",
    "UsageError",
    "accuracy",
    "attacks",
    "backend",
    "cnn",
    "compare",
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
    "open_run",
    "optimizers",
    "record",
    "regularizers",
    "resume",
    "train",
]


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


if not TYPE_CHECKING:  # which would take any name for one of refimpl's

    def __getattr__(name: str) -> Any:
        if name not in RUNS:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(importlib.import_module(f".runs.{RUNS[name]}", __name__), name)
