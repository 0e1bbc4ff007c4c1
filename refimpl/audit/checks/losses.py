"""Does another loss find what the cross-entropy does not?"""

from collections.abc import Callable
from dataclasses import dataclass

from jaxtyping import Float, Int

from ...attacks.base import Target
from ...attacks.losses import cross_entropy
from ...backend import Array
from ...layers.images import Shape
from ...layers.loss import Loss, LossAt
from ..finding import CHECKS, Check, Finding, counted, does_not_apply
from ..subject import Subject

FACTORS = (0.01, 0.1, 10.0)


@dataclass(frozen=True)
class ScaledLoss:
    """A net whose cross-entropy is that of its logits times a factor; the net itself otherwise."""

    net: Target
    factor: float

    def loss(self, y: Array) -> Callable[[Array], Array]:
        def scaled(logits: Float[Array, "batch classes"], y: Int[Array, "batch"]) -> tuple[Array, Array]:
            value, gradient = cross_entropy(self.factor * logits, y)
            return value, self.factor * gradient

        at = self.net.value_and_grad(scaled, y)
        return lambda x: at(x).gradient

    def value_and_grad(self, loss: Loss, *labels: Array) -> Callable[[Array], LossAt]:
        return self.net.value_and_grad(loss, *labels)

    def logits(self, x: Array) -> Array:
        return self.net.logits(x)

    def margins(self, k: Array) -> Callable[[Array], tuple[Array, Array]]:
        return self.net.margins(k)

    def least_margin(self, k: Array) -> Callable[[Array], Array]:
        return self.net.least_margin(k)

    def image_shape(self, n: int) -> Shape:
        return self.net.image_shape(n)


@CHECKS.register("loss-scale")
class LossScale(Check):
    """PGD on the cross-entropy of logits divided by 100 and by 10, and times 10."""

    asks = "Does the scale of the logits matter to attacks?"
    source = "Carlini and Wagner (2017), Section V: gradients of a softmax of large logits vanish in rounding"

    def find(self, subject: Subject) -> Finding:
        usual = subject.fooled_by(subject.cross_entropy_attacks)
        scaled = {factor: (ScaledLoss(subject.net, factor), f"itself, logits times {factor:g}") for factor in FACTORS}
        fooled = {factor: int(subject.attacked(subject.pgd(), *how).fooled.sum()) for factor, how in scaled.items()}
        factor = max(fooled, key=fooled.__getitem__)
        said = f"logits times {factor:g} fool {fooled[factor]} examples, as they are {int(usual.sum())}"
        return counted(
            max(0, fooled[factor] - int(usual.sum())), len(usual), said, said,
            "report attacks whose loss has no scale, DLR", {f"{factor:g}": count for factor, count in fooled.items()},
        )  # fmt: skip


@CHECKS.register("dlr")
class OtherLoss(Check):
    """APGD on the difference of logits ratio against the attacks on the cross-entropy."""

    asks = "Does the DLR loss fool what the cross-entropy does not?"
    source = "Croce and Hein (2020), Section 4"

    def find(self, subject: Subject) -> Finding:
        if subject.n_classes < 3:
            return does_not_apply("the DLR loss needs three classes")
        usual = subject.fooled_by(subject.cross_entropy_attacks)
        found = subject.attacked(subject.apgd(loss="dlr", restarts=subject.settings.restarts)).fooled
        alone = int((found & ~usual).sum())
        said = f"DLR fools {int(found.sum())} examples, {alone} of them alone, the cross-entropy {int(usual.sum())}"
        return counted(
            max(0, int(found.sum()) - int(usual.sum())), len(usual), said, said,
            "report the worst case of both losses; the cross-entropy's gradient is masked",
        )  # fmt: skip
