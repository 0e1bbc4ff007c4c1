"""Training: what is minimised, one step, the loop.

Read `objective`, `adversarial`, then `step` and `loop`; `monitor` measures on the way, `stack` trains many models at
once.
"""

from ..regularizers.base import Batch
from .adversarial import AdversarialInputs, AdversarialWeights
from .loop import EpochLog, Examples, Schedule, score, train
from .monitor import Monitor, catastrophic_overfitting
from .objective import CrossEntropy, Objective, Regularized
from .step import Step

__all__ = [
    "AdversarialInputs",
    "AdversarialWeights",
    "Batch",
    "CrossEntropy",
    "EpochLog",
    "Examples",
    "Monitor",
    "Objective",
    "Regularized",
    "Schedule",
    "Step",
    "catastrophic_overfitting",
    "score",
    "train",
]
