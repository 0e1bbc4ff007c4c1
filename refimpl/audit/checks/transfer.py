"""Do adversarial examples of another net fool what the net's own gradients do not?"""

from typing import ClassVar

from ..finding import CHECKS, Check, Finding, counted, does_not_apply, not_done
from ..subject import Subject


class TransferNotStronger(Check):
    """Adversarial examples of PGD on each surrogate of a kind, tried on the audited net."""

    kind: ClassVar[str]
    lacks: ClassVar[str]
    todo: ClassVar[str]

    def find(self, subject: Subject) -> Finding:
        if self.kind == "natural" and subject.natural:
            return does_not_apply("this net is trained naturally itself")
        others = [one for one in subject.surrogates if one.kind == self.kind]
        if not others:
            return not_done(self.lacks, self.todo)
        seen, n = subject.fooled_by(subject.white_box_attacks), len(subject.y)
        found = {one.name: subject.attacked(subject.pgd(), one.net, one.name).fooled for one in others}
        alone = {name: int((one & ~seen).sum()) for name, one in found.items()}
        worst = max(alone, key=alone.__getitem__)
        fooled = ", ".join(f"{name} {int(one.sum())}" for name, one in found.items())
        return counted(
            alone[worst], n,
            f"adversarial examples of {fooled} fool, at most {alone[worst]} of them alone",
            f"adversarial examples of {worst} fool {alone[worst]} examples that no attack on the net itself does",
            "gradients are masked: attack a substitute, or the net without what masks them",
            {"fooled": {name: int(one.sum()) for name, one in found.items()}, "alone": alone},
        )  # fmt: skip


@CHECKS.register("transfer-seed")
class TransferFromSeed(TransferNotStronger):
    """From nets trained alike from another seed."""

    asks = "Is transfer from another seed not stronger?"
    source = "Carlini et al. (2019), Section 5.8; Indicators of Attack Failure (Pintor et al. 2022)"
    kind = "seed"
    lacks = "there is no run of the same training with another seed"
    todo = "`refimpl train` with another --seed, then name it with --seed-run"


@CHECKS.register("transfer-natural")
class TransferFromNatural(TransferNotStronger):
    """From nets trained naturally."""

    asks = "Is transfer from the natural net not stronger?"
    source = "Carlini et al. (2019), Section 5.8; Athalye et al. (2018)"
    kind = "natural"
    lacks = "there is no naturally trained run of the same net and data"
    todo = "train one, then name it with --natural-run"
