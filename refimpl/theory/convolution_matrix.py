r"""Matrix of a convolution (Appendix B): a Kronecker product where patches do not overlap, else block Toeplitz.

These matrices are for statements and tests; `layers.convolution` computes the same without them.
"""

from itertools import product

import numpy as np
from jaxtyping import Float

from ..backend import Array, like, namespace
from ..errors import UsageError
from .validation import check_finite, check_matrix


def kron(A: Float[Array, "m n"], B: Float[Array, "p q"]) -> Float[Array, "mp nq"]:
    r"""The Kronecker product: block (i, j) is $A_{ij} B$. Raises `UsageError` for empty or non-finite matrices."""
    for what, matrix in (("A", A), ("B", B)):
        check_matrix(what, matrix)
        check_finite(what, matrix)  # infinity times zero is nan
    blocks = A[:, None, :, None] * B[None, :, None, :]
    return namespace(A).reshape(blocks, (A.shape[0] * B.shape[0], A.shape[1] * B.shape[1]))


def componentwise(W: Float[Array, "O n"], m: int) -> Float[Array, "Om nm"]:
    r"""$\tilde W \otimes I_m$: its input is entry 1 of all m patches, then entry 2 of all, ... Raises as `kron`."""
    return kron(W, _identity(W, m))


def patchwise(W: Float[Array, "O n"], m: int) -> Float[Array, "Om nm"]:
    r"""$I_m \otimes \tilde W$: its input is patch 1, then patch 2, ...; its output, too. Raises as `kron`."""
    return kron(_identity(W, m), W)


def convolution_matrix(W: Float[Array, "O C k k"], height: int, width: int) -> Float[Array, "Ohw CHW"]:
    r"""The matrix of `layers.convolution.conv2d` without its bias, on images (C, height, width).

    $A = \sum_{ab} \tilde W_{ab} \otimes S_a \otimes S_b$, where $\tilde W_{ab}$ of shape (O, C) holds entry (a, b) of
    the filters, and row i of the shift $S_a$ picks entry i + a. Each $S_a$ is Toeplitz; so A is doubly block Toeplitz.

    Raises `UsageError` for filters that are not (O, C, k, k), empty or not finite, and for an image smaller than them.
    """
    if W.ndim != 4 or W.shape[2] != W.shape[3] or 0 in W.shape:
        raise UsageError(f"filters must be (O, C, k, k) with no axis of length 0, got shape {tuple(W.shape)}")
    check_finite("filters", W)
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
    if m < 1:
        raise UsageError(f"the number of patches must be at least 1, got {m}")
    return like(np.eye(m), W)
