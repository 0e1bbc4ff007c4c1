"""One attack, one function, one citation. None of them knows a network: they see a gradient or margins, and a budget.

Read `fgsm`, then `pgd`, then `gnm`; `joint` moves the weights, too; `restarts` picks the best of several tries,
`checks` trusts none of them, `ascent` is the step that all but `gnm` share.
"""

from .checks import distance, verify
from .fgsm import fgsm
from .gnm import gnm
from .joint import joint
from .pgd import pgd
from .restarts import strongest

__all__ = ["distance", "fgsm", "gnm", "joint", "pgd", "strongest", "verify"]
