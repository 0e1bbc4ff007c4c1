"""On the Effect of Low-Rank Weights on Adversarial Robustness of Neural Networks: a reference implementation.

Read the source in this order; each file fits on a screen or two.

    backend     arrays in, the same arrays out: NumPy and CuPy from one source
    tape        backpropagation, whole
    ops         affine, tanh: forward and backward side by side
    conv        convolution, max-pooling, relu, leaky relu
    loss        softmax cross-entropy, the classification margins
    fcnn cnn    the paper's two nets; `networks`, by name, LeNet-5 among them
    attacks     FGSM, PGD, GNM: one attack, one function
    metrics     effective sparsity, effective rank
    information mutual information between layers, inputs and labels
    regularizers  l1, nuclear norm, joint product; proximal steps
    optim step  one training step; fast in `fused_step`, `workspace`, `block`, `activations`, `cnn_workspace`, `polar`
    train       the loop
    low_rank low_rank_net low_rank_sgd  layers kept as U S V^T with bounded condition numbers
    adversary   an attack with its budget; `joint`, one on inputs and weights
    evaluate    the fooling ratio; `joint_evaluate`, that under perturbed weights
    runs        a run is a folder
    theory      Section 3: linear classifiers, their adversarial error, projections
    operators certificates reach  a convolution as one matrix; how far a margin can move; a loss made of it
    statements  the paper's statements as objects that can be refuted
    experiments the paper's runs as data, and the verdict on what came out

The mathematics knows nothing of files, the files nothing of the command line.
"""

from . import attacks, regularizers
from .attacks.base import Attack
from .attacks.input_weight_settings import JointAttack
from .backend import backend, namespace
from .data import load
from .errors import BackendError, DataError, NumericalError, RefimplError, UsageError
from .layers.loss import cross_entropy, margins
from .measures.accuracy import accuracy, interval
from .measures.certificates import margin_reach
from .measures.fooling import fooling
from .measures.fooling_weights import joint_fooling
from .measures.information import label_information, mutual_information
from .measures.rank_sparsity import effective_rank, effective_sparsity
from .networks import cnn, fcnn
from .networks.gradients import least_margin, loss_gradient, margin_gradients
from .optimizers.adam import adam
from .optimizers.sgd import sgd
from .tape import Pullback, gradients, input_gradient
from .theory import convolution_matrix as operators
from .theory import linear as theory

__version__ = "0.1.0"

__all__ = [
    "Attack",
    "BackendError",
    "DataError",
    "JointAttack",
    "NumericalError",
    "Pullback",
    "RefimplError",
    "UsageError",
    "accuracy",
    "adam",
    "attacks",
    "backend",
    "cnn",
    "cross_entropy",
    "effective_rank",
    "effective_sparsity",
    "fcnn",
    "fooling",
    "gradients",
    "input_gradient",
    "interval",
    "joint_fooling",
    "label_information",
    "least_margin",
    "load",
    "loss_gradient",
    "margin_gradients",
    "margin_reach",
    "margins",
    "mutual_information",
    "namespace",
    "operators",
    "regularizers",
    "sgd",
    "theory",
]
