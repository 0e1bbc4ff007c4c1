"""The checks, in the order of an audit: a class of a new file here that registers itself is one more line."""

from . import predictions, gradients, losses, attack_order, convergence, curve, smallest, black_box, transfer  # isort: skip
from . import certificates, weight_scale, loss_surface, worst_case  # isort: skip

__all__ = [
    "attack_order",
    "black_box",
    "certificates",
    "convergence",
    "curve",
    "gradients",
    "loss_surface",
    "losses",
    "predictions",
    "smallest",
    "transfer",
    "weight_scale",
    "worst_case",
]
