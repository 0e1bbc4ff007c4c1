r"""Losses that attacks raise: functions of the logits, each example's by itself, with their gradients."""

from collections.abc import Callable
from typing import NamedTuple

from jaxtyping import Bool, Float, Int

from ..backend import Array, namespace
from ..errors import UsageError
from ..layers.loss import Loss, one_hot
from .base import Target

TINY = 1e-12
"""Added to the denominators of the DLR losses, as the authors do."""

Values = tuple[Float[Array, "batch"], Float[Array, "batch classes"]]


class Point(NamedTuple):
    """What an attack knows at inputs x: its loss, the loss's gradient, and which examples are given another class."""

    value: Float[Array, "batch"]
    gradient: Float[Array, "batch *shape"]
    fooled: Bool[Array, "batch"]


def observed(target: Target, loss: Loss, y: Int[Array, "batch"], *others: Array) -> Callable[[Array], Point]:
    """x -> the loss there, its gradient, and whether the class is another one than y."""
    at = target.value_and_grad(loss, y, *others)

    def point(x: Array) -> Point:
        value, gradient, logits = at(x)
        return Point(value, gradient, namespace(logits).argmax(logits, axis=-1) != y)

    return point


def cross_entropy(logits: Float[Array, "batch classes"], y: Int[Array, "batch"]) -> Values:
    r"""$L = \log \sum_j e^{z_j} - z_y$ and $p - e_y$, as `layers.loss.cross_entropy` has them, of each example."""
    xp = namespace(logits)
    t = one_hot(y, logits.shape[-1], logits.dtype)
    z = logits - xp.max(logits, axis=-1, keepdims=True)
    e = xp.exp(z)
    total = xp.sum(e, axis=-1, keepdims=True)
    others = e * (1 - t)
    gradient = (others - t * xp.sum(others, axis=-1, keepdims=True)) / total
    return xp.log(total)[:, 0] - xp.sum(t * z, axis=-1), gradient


def targeted_cross_entropy(
    logits: Float[Array, "batch classes"], y: Int[Array, "batch"], t: Int[Array, "batch"]
) -> Values:
    """Minus the cross-entropy of the class t that is aimed at."""
    value, gradient = cross_entropy(logits, t)
    return -value, -gradient


def dlr(logits: Float[Array, "batch classes"], y: Int[Array, "batch"]) -> Values:
    r"""The difference of logits ratio (Croce and Hein 2020, Eq. (6)), with $z_{\pi_1} \ge z_{\pi_2} \ge \dots$:

    $$-\frac{z_y - \max_{i \ne y} z_i}{z_{\pi_1} - z_{\pi_3}}.$$

    Neither a shift nor a positive factor of the logits changes it, so that no confidence saturates it, as that of
    the cross-entropy. Raises `UsageError` for fewer than three classes.
    """
    order = _order(logits, 3, "the DLR loss")
    xp = namespace(logits)
    other = xp.where(order[:, -1] == y, order[:, -2], order[:, -1])
    numerator = _unit(y, logits) - _unit(other, logits)
    return _minus_ratio(logits, numerator, _unit(order[:, -1], logits) - _unit(order[:, -3], logits))


def targeted_dlr(logits: Float[Array, "batch classes"], y: Int[Array, "batch"], t: Int[Array, "batch"]) -> Values:
    r"""The DLR loss towards the class t (Croce and Hein 2020, Eq. (7)); of at least four classes:

    $$-\frac{z_y - z_t}{z_{\pi_1} - (z_{\pi_3} + z_{\pi_4}) / 2}.$$
    """
    order = _order(logits, 4, "the targeted DLR loss")
    below = (_unit(order[:, -3], logits) + _unit(order[:, -4], logits)) / 2
    return _minus_ratio(logits, _unit(y, logits) - _unit(t, logits), _unit(order[:, -1], logits) - below)


def other_classes(logits: Float[Array, "batch classes"], y: Int[Array, "batch"]) -> Int[Array, "batch others"]:
    """The classes but y, the likeliest first: what targeted attacks aim at."""
    xp = namespace(logits)
    t = one_hot(y, logits.shape[-1], logits.dtype)
    last = xp.where(t > 0, xp.full_like(t, -xp.inf), logits)
    return xp.flip(xp.argsort(last, axis=-1), axis=-1)[:, :-1]


def margin_loss(logits: Float[Array, "batch classes"], y: Int[Array, "batch"]) -> Values:
    r"""$\max_{l \ne y} z_l - z_y$: above 0 where the example is given another class."""
    own, other = _unit(y, logits), _unit(other_classes(logits, y)[:, 0], logits)
    return namespace(logits).sum((other - own) * logits, axis=-1), other - own


LOSSES: dict[str, tuple[Loss, Loss]] = {
    "ce": (cross_entropy, targeted_cross_entropy),
    "dlr": (dlr, targeted_dlr),
}
"""By name, the loss that leads away from the label, and the one that leads to a class."""


def _unit(k: Int[Array, "batch"], logits: Float[Array, "batch classes"]) -> Float[Array, "batch classes"]:
    return one_hot(k, logits.shape[-1], logits.dtype)


def _order(logits: Float[Array, "batch classes"], least: int, what: str) -> Int[Array, "batch classes"]:
    """The classes from the least logit to the greatest."""
    if logits.shape[-1] < least:
        raise UsageError(f"{what} needs at least {least} classes, and there are {logits.shape[-1]}: take --loss ce")
    return namespace(logits).argsort(logits, axis=-1)


def _minus_ratio(
    z: Float[Array, "batch classes"], a: Float[Array, "batch classes"], b: Float[Array, "batch classes"]
) -> Values:
    r"""$-\langle a, z\rangle / \langle b, z\rangle$ and its gradient by z, $(-a + r\,b) / \langle b, z\rangle$."""
    xp = namespace(z)
    below = xp.sum(b * z, axis=-1, keepdims=True) + TINY
    ratio = xp.sum(a * z, axis=-1, keepdims=True) / below
    return -ratio[:, 0], (ratio * b - a) / below
