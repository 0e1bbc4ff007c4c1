"""Products of a weight with many examples, in blocks for which OpenBLAS has kernels of its own.

On processors with AVX-512, OpenBLAS (0.3.17 and later) does not pack matrices whose product takes at most a million
multiplications. A weight that is small enough is therefore multiplied by 32 examples at a time, in one call, and the
weights of a stack some rows at a time. Other kernels are faster with products in one piece.
"""

from functools import cache

import numpy as np
from jaxtyping import Float

from ..backend import numpy_kernel

AVX512 = ("SkylakeX", "Cooperlake", "SapphireRapids")
"""The kernels, as OpenBLAS names them, that have some for small matrices."""

EXAMPLES = 32
MULTIPLICATIONS = 10**6


@cache
def in_blocks() -> bool:
    """Whether blocks are faster: a property of the BLAS that NumPy has loaded."""
    return numpy_kernel() in AVX512


def outputs(W: Float[np.ndarray, "m n"], x: Float[np.ndarray, "batch n"], out: Float[np.ndarray, "m batch"]) -> None:
    r"""$W x^\top$, one example a column, into `out`."""
    blocks, whole = _blocks(W, len(x))
    if blocks:
        columns = out[:, :whole].reshape(len(W), blocks, EXAMPLES).transpose(1, 0, 2)
        np.matmul(W, x[:whole].reshape(blocks, EXAMPLES, -1).transpose(0, 2, 1), out=columns)
    if whole < len(x):
        np.matmul(W, x[whole:].T, out=out[:, whole:])


def shared_outputs(
    W: Float[np.ndarray, "rows n"], x: Float[np.ndarray, "batch n"], out: Float[np.ndarray, "rows batch"]
) -> None:
    """As `outputs`, of the weights of many models above each other."""
    rows = rows_at_a_time(len(W), x.size, at_least=4) if in_blocks() else len(W)
    np.matmul(W.reshape(-1, rows, W.shape[1]), x.T, out=out.reshape(-1, rows, len(x)))


def inputs(dz: Float[np.ndarray, "m batch"], W: Float[np.ndarray, "m n"], out: Float[np.ndarray, "batch n"]) -> None:
    r"""$\mathrm{d}z^\top W$, the gradient with respect to the inputs of a layer, one example a row, into `out`."""
    blocks, whole = _blocks(W, len(out))
    if blocks:
        rows = dz[:, :whole].reshape(len(W), blocks, EXAMPLES).transpose(1, 2, 0)
        np.matmul(rows, W, out=out[:whole].reshape(blocks, EXAMPLES, -1))
    if whole < len(out):
        np.matmul(dz[:, whole:].T, W, out=out[whole:])


def _blocks(W: Float[np.ndarray, "m n"], batch: int) -> tuple[int, int]:
    """How many blocks there are, and how many examples they hold together; none where one would be too large."""
    blocks = batch // EXAMPLES if in_blocks() and W.size * EXAMPLES <= MULTIPLICATIONS else 0
    return blocks, blocks * EXAMPLES


@cache
def rows_at_a_time(rows: int, size: int, at_least: int = EXAMPLES // 2) -> int:
    """How many of the rows of a matrix to multiply at a time by a matrix of `size` numbers: a divisor of all of them.

    All of them where blocks would be of fewer than `at_least`.
    """
    allowed = max((n for n in range(1, min(rows, MULTIPLICATIONS // size) + 1) if rows % n == 0), default=1)
    return allowed if allowed >= at_least else rows
