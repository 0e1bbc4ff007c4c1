"""One attack, one function, one citation. None of them knows a network: they see a gradient or margins, and a budget.

Read `fgsm`, then `pgd`, then `gnm`; `restarts` picks the best of several tries, `checks` trusts none of them,
`ascent` is the step that the first two share.
"""

from .checks import distance, verify
from .fgsm import fgsm
from .gnm import gnm
from .pgd import pgd
from .restarts import strongest

__all__ = ["distance", "fgsm", "gnm", "pgd", "strongest", "verify"]
