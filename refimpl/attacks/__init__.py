"""Attacks: one attack, one file, one function, one citation. None knows a network: they see gradients and a budget.

Read `ball`, then `fgsm`, `pgd` and `gnm`, the paper's. `pgd_l2` and `lora_pgd` stay in another ball, the latter at low
rank; `input_weight` moves the weights, too. Stronger than the paper's: `apgd`, `square`, which sees no gradient, and
`ensemble` of these; `deepfool` and `fmn` seek the smallest perturbation, `universal` one for all inputs; `noise` and
`random_signs` are baselines. `losses` has what attacks raise, `norm_ball` where they stay.

Each file ends with the settings of its attack, registered under its name: a new file here is an attack on the command
line. `restarts` picks the best of several attempts, `verify` trusts none.
"""

from .apgd import APGD, apgd
from .base import ATTACKS, PAPERS, Attack, InputAttack, WeightAttack, input_attacks
from .deepfool import DeepFool, deepfool
from .ensemble import Ensemble
from .fgsm import FGSM, fgsm
from .fmn import FMN, fmn
from .gnm import GNM, gnm
from .input_weight import InputWeight, input_weight
from .lora_pgd import LoraPGD, lora_pgd
from .noise import Noise, noise
from .pgd import PGD, pgd
from .pgd_l2 import PGDL2, pgd_l2
from .random_signs import RandomSigns, random_signs
from .restarts import strongest
from .square import Square, square
from .universal import Universal, universal
from .verify import distance, verify

__all__ = [
    "APGD",
    "ATTACKS",
    "FGSM",
    "FMN",
    "GNM",
    "PAPERS",
    "PGD",
    "PGDL2",
    "Attack",
    "DeepFool",
    "Ensemble",
    "InputAttack",
    "InputWeight",
    "LoraPGD",
    "Noise",
    "RandomSigns",
    "Square",
    "Universal",
    "WeightAttack",
    "apgd",
    "deepfool",
    "distance",
    "fgsm",
    "fmn",
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
    "universal",
    "verify",
]
