"""Regularizers: what the paper adds to the loss, Eqs. (5) to (8), each with value, gradient and proximal step.

None of the norms is differentiable where it matters most, at zero entries and at zero singular values. There the
gradient given is the subgradient of least norm; and a subgradient step never makes an exact zero, which a proximal
step does. Read `base`, then `l1`, `nuclear` and `joint`, the paper's; `margin_bound` and `operator_norms` are ours;
`rank_min`, `rank_max`, `spectral_norm` and `conditioning` are of works that contradict the paper or go on from it. Each
file ends with its settings, registered under its name: a new file here is a regularizer on the command line.
"""

from .base import REGULARIZERS, Batch, Regularizer
from .conditioning import Conditioning, conditioning
from .joint import Joint, joint
from .l1 import L1, l1, soft_threshold
from .margin_bound import MarginBound, mean_margin_bound
from .nuclear import Nuclear, nuclear, nuclear_by_svd, singular_value_threshold
from .operator_norms import OperatorNorms, row_and_column_sums
from .rank_max import RankMax
from .rank_min import RankMin
from .spectral_norm import SpectralNorm, spectral_norm

__all__ = [
    "L1",
    "REGULARIZERS",
    "Batch",
    "Conditioning",
    "Joint",
    "MarginBound",
    "Nuclear",
    "OperatorNorms",
    "RankMax",
    "RankMin",
    "Regularizer",
    "SpectralNorm",
    "conditioning",
    "joint",
    "l1",
    "mean_margin_bound",
    "nuclear",
    "nuclear_by_svd",
    "row_and_column_sums",
    "singular_value_threshold",
    "soft_threshold",
    "spectral_norm",
]
