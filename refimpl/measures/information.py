r"""How much a hidden layer knows of its input and of the label: bounds by Kolchinsky and Tracey (2017).

A layer of a deterministic net knows everything; so its activations are measured through noise, $T = h(X) + N(0,
\sigma^2 I)$ with X uniform on the N examples. T is a mixture of N Gaussians, and with $D_{ij} = \|h_i - h_j\|^2$

$$-\frac1N \sum_i \log_2 \frac1N \sum_j e^{-D_{ij} / 8\sigma^2} \;\le\; I(X; T) \;\le\;
  -\frac1N \sum_i \log_2 \frac1N \sum_j e^{-D_{ij} / 2\sigma^2},$$

from the Bhattacharyya and the Kullback-Leibler distances between its components. Both lie between 0 and $\log_2 N$.
The paper plots them for each hidden layer with $\sigma^2 = 0.1$ (Section 5). By its Eq. (4) the layers are a Markov
chain, so that what they know of the input cannot grow from one to the next; with noise added to each layer for the
measurement alone, as here and there, it may.
"""

import math

import numpy as np
from jaxtyping import Float, Int

from ..backend import Array, chunks, like, namespace, to_host
from ..errors import UsageError

Bounds = tuple[float, float]


def mutual_information(h: Float[Array, "examples units"], sigma2: float = 0.1, block: int | None = None) -> Bounds:
    """Bounds of I(X; T) in bits, lower and upper (Kolchinsky and Tracey 2017), for a layer of the chain in Eq. (4).

    Waits for the device. `block` examples are on a side of the block of distances in memory at a time; None takes as
    many as suit the device.

    Raises `UsageError` for no examples, for activations that are not finite, for a variance not above 0, and for a
    block of less than one example.

    >>> import numpy as np
    >>> import refimpl as ri
    >>> ri.mutual_information(np.array([[0.0], [100.0]]))  # which of two examples it was
    (1.0, 1.0)
    """
    return mutual_informations(h, (sigma2,), block)[0]


def mutual_informations(
    h: Float[Array, "examples units"], variances: tuple[float, ...], block: int | None = None
) -> list[Bounds]:
    r"""`mutual_information` for several variances in one pass over the distances.

    Each pair is visited once, for $D$ is symmetric, and costs one exponential a variance, for the upper bound's is the
    fourth power of the lower's. No sum can underflow: each holds its own example, $e^0$. In float64 whatever h is.
    """
    block = chunks(h).paired if block is None else block
    _check(h, variances, block)
    xp, n = namespace(h), h.shape[0]
    h = xp.astype(h, xp.float64)
    h = h - xp.mean(h, axis=0)  # distances do not change, and their roundings shrink
    square, one = xp.sum(h * h, axis=1, keepdims=True), xp.ones_like(h[:, :1])
    left = xp.concat([2 * h, -square, -one], axis=1)
    right = xp.matrix_transpose(xp.concat([h, one, square], axis=1))  # left @ right = -D
    sums = [(xp.zeros_like(one), xp.zeros_like(one)) for _ in variances]
    for i in range(0, n, block):
        rows = slice(i, min(i + block, n))
        for j in range(i, n, block):
            columns = slice(j, min(j + block, n))
            product = left[rows, :] @ right[:, columns]
            nearness = xp.minimum(product, xp.zeros_like(product))
            for totals, sigma2 in zip(sums, variances, strict=True):
                e = xp.exp(nearness * (0.125 / sigma2))
                e2 = e * e
                for total, kernel in zip(totals, (e, e2 * e2), strict=True):
                    total[rows, :] += kernel @ one[columns, :]
                    if j > i:
                        total[columns, :] += xp.matrix_transpose(kernel) @ one[rows, :]
    return [(_bits(lower, n), _bits(upper, n)) for lower, upper in sums]


def label_information(
    h: Float[Array, "examples units"], y: Int[Array, "examples"], sigma2: float = 0.1, block: int | None = None
) -> Bounds:
    r"""Lower and upper bound of I(Y; T) in bits, Y the label. Waits for the device.

    $I(Y; T) = I(X; T) - \sum_c p_c\, I(X; T \mid Y = c)$, the noise being the same everywhere; so the lower bound
    takes the lower bound of the first term and the upper bounds of the others, and the upper bound the reverse.
    (The difference of two bounds of one kind, which is often plotted, bounds nothing.) Neither is below 0 nor
    above the entropy of Y. Raises `UsageError` as `mutual_information` does, and for other than one label an example.
    """
    if tuple(y.shape) != tuple(h.shape[:1]):
        raise UsageError(f"expected a label for each of the {h.shape[0]} examples, got {y.shape[0]} labels")
    lower, upper = mutual_information(h, sigma2, block)
    labels, entropy = to_host(y), 0.0
    for c in np.unique(labels):
        members = np.flatnonzero(labels == c)
        p = len(members) / len(labels)
        inside = mutual_information(namespace(h).take(h, like(members, y), axis=0), sigma2, block)
        lower, upper = lower - p * inside[1], upper - p * inside[0]
        entropy -= p * math.log2(p)
    return max(0.0, lower), max(0.0, min(upper, entropy))


def _bits(total: Float[Array, "examples 1"], n: int) -> float:
    xp = namespace(total)
    return min(max(0.0, float(-xp.mean(xp.log2(total / n)))), math.log2(n))  # max(-0.0, 0.0) is -0.0


def _check(h: Array, variances: tuple[float, ...], block: int) -> None:
    if block < 1:
        raise UsageError(f"a block must hold at least one example, got {block}")
    for sigma2 in variances:
        if not (math.isfinite(sigma2) and sigma2 > 0):
            raise UsageError(f"the noise variance sigma2 must be finite and above 0, got {sigma2}")
    xp = namespace(h)
    if len(h.shape) != 2 or 0 in h.shape:
        raise UsageError(
            f"mutual information needs activations (examples, units), at least one example and one unit; got {h.shape}"
        )
    if not bool(xp.all(xp.isfinite(h))):
        raise UsageError("the activations are not finite: mutual information is not defined")
