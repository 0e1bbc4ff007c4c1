"""One attack, one function, one citation. None of them knows a network: they see a gradient or margins, and a budget.

Read `fgsm`, then `pgd`, then `gnm`, the paper's; `pgd_l2` and `lora_pgd` stay in another ball, the latter at low rank;
`joint` moves the weights, too. `restarts` picks the best of several tries, `checks` trusts none of them, `ascent` is
the sign step.
"""

from .fgsm import fgsm
from .gnm import gnm
from .input_weight import joint
from .lora_pgd import lora_pgd
from .pgd import pgd
from .pgd_l2 import pgd_l2
from .restarts import strongest
from .verify import distance, verify

__all__ = ["distance", "fgsm", "gnm", "joint", "lora_pgd", "pgd", "pgd_l2", "strongest", "verify"]
