r"""Is a net robust because its weights are small?

A net is Lipschitz in $\ell_2$ with the product of the spectral norms of its layers, if their activations are
1-Lipschitz. Weights divided by a factor give the same labels where activations are homogeneous, and a radius divided by
the product compares nets as if they all had the same constant.
"""

from ..finding import CHECKS, TOLERANCE, Check, Finding, does_not_apply, not_done, percent
from ..subject import WHOLE, Subject


@CHECKS.register("weight-scale")
class WeightScale(Check):
    r"""Robust accuracy at $c / \prod_l \|W^l\|_2$, with one c for the audited and the natural net.

    c is such that the natural net is attacked at eps. Filters are taken as the paper's matrices, (O, C k k).
    """

    asks = "Is the gain over the natural net more than one of scale?"
    source = "our own; after Liang and Huang (2020, arXiv 2009.08435), who relate norms of weights and robustness"

    def find(self, subject: Subject) -> Finding:
        if subject.natural:
            return does_not_apply("this net is trained naturally: there is no gain to explain")
        other = next((one for one in subject.surrogates if one.kind == "natural" and one.lipschitz), None)
        if other is None or other.lipschitz is None or subject.lipschitz is None:
            return not_done(
                "there is no naturally trained run to compare with", "train one, then name it with --natural-run"
            )
        radius = min(WHOLE, subject.eps * other.lipschitz / subject.lipschitz)
        natural = subject.of(other.net)
        theirs = natural.robust_accuracy(natural.attacked(natural.pgd()).fooled)
        ours = subject.robust_accuracy(subject.attacked(subject.pgd()).fooled)
        rescaled = subject.robust_accuracy(subject.attacked(subject.pgd(eps=radius)).fooled)
        more = rescaled - theirs > TOLERANCE
        return Finding(
            colour="grey" if ours - theirs <= TOLERANCE else "green" if more else "amber",
            value=percent(rescaled),
            number=rescaled,
            reason=f"robust at eps {subject.eps:g} are {percent(ours)}, of the natural net {percent(theirs)}; at"
            f" {radius:.3g}, eps times the ratio of the products of spectral norms, {other.lipschitz:.3g} by"
            f" {subject.lipschitz:.3g}, {percent(rescaled)}",
            todo="" if more else "by this measure the gain is one of scale: compare robustness at equal margins",
            details={
                "radius": radius, "robust_accuracy": rescaled, "robust_accuracy_at_eps": ours,
                "natural_robust_accuracy": theirs, "product": subject.lipschitz, "natural_product": other.lipschitz,
                "natural": other.name,
            },
        )  # fmt: skip
