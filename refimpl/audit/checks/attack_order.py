"""Does more effort fool more, example by example?"""

from itertools import pairwise

from ..finding import CHECKS, Check, Finding, counted
from ..subject import Subject


@CHECKS.register("attack-order")
class AttackOrder(Check):
    """FGSM, PGD, PGD with twice the steps, this with restarts: what one fools the next must fool, too."""

    asks = "Is each example that a weaker attack fools fooled by the stronger one?"
    source = "Carlini et al. (2019), Sections 5.2 and 5.4: compare attacks example by example"

    def find(self, subject: Subject) -> Finding:
        fgsm, pgd, twice, restarts, _ = subject.cross_entropy_attacks
        chain = {"FGSM": fgsm, "PGD": pgd, "PGD, twice the steps": twice, "the same, restarts": restarts}
        fooled = {name: subject.attacked(attack).fooled for name, attack in chain.items()}
        lost = {f"{a} but not {b}": int((fooled[a] & ~fooled[b]).sum()) for a, b in pairwise(fooled)}
        worst = max(lost, key=lost.__getitem__)
        counts = ", ".join(f"{name} {int(one.sum())}" for name, one in fooled.items())
        return counted(
            lost[worst], len(subject.y),
            f"at most {lost[worst]} examples are out of order; fooled: {counts}",
            f"{lost[worst]} examples are fooled by {worst}; fooled: {counts}",
            "a smaller step, or random starts: the gradient leads the stronger attack astray",
            {"lost": lost, "fooled": {name: int(one.sum()) for name, one in fooled.items()}},
        )  # fmt: skip
