"""Are the net's outputs what attacks take them for: logits, the same each time, with digits to spare?"""

import numpy as np
from jaxtyping import Float

from ..finding import CHECKS, Check, Finding, does_not_apply
from ..subject import Subject

PASSES = 5
ROUNDING = 1e-4
"""Largest distance between two passes, of logits divided by their length, that is put down to rounding."""


@CHECKS.register("deterministic")
class Deterministic(Check):
    """Logits of the same images, five times over, once in reversed order."""

    asks = "Does the net give the same logits each time?"
    source = "AutoAttack's flag for randomized defenses (Croce and Hein 2020)"

    def find(self, subject: Subject) -> Finding:
        x, xp = subject.images, subject.backend.xp
        passes = [subject.each(subject.net.logits, x) for _ in range(PASSES - 1)]
        passes.append(subject.each(subject.net.logits, xp.flip(x, axis=0))[::-1])
        changed = np.any([one.argmax(axis=-1) != passes[0].argmax(axis=-1) for one in passes], axis=0)
        unlike = max(float(np.abs(_directions(one) - _directions(passes[0])).max()) for one in passes)
        red = bool(changed.any()) or not unlike <= ROUNDING
        return Finding(
            colour="red" if red else "green",
            value=f"{unlike:.1g}",
            number=unlike,
            reason=f"{PASSES} passes differ by at most {unlike:.1g} of the length of the logits, and"
            f" {changed.sum()} of {subject.n} labels differ",
            todo="attack the expectation over the randomness (EOT, Athalye et al. 2018)" if red else "",
        )


def _directions(logits: Float[np.ndarray, "n classes"]) -> Float[np.ndarray, "n classes"]:
    return logits / (np.linalg.norm(logits, axis=-1, keepdims=True) + 1e-10)


@CHECKS.register("precision")
class Precision(Check):
    """Labels in single and in double precision, of the images, and of the results of FGSM and PGD."""

    asks = "Does double precision give the same labels?"
    source = "our own; what it guards against is rounding that takes an attack's success or failure for the net's"

    def find(self, subject: Subject) -> Finding:
        if subject.exact is None:
            return does_not_apply("there is no twin of this net in double precision")
        exact = subject.classes(subject.exact, subject.double)
        differ = [int((exact != subject.y).sum())]
        for attack in subject.cross_entropy_attacks[:2]:
            found = subject.attacked(attack)
            differ.append(int((found.label != found.exact_label).sum()))
        count = sum(differ)
        return Finding(
            colour="red" if count > 1 else "amber" if count else "green",
            value=f"{count} of {len(differ) * len(exact)}",
            number=count / (len(differ) * len(exact)),
            reason=f"labels differ at {differ[0]} clean images, {differ[1]} results of FGSM, {differ[2]} of PGD",
            todo="train and attack with --dtype float64" if count else "",
        )


@CHECKS.register("probabilities")
class Probabilities(Check):
    """Whether each row of outputs is non-negative and adds up to one."""

    asks = "Are the outputs logits, not probabilities?"
    source = "AutoAttack's flag for softmax outputs (Croce and Hein 2020)"

    def find(self, subject: Subject) -> Finding:
        outputs = subject.each(subject.net.logits, subject.images)
        sums = np.abs(outputs.sum(axis=-1) - 1)
        red = bool(outputs.min() > -1e-5 and sums.max() < 1e-5)
        return Finding(
            colour="red" if red else "green",
            value=f"{outputs.min():.3g} to {outputs.max():.3g}",
            number=float(sums.max()),
            reason="every row of outputs is a probability distribution"
            if red
            else f"outputs are from {outputs.min():.3g} to {outputs.max():.3g}, and no distribution",
            todo="attack what the softmax is taken of: its rounding hides the gradient" if red else "",
        )
