"""Attacks: one attack, one file, one function, one citation. None knows a network: they see gradients and a budget.

Read `ball`, then `fgsm`, `pgd` and `gnm`, the paper's. `pgd_l2` and `lora_pgd` stay in another ball, the latter at low
rank; `input_weight` moves the weights, too. Each file ends with the settings of its attack, registered under its name:
a new file here is an attack on the command line. `restarts` picks the best of several attempts, `verify` trusts none.
"""

from .base import ATTACKS, PAPERS, Attack, InputAttack, input_attacks
from .fgsm import FGSM, fgsm
from .gnm import GNM, gnm
from .input_weight import InputWeight, input_weight
from .lora_pgd import LoraPGD, lora_pgd
from .pgd import PGD, pgd
from .pgd_l2 import PGDL2, pgd_l2
from .restarts import strongest
from .verify import distance, verify

__all__ = [
    "ATTACKS",
    "FGSM",
    "GNM",
    "PAPERS",
    "PGD",
    "PGDL2",
    "Attack",
    "InputAttack",
    "InputWeight",
    "LoraPGD",
    "distance",
    "fgsm",
    "gnm",
    "input_attacks",
    "input_weight",
    "lora_pgd",
    "pgd",
    "pgd_l2",
    "strongest",
    "verify",
]
