"""What the paper claims of its methods, as effects that can be measured: one method against another in one number.

A claim holds where all effects that decide it do. They are as few as its words allow: where it speaks of adversarial
training of the CNN in three numbers, those of PGD, which is said to do more, and FGSM's are measured beside them.
"""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .plan import CONTROL, SOURCE
from .quantities import Measured, Quantity, information, rank, ratio, sparsity

Result = Measured


def mean_fooling(attack: str) -> Quantity:
    """The fooling ratio averaged over the later checkpoints, from one to the next of which it swings."""
    return lambda result: float(result["course"][attack])


def course(history: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Each attack's fooling ratio averaged over the epochs of the second half of training at which it was monitored."""
    late = [line["attacks"] for line in history if 2 * line["epoch"] > history[-1]["epoch"] and "attacks" in line]
    return {same[0]["attack"]: statistics.fmean(map(ratio, same)) for same in zip(*late, strict=True)}


INTEREST = 0.05
"""The smallest effect of interest: five points of a ratio, or a twentieth of the baseline.

An assumption: the paper names none. Its effects on fooling ratios are tens of points, those on ranks tenths of them.
"""

SLIGHTLY = 0.001
"""The same of what is said to be slightly below 100 %: a tenth of a point."""


@dataclass(frozen=True)
class Effect:
    """That `quantity` of `method` is less than that of `baseline`, seed by seed, or than a number.

    What is no ratio is `relative` to its baseline where it is asked how large an effect must be to be of interest.
    """

    words: str
    quantity: Quantity
    method: str
    baseline: str | float = CONTROL
    relative: bool = False
    interest: float = INTEREST

    def of_interest(self, baseline: float) -> float:
        """The smallest fall of interest from a baseline."""
        return self.interest * (abs(baseline) if self.relative else 1.0)


@dataclass(frozen=True)
class PaperClaim:
    """`effects` decide it, together; `beside` are measured with them, and decide nothing."""

    name: str
    arch: str
    words: str
    effects: tuple[Effect, ...]
    beside: tuple[Effect, ...] = ()


def _falls(what: str, quantity: Quantity, *methods: str, baseline: str = CONTROL) -> tuple[Effect, ...]:
    """Of a measure of weights or layers."""
    return tuple(Effect(f"{what}: {method} < {baseline}", quantity, method, baseline, True) for method in methods)


def _fools_less(*methods: str, baseline: str = CONTROL) -> tuple[Effect, ...]:
    return tuple(
        Effect(f"PGD fools: {method} < {baseline}", mean_fooling("pgd"), method, baseline) for method in methods
    )


CLAIMS = (
    PaperClaim("a", "fcnn", "adversarial training lowers effective rank and sparsity, most of W1",
               _falls("r(W1)", rank(1), "fgsm", "pgd") + _falls("s(W1)", sparsity(1), "fgsm", "pgd")),
    PaperClaim("b", "fcnn", "adversarial training lowers the mutual information with the input",
               _falls("I(x;t1), lower bound", information(1, "lower"), "fgsm", "pgd")
               + _falls("I(x;t1), upper bound", information(1, "upper"), "fgsm", "pgd")),
    PaperClaim("c", "fcnn", "l1 on W1 alone lowers its effective rank, too", _falls("r(W1)", rank(1), "l1-0.01")),
    PaperClaim("d", "fcnn", "regularizing W1 lowers rank and sparsity of W2, too",
               _falls("r(W2)", rank(2), "l1-0.01-nuclear-0.01") + _falls("s(W2)", sparsity(2), "l1-0.01-nuclear-0.01")),
    PaperClaim("e", "fcnn", "the joint term lowers the effective rank of W1, W2 and W3",
               sum((_falls(f"r(W{i})", rank(i), "joint-0.001") for i in (1, 2, 3)), ())),
    PaperClaim("f", "fcnn", "regularization lowers the fooling ratio, l1 with the joint term further",
               _fools_less("l1-0.01", "nuclear-0.01", "l1-0.01-nuclear-0.01")
               + _fools_less("l1-0.01-joint-0.001", baseline="l1-0.01")),
    PaperClaim("g", "cnn", "adversarial training lowers s(W1), s(W2), and r(W2), which PGD lowers more",
               _falls("s(W1)", sparsity(1), "pgd") + _falls("s(W2)", sparsity(2), "pgd")
               + _falls("r(W2)", rank(2), "pgd") + _falls("r(W2)", rank(2), "pgd", baseline="fgsm"),
               _falls("s(W1)", sparsity(1), "fgsm") + _falls("s(W2)", sparsity(2), "fgsm")
               + _falls("r(W2)", rank(2), "fgsm")),
    PaperClaim("h", "cnn", "the fooling ratio falls as the nuclear norm's lambda grows",
               _fools_less("l1-0.01-nuclear-0.05", baseline="l1-0.01")
               + _fools_less("l1-0.01-nuclear-0.1", baseline="l1-0.01-nuclear-0.05")
               + _fools_less("l1-0.01-nuclear-0.5", baseline="l1-0.01-nuclear-0.1")),
    PaperClaim("i, fcnn", "fcnn", "adversarial training stays the best defence",
               sum((_fools_less("pgd", baseline=other) for other in
                    ("l1-0.01", "l1-0.01-nuclear-0.01", "l1-0.01-nuclear-0.03", "l1-0.01-joint-0.001")), ())),
    PaperClaim("i, cnn", "cnn", "adversarial training stays the best defence",
               sum((_fools_less("pgd", baseline=other) for other in
                    ("l1-0.01", "l1-0.01-nuclear-0.1", "l1-0.01-nuclear-0.5")), ())),
    PaperClaim("j", "fcnn", "against natural training the attacks reach slightly below 100 %",
               (Effect("PGD fools less than 100 %", mean_fooling("pgd"), SOURCE, 1.0, interest=SLIGHTLY),
                Effect("PGD fools more than 90 %", lambda result: -mean_fooling("pgd")(result), SOURCE, -0.9))),
)  # fmt: skip
"""The paper's statements of its results: (a), (b) and (g) are its Claim 1, that adversarial training leads to low-rank
and sparse weights; (f) and (h) its Claim 2, that such weights promote robustness; the others come on the way."""
