"""Attacks: one attack, one file, one function, one citation. None knows a network: they see gradients and a budget.

Read `ball`, then `fgsm`, `pgd` and `gnm`, the paper's. `pgd_l2` and `lora_pgd` stay in another ball, the latter at low
rank; `input_weight` moves the weights, too. Each file ends with the settings of its attack, registered under its name:
a new file here is an attack on the command line. `restarts` picks the best of several attempts, `verify` trusts none.
"""

from .apgd import APGD, apgd
from .base import ATTACKS, PAPERS, Attack, InputAttack, input_attacks
from .fgsm import FGSM, fgsm
from .gnm import GNM, gnm
from .input_weight import InputWeight, input_weight
from .lora_pgd import LoraPGD, lora_pgd
from .noise import Noise, noise
from .pgd import PGD, pgd
from .pgd_l2 import PGDL2, pgd_l2
from .random_signs import RandomSigns, random_signs
from .restarts import strongest
from .square import Square, square
from .verify import distance, verify

__all__ = [
    "APGD",
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
    "Noise",
    "RandomSigns",
    "Square",
    "apgd",
    "distance",
    "fgsm",
    "gnm",
    "input_attacks",
    "input_weight",
    "lora_pgd",
    "noise",
    "pgd",
    "pgd_l2",
    "random_signs",
    "square",
    "strongest",
    "verify",
]
