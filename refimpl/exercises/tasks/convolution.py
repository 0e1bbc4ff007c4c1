"""Exercises: convolution as a product of matrices, its adjoint, its gradient by the filter."""

import numpy as np
from jaxtyping import Float

from ... import layers
from ..exercise import Equals, Exercise, Gradient, Statement, enter


def im2col(x: Float[np.ndarray, "H W"], k: int) -> Float[np.ndarray, "kk P"]:
    r"""The k x k patches of an image, one a column, P = (H - k + 1)(W - k + 1) of them, in reading order.

    The entries of a patch are in reading order, too, so that a filter, as a row, times this matrix is the convolution
    of Section 5 and Appendix B; lesson 3.
    """
    h, w = x.shape[0] - k + 1, x.shape[1] - k + 1
    return np.stack([x[i : i + k, j : j + k].ravel() for i in range(h) for j in range(w)], axis=1)


def _is_correlation(f: object, columns: np.ndarray, x: np.ndarray, k: int) -> bool:
    w = np.arange(k * k, dtype=float)
    windows = np.lib.stride_tricks.sliding_window_view(x, (k, k))
    return np.allclose(w @ columns, np.einsum("ijab,ab->ij", windows, w.reshape(k, k)).ravel())


enter(
    Exercise(
        name="im2col",
        title="convolution as a product of matrices",
        where="refimpl/layers/convolution.py",
        solution=im2col,
        inputs=lambda rng: (rng.normal(size=(4, 5)), 2),
        checks=(
            Equals("refimpl.layers.im2col", lambda x, k: layers.im2col(x[None], k)),
            Statement("a filter times it is the cross-correlation, by NumPy's windows", _is_correlation),
        ),
        mistakes={
            "a transpose: patches are columns, not rows": lambda x, k: im2col(x, k).T,
            "the order of patches: reading order goes along a row of the image first": lambda x, k: np.stack(
                [x[i : i + k, j : j + k].ravel() for j in range(x.shape[1] - k + 1) for i in range(x.shape[0] - k + 1)],
                axis=1,
            ),
            "the order in a patch: reading order goes along a row of the patch first": lambda x, k: np.stack(
                [x[i : i + k, j : j + k].T.ravel() for i, j in np.ndindex(x.shape[0] - k + 1, x.shape[1] - k + 1)],
                axis=1,
            ),
            "missing patches: the last one begins at H - k, so there are H - k + 1": lambda x, k: np.stack(
                [x[i : i + k, j : j + k].ravel() for i, j in np.ndindex(x.shape[0] - k, x.shape[1] - k)], axis=1
            ),
        },
    )
)


def col2im(columns: Float[np.ndarray, "kk P"], k: int, H: int, W: int) -> Float[np.ndarray, "H W"]:
    r"""The adjoint of im2col for images H x W.

    For all x, $\langle \mathrm{im2col}(x), c \rangle = \langle x, \mathrm{col2im}(c) \rangle$, with c the columns;
    P = (H - k + 1)(W - k + 1). Lesson 3; Appendix B.
    """
    x = np.zeros((H, W))
    w = W - k + 1
    for n, patch in enumerate(columns.T):
        i, j = divmod(n, w)
        x[i : i + k, j : j + k] += patch.reshape(k, k)
    return x


def _overwritten(columns: np.ndarray, k: int, H: int, W: int) -> np.ndarray:
    x = np.zeros((H, W))
    for patch, (i, j) in zip(columns.T, np.ndindex(H - k + 1, W - k + 1), strict=True):
        x[i : i + k, j : j + k] = patch.reshape(k, k)
    return x


def _turned(columns: np.ndarray, k: int) -> np.ndarray:
    """Each patch transposed."""
    return columns.reshape(k, k, -1).swapaxes(0, 1).reshape(k * k, -1)


def _adjoint(f: object, x: np.ndarray, columns: np.ndarray, k: int, H: int, W: int) -> bool:
    other = np.random.default_rng(1).normal(size=(H, W))
    return bool(np.isclose(np.sum(layers.im2col(other[None], k) * columns), np.sum(other * x)))


enter(
    Exercise(
        name="col2im",
        title="the adjoint of im2col, which is its backward pass",
        where="refimpl/layers/convolution.py",
        solution=col2im,
        inputs=lambda rng: (rng.normal(size=(4, 12)), 2, 4, 5),
        checks=(
            Gradient(
                lambda p, columns, k, H, W: columns * layers.im2col(p[None], k),
                lambda columns, k, H, W: np.zeros((H, W)),
            ),
            Statement("<im2col(x), columns> = <x, col2im(columns)>", _adjoint),
        ),
        mistakes={
            "a missing sum: patches overlap, and a pixel gets what all of its patches give": _overwritten,
            "a mean in place of a sum: the adjoint adds up, only an inverse would take the mean": lambda c, k, H, W: (
                col2im(c, k, H, W) / col2im(np.ones_like(c), k, H, W)
            ),
            "the order in a patch: reading order goes along a row of the patch first": lambda c, k, H, W: col2im(
                _turned(c, k), k, H, W
            ),
            "a flip: the adjoint puts an entry back where it came from": lambda c, k, H, W: col2im(c[::-1], k, H, W),
        },
    )
)


def filter_gradient(x: Float[np.ndarray, "batch H W"], dy: Float[np.ndarray, "batch h w"]) -> Float[np.ndarray, "k k"]:
    r"""dF for $y_n = F * x_n$, one filter F of k x k over images of one channel; k = H - h + 1 = W - w + 1.

    $y_{nij} = \sum_{ab} F_{ab}\,x_{n,i+a,j+b}$, stride 1, no padding; dy is the gradient of the loss by y. Section 5,
    lesson 3.
    """
    h, w = dy.shape[1:]
    k = x.shape[1] - h + 1
    return np.array([[np.sum(dy * x[:, a : a + h, b : b + w]) for b in range(k)] for a in range(k)])


enter(
    Exercise(
        name="filter-gradient",
        title="the backward pass of a convolution, by its filter",
        where="refimpl/layers/convolution.py",
        solution=filter_gradient,
        inputs=lambda rng: (rng.normal(size=(3, 5, 6)), rng.normal(size=(3, 4, 5))),
        checks=(
            Gradient(
                lambda p, x, dy: dy[:, None] * layers.conv2d(x[:, None], p[None, None], np.zeros(1))[0],
                lambda x, dy: np.zeros((x.shape[1] - dy.shape[1] + 1,) * 2),
            ),
        ),
        mistakes={
            "a flip: the filter is not turned round, y is a cross-correlation": lambda x, dy: filter_gradient(x, dy)[
                ::-1, ::-1
            ],
            "a transpose: rows of the filter go with rows of the image": lambda x, dy: filter_gradient(x, dy).T,
            "a mean in place of a sum: the mean of the loss is in dy already": lambda x, dy: (
                filter_gradient(x, dy) / len(x)
            ),
            "a missing sum: the filter is the same for all images of the batch": lambda x, dy: filter_gradient(
                x[:1], dy[:1]
            ),
            "a missing sum: the filter is the same at all places, whose shares add up": lambda x, dy: (
                filter_gradient(x, dy) / dy[0].size
            ),
        },
    )
)
