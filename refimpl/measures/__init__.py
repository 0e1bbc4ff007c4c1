"""Measures: what the paper reports of a net and of an attack on it.

Read `rank_sparsity` and `accuracy`, then `fooling`; `information` and `per_layer` look inside the net. `certificates`
bounds what no attack can exceed, `fooling_weights` counts under perturbed weights, `worst_case` over several attacks,
`perturbation_spectrum` describes perturbations as matrices.
"""

from .accuracy import accuracy, interval
from .certificates import certified, margin_bound
from .fooling import AttackResult, LabelledImages, fooling
from .fooling_weights import fooling_weights
from .information import label_information, mutual_information
from .rank_sparsity import condition_number, effective_rank, effective_sparsity
from .worst_case import worst_cases

__all__ = [
    "AttackResult",
    "LabelledImages",
    "accuracy",
    "certified",
    "condition_number",
    "effective_rank",
    "effective_sparsity",
    "fooling",
    "fooling_weights",
    "interval",
    "label_information",
    "margin_bound",
    "mutual_information",
    "worst_cases",
]
