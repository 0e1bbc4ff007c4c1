r"""What the gradients start from: the softmax cross-entropy and the classification margins."""

from collections.abc import Callable
from typing import Any, NamedTuple

import array_api_compat
from jaxtyping import Float, Int

from ..backend import Array, namespace
from ..tape import Pullback
from ..validation import check_labels

Loss = Callable[..., tuple[Array, Array]]
"""A loss of each example by itself: (logits, labels, ...) -> values (batch,), gradient by the logits (batch, classes).

`labels` are one or more arrays of whole numbers, (batch,): the classes of the examples, or the classes aimed at.
"""


class LossAt(NamedTuple):
    """A loss of each example at inputs x, its gradient with respect to x, and the logits that it is of."""

    value: Float[Array, "batch"]
    gradient: Float[Array, "batch n"]
    logits: Float[Array, "batch classes"]


def one_hot(y: Int[Array, "..."], classes: int, dtype: Any) -> Float[Array, "... classes"]:
    """Row $i$ is the unit vector of class $y_i$."""
    xp = namespace(y)
    return xp.astype(y[..., None] == xp.arange(classes, device=array_api_compat.device(y)), dtype)


def cross_entropy(
    logits: Float[Array, "*models batch classes"], y: Int[Array, "*models batch"]
) -> tuple[Float[Array, "*models"], Pullback]:
    r"""$L = \frac1B \sum_i \left( \log \sum_j e^{z_{ij}} - z_{i y_i} \right)$, in nats, averaged over the batch.

    Softmax and cross-entropy are one primitive because their composition is simpler than either:
    $dz_{ij} = (p_{ij} - t_{ij}) / B$ with $p$ the softmax and $t$ the one-hot label. For a confident example
    $p_y - 1$ would cancel to nothing in float32, so it is computed as $-\sum_{j \ne y} p_j$. Raises `UsageError` for
    what are no labels of these logits, as `check_labels` does.

    >>> import numpy as np
    >>> import refimpl as ri
    >>> loss, pullback = ri.cross_entropy(np.array([[0.0, 0.0]]), np.array([0]))
    >>> print(f"{loss:.4f}")  # log 2
    0.6931
    >>> pullback.x(1.0)
    array([[-0.5,  0.5]])
    """
    xp = namespace(logits)
    batch, classes = logits.shape[-2:]
    check_labels(y, logits.shape[:-1], classes)
    t = one_hot(y, classes, logits.dtype)
    z = logits - xp.max(logits, axis=-1, keepdims=True)  # e^z cannot overflow; the shift cancels
    e = xp.exp(z)
    total = xp.sum(e, axis=-1)
    loss = xp.mean(xp.log(total) - xp.sum(t * z, axis=-1), axis=-1)

    def dlogits(dloss: Float[Array, "*models"] | float) -> Float[Array, "*models batch classes"]:
        others = e * (1 - t)
        residual = (others - t * xp.sum(others, axis=-1, keepdims=True)) / total[..., None]  # p − t
        return residual * ((dloss if isinstance(dloss, float) else dloss[..., None, None]) / batch)

    return loss, Pullback(x=dlogits)


def margins(
    logits: Float[Array, "*models batch classes"], k: Int[Array, "*models batch"]
) -> tuple[Float[Array, "*models batch others"], Pullback]:
    r"""$M_l = z_k - z_l$ for every class $l \ne k$, in increasing order of $l$ (what GNM attacks).

    The example is still given class $k$ exactly when all of its margins are positive. $M = D z$ is linear, with rows
    $D_l = e_k - e_l$; hence $dz = D^\top dM$. Raises `UsageError` as `cross_entropy` does.

    >>> import numpy as np
    >>> import refimpl as ri
    >>> ri.margins(np.array([[5.0, 2.0, 3.0]]), np.array([0]))[0]
    array([[3., 2.]])
    """
    xp = namespace(logits)
    *batch, classes = logits.shape
    check_labels(k, tuple(batch), classes)
    D = margin_directions(k, classes, logits.dtype)
    return xp.sum(D * logits[..., None, :], axis=-1), Pullback(x=lambda dM: xp.sum(dM[..., None] * D, axis=-2))


def least_margin(
    logits: Float[Array, "*models batch classes"], k: Int[Array, "*models batch"]
) -> Float[Array, "*models batch"]:
    r"""$z_k - \max_{l \ne k} z_l$, the smallest of the `margins`. Raises `UsageError` as `cross_entropy` does."""
    xp = namespace(logits)
    check_labels(k, logits.shape[:-1], logits.shape[-1])
    t = one_hot(k, logits.shape[-1], logits.dtype)
    others = xp.where(t > 0, xp.full_like(t, -xp.inf), logits)
    return xp.sum(t * logits, axis=-1) - xp.max(others, axis=-1)


def margin_directions(k: Int[Array, "*batch"], classes: int, dtype: Any) -> Float[Array, "*batch others classes"]:
    """The matrices $D$ of `margins`: row $l$ is $e_k - e_l$."""
    xp = namespace(k)
    step = xp.arange(classes - 1, device=array_api_compat.device(k))
    others = step + xp.astype(step >= k[..., None], step.dtype)  # 0 .. classes-1 without k
    return one_hot(k, classes, dtype)[..., None, :] - one_hot(others, classes, dtype)
