r"""Do gradients exist, and do they say how the loss changes?"""

import numpy as np
from jaxtyping import Float

from ...attacks.base import Target
from ...backend import Array, like, namespace
from ...layers.loss import margins
from ...rng import stream
from ..finding import CHECKS, Check, Finding, allowed, does_not_apply, percent
from ..subject import Subject

SATURATED = 1e-7
CONFIDENT = 0.05
"""Fraction of saturated examples above which the check is amber."""
STEP = 1e-7
"""Length, in pixels, of the step of the difference quotient: in double precision far from rounding and curvature."""
ROUNDING = 8 * np.finfo(np.float64).eps
"""Relative error of a logit."""
FLAT = 1e-30
"""Slopes below which there is nothing to follow; they count as equal."""
SLOPE_ERROR = 0.01
FRACTION = 0.01
"""Fraction of examples that may disagree: those where a maximum changes hands within the step."""


@CHECKS.register("zero-gradients")
class ZeroGradients(Check):
    """Gradients of the cross-entropy at the clean examples that are zero, or not finite."""

    asks = "Is there a gradient to follow?"
    source = "AutoAttack's flag for zero gradients (Croce and Hein 2020); ART's loss_gradient_check"

    def find(self, subject: Subject) -> Finding:
        def steepest(x: Array, y: Array) -> Array:
            return subject.backend.xp.max(subject.backend.xp.abs(subject.net.loss(y)(x)), axis=-1)

        largest, n = subject.each(steepest, subject.x, subject.y), len(subject.y)
        broken, zero = int((~np.isfinite(largest)).sum()), int((largest == 0).sum())
        red = broken > 0 or zero > allowed(n)
        return Finding(
            colour="red" if red else "amber" if zero else "green",
            value=f"{zero + broken} of {n}",
            number=(zero + broken) / n,
            reason=f"the gradient is zero at {zero} examples, and not finite at {broken}",
            todo="attack with a loss or a net that has a gradient (DLR, BPDA, Athalye et al. 2018), and with Square"
            if red or zero
            else "",
        )


@CHECKS.register("saturation")
class Saturation(Check):
    """Examples whose label has a probability above 1 - 1e-7, where the cross-entropy hardly changes."""

    asks = "Is the cross-entropy saturated?"
    source = "Croce and Hein (2020), Section 4; Carlini and Wagner (2017)"

    def find(self, subject: Subject) -> Finding:
        def unlikely(x: Array, y: Array) -> Array:
            M, _ = margins(subject.net.logits(x), y)
            xp = namespace(M)
            return xp.sum(xp.exp(-xp.clip(M, 0.0, None)), axis=-1)  # at most (1 - p) / p

        fraction = float((subject.each(unlikely, subject.x, subject.y) < SATURATED).mean())
        amber = fraction > CONFIDENT
        return Finding(
            colour="amber" if amber else "green",
            value=percent(fraction),
            number=fraction,
            reason=f"{percent(fraction)} of the examples have a probability within {SATURATED:g} of 1",
            todo="trust attacks whose loss has no scale, DLR, rather than the cross-entropy's" if amber else "",
        )


@CHECKS.register("slope")
class Slope(Check):
    r"""$\langle \nabla L, s \rangle = \|\nabla L\|_1$ with s = sign(grad L), against a difference quotient along s.

    In double precision, at a random point of the ball, where no two entries of a pooling window are equal.
    """

    asks = "Does the loss change as the gradient says?"
    source = "the l_inf slope test of Pintor et al. (ESANN 2021); difference quotients as in gradient checking"

    def find(self, subject: Subject) -> Finding:
        if subject.exact is None:
            return does_not_apply("there is no twin of this net in double precision")
        net, rng = subject.exact, stream(subject.settings.seed, "noise", 0)
        points = subject.double + subject.eps * like(rng.uniform(-1, 1, subject.x.shape), subject.double)
        said, quotient, rounding = subject.each(lambda x, y: _slopes(net, x, y), points, subject.y).T
        difference, scale = np.abs(said - quotient), np.maximum(np.abs(said), np.abs(quotient))
        wrong, n = int((~(difference <= SLOPE_ERROR * scale + rounding + FLAT)).sum()), len(scale)
        error = difference / np.where(scale > 0, scale, 1.0)
        red = wrong > max(1, FRACTION * n)
        return Finding(
            colour="red" if red else "green",
            value=f"{wrong} of {n}",
            number=wrong / n,
            reason=f"gradient and difference quotient differ by more than {percent(SLOPE_ERROR)} at {wrong} of {n}"
            f" examples; median {np.median(error):.1g}",
            todo="the net is not what is differentiated: a step, a quantizer, noise, or a wrong derivative"
            if red
            else "",
        )


def _slopes(net: Target, x: Float[Array, "batch n"], y: Array) -> Float[Array, "batch 3"]:
    r"""What the gradient says of a step along its signs, the difference quotient, and how far rounding can take this.

    The loss moves by at most 1 - p, p the probability of the label, times what its margins move by.
    """
    xp = namespace(x)
    gradient, logits = net.loss(y)(x), net.logits(x)
    forward = xp.sign(gradient)
    quotient = (_loss(net.logits(x + STEP * forward), y) - _loss(net.logits(x - STEP * forward), y)) / (2 * STEP)
    unlikely = 1 - xp.exp(-_loss(logits, y))
    rounding = unlikely * ROUNDING * xp.max(xp.abs(logits), axis=-1) / STEP
    return xp.stack([xp.sum(xp.abs(gradient), axis=-1), quotient, rounding], axis=-1)


def _loss(logits: Float[Array, "batch classes"], y: Array) -> Float[Array, "batch"]:
    r"""The cross-entropy as $\log(1 + \sum_l e^{-M_l})$, which keeps its digits where it is tiny."""
    M, _ = margins(logits, y)
    xp = namespace(M)
    least = xp.clip(xp.min(M, axis=-1), None, 0.0)
    return xp.log1p(xp.sum(xp.exp(least[:, None] - M), axis=-1) - (1 - xp.exp(least))) - least
