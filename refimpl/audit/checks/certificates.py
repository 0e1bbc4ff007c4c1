"""Does what is proved agree with what is found?"""

import numpy as np

from ..finding import CHECKS, Check, Finding, does_not_apply
from ..subject import Subject
from .smallest import with_smallest


@CHECKS.register("certificates")
class Certificates(Check):
    """The certified radius of each example against the smallest perturbation that any attack found."""

    asks = "Does no certificate exceed the smallest perturbation found?"
    source = "our own; the bound is measures.certificates, of the setting of Tsai et al. (2021)"

    def find(self, subject: Subject) -> Finding:
        if subject.certify is None:
            return does_not_apply("the bound is of dense nets of 1-Lipschitz activations, and this is none")
        smallest, proved = with_smallest(subject), subject.certified_radius
        crossed = int((proved > smallest * (1 + 1e-6) + 1e-6).sum())
        sure = int((proved >= subject.eps).sum())
        return Finding(
            colour="red" if crossed else "green",
            value=f"{crossed} of {len(proved)}",
            number=crossed / len(proved),
            reason=f"{crossed} certified radii exceed the smallest perturbation found; the median radius is"
            f" {np.median(proved):.2g}, the median perturbation {np.median(smallest):.2g}; {sure} examples are"
            f" certified at eps {subject.eps:g}",
            todo="the bound, the attack or the arithmetic is wrong: no result of either can be trusted"
            if crossed
            else "",
        )
