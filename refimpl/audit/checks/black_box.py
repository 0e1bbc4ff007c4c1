"""Does an attack that sees no gradient fool what those that do leave?"""

from abc import abstractmethod

from ...attacks import InputAttack, Noise, RandomSigns, Square
from ..finding import CHECKS, Check, Finding, counted
from ..subject import Subject


class NotStronger(Check):
    """Examples that an attack without gradients fools, and that none with gradients does."""

    called: str

    @abstractmethod
    def attack(self, subject: Subject) -> InputAttack: ...

    def find(self, subject: Subject) -> Finding:
        seen = subject.fooled_by(subject.white_box_attacks)
        found = subject.attacked(self.attack(subject)).fooled
        count = int((found & ~seen).sum())
        return counted(
            count, len(seen),
            f"{self.called} fools {int(found.sum())}, {count} of them alone",
            f"{self.called} fools {count} examples that no attack with gradients does",
            "gradients are masked: the worst case, not PGD, is the number to report",
        )  # fmt: skip


@CHECKS.register("square")
class SquareNotStronger(NotStronger):
    """Square, a random search that sees logits alone."""

    asks = "Is Square, which sees no gradient, not stronger?"
    source = "AutoAttack's flag for Square (Croce and Hein 2020; Andriushchenko et al. 2020)"
    called = "Square"

    def attack(self, subject: Subject) -> InputAttack:
        s = subject.settings
        return Square(eps=subject.eps, clip=subject.clip, queries=s.queries, seed=s.seed)


@CHECKS.register("noise")
class NoiseNotStronger(NotStronger):
    """The strongest of some draws of uniform noise."""

    asks = "Is uniform noise not stronger?"
    source = "Carlini et al. (2019), Section 5.10: random noise of the same norm"
    called = "noise"

    def attack(self, subject: Subject) -> InputAttack:
        s = subject.settings
        return Noise(eps=subject.eps, clip=subject.clip, restarts=s.draws, seed=s.seed)


@CHECKS.register("random-signs")
class RandomSignsNotStronger(NotStronger):
    """The strongest of some random corners of the ball."""

    asks = "Are random corners of the ball not stronger?"
    source = "Goodfellow et al. (2015), Section 7: the control of random perturbations"
    called = "random signs"

    def attack(self, subject: Subject) -> InputAttack:
        s = subject.settings
        return RandomSigns(eps=subject.eps, clip=subject.clip, restarts=s.draws, seed=s.seed)
