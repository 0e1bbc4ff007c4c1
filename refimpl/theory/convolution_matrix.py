r"""A convolution as one matrix (Appendix B): a Kronecker product where patches do not overlap, else Toeplitz.

These matrices are for theorems and tests; `conv` computes the same without them.
"""

from itertools import product

import numpy as np
from jaxtyping import Float

from ..backend import Array, like, namespace
from ..errors import UsageError


def kron(A: Float[Array, "m n"], B: Float[Array, "p q"]) -> Float[Array, "mp nq"]:
    r"""The Kronecker product: block (i, j) is $A_{ij} B$."""
    blocks = A[:, None, :, None] * B[None, :, None, :]
    return namespace(A).reshape(blocks, (A.shape[0] * B.shape[0], A.shape[1] * B.shape[1]))


def componentwise(W: Float[Array, "O n"], m: int) -> Float[Array, "Om nm"]:
    r"""$\tilde W \otimes I_m$, Appendix B's matrix: entry 1 of all m patches comes first, then entry 2 of all, ..."""
    return kron(W, _identity(W, m))


def patchwise(W: Float[Array, "O n"], m: int) -> Float[Array, "Om nm"]:
    r"""$I_m \otimes \tilde W$: the same filters for inputs stacked patch by patch."""
    return kron(_identity(W, m), W)


def convolution_matrix(W: Float[Array, "O C k k"], height: int, width: int) -> Float[Array, "Ohw CHW"]:
    r"""The matrix of `conv.conv2d` without its bias, on images (C, height, width).

    $A = \sum_{ab} \tilde W_{ab} \otimes S_a \otimes S_b$, where $\tilde W_{ab}$ of shape (O, C) is what the filters
    hold at (a, b), and row i of the shift $S_a$ picks entry i + a. Each $S_a$ is Toeplitz; so A is, block by block
    and in each block. Raises `UsageError` for an image smaller than a filter.
    """
    k = W.shape[-1]
    if min(height, width) < k:
        raise UsageError(f"filters of {k} x {k} do not fit into images of {height} x {width}")
    xp = namespace(W)
    rows, columns = _identity(W, height), _identity(W, width)
    h, w = height - k + 1, width - k + 1
    terms = [
        kron(W[:, :, a, b], kron(rows[a : a + h, :], columns[b : b + w, :])) for a, b in product(range(k), repeat=2)
    ]
    return xp.sum(xp.stack(terms), axis=0)


def _identity(W: Float[Array, "..."], m: int) -> Float[Array, "m m"]:
    return like(np.eye(m), W)
