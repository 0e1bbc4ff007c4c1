"""Appendix B: a convolution as one matrix."""

from ...backend import Array, namespace
from ...layers.convolution import conv2d
from ...measures.rank_sparsity import effective_rank, effective_sparsity
from ...parameters import as_matrix
from ..convolution_matrix import componentwise, convolution_matrix, patchwise
from .statement import Claim, Example, Statement, equal, require
from .strategies import filters


def same_rank(c: Example) -> None:
    m = c.across**2
    small, large = (float(effective_rank(W)) for W in (as_matrix(c.W), componentwise(as_matrix(c.W), m)))
    require(equal(small, large), {"r(W~)": small, "r(W~ x I_m)": large, "m": m})


def root_m_times_the_rank(c: Example) -> None:
    """The same for the sparsity; divided by the root of the smaller dimension the rank is unchanged."""
    small, m = as_matrix(c.W), c.across**2
    for large in (componentwise(small, m), patchwise(small, m)):
        for name, measure in (("r", effective_rank), ("s", effective_sparsity)):
            a, b = float(measure(small)), float(measure(large))
            require(equal(m**0.5 * a, b), {f"root m {name}(W~)": m**0.5 * a, f"{name}(W~ x I_m)": b})
        a, b = (float(effective_rank(W)) / min(W.shape) ** 0.5 for W in (small, large))
        require(equal(a, b), {"normalised r(W~)": a, "normalised r(W~ x I_m)": b})


def patches(c: Example) -> Array:
    """Patches that do not overlap, one a row: (m, C k k)."""
    xp, (_, C, k, _), across = namespace(c.W), c.W.shape, c.across
    windows = xp.reshape(c.image, (C, across, k, across, k))
    return xp.reshape(xp.permute_dims(windows, (1, 3, 0, 2, 4)), (across**2, C * k * k))


def without_overlap(c: Example) -> Array:
    """Output of the filters on those patches, filter by filter as the paper stacks it: (O, m)."""
    xp, k = namespace(c.W), c.W.shape[-1]
    y, _ = conv2d(c.image[None, ...], c.W, xp.zeros_like(c.W[:, 0, 0, 0]))
    return xp.reshape(y[0, :, ::k, ::k], (c.W.shape[0], c.across**2))


def apart(a: Array, b: Array) -> float:
    xp = namespace(a)
    return float(xp.max(xp.abs(xp.reshape(a, (-1,)) - xp.reshape(b, (-1,)))))


def stacked_patch_by_patch(c: Example) -> None:
    xp = namespace(c.W)
    y = componentwise(as_matrix(c.W), c.across**2) @ xp.reshape(patches(c), (-1,))
    gap = apart(y, without_overlap(c))
    require(gap <= 1e-9 * _size(c), {"|(W~ x I_m) vec - convolution|": gap, "m": c.across**2})


def rows_filter_by_filter(A: Array, m: int) -> Array:
    """The rows of A (m O, n), which are patch by patch, reordered filter by filter."""
    xp, rows, n = namespace(A), A.shape[0], A.shape[1]
    return xp.reshape(xp.permute_dims(xp.reshape(A, (m, rows // m, n)), (1, 0, 2)), (rows, n))


def stacked_in_either_right_order(c: Example) -> None:
    xp, m = namespace(c.W), c.across**2
    y = componentwise(as_matrix(c.W), m) @ xp.reshape(xp.matrix_transpose(patches(c)), (-1,))
    gap = apart(y, without_overlap(c))
    require(gap <= 1e-9 * _size(c), {"|(W~ x I_m) vec, component by component - convolution|": gap})
    y = rows_filter_by_filter(patchwise(as_matrix(c.W), m), m) @ xp.reshape(patches(c), (-1,))
    gap = apart(y, without_overlap(c))
    require(gap <= 1e-9 * _size(c), {"|P (I_m x W~) vec, patch by patch - convolution|": gap})


def rank_of_the_operator(c: Example) -> None:
    """Stride 1, as in both convolutions of the paper."""
    _, height, width = c.image.shape
    A = convolution_matrix(c.W, height, width)
    m = A.shape[0] // c.W.shape[0]
    small, large = float(effective_rank(as_matrix(c.W))), float(effective_rank(A))
    require(equal(m**0.5 * small, large, 1e-6), {"root m r(W~)": m**0.5 * small, "r(operator)": large, "m": m})


def is_the_toeplitz_matrix(c: Example) -> None:
    xp = namespace(c.W)
    _, height, width = c.image.shape
    y = convolution_matrix(c.W, height, width) @ xp.reshape(c.image, (-1,))
    gap = apart(y, conv2d(c.image[None, ...], c.W, xp.zeros_like(c.W[:, 0, 0, 0]))[0])
    require(gap <= 1e-9 * _size(c), {"|Toeplitz matrix times image - convolution|": gap})


def _size(c: Example) -> float:
    xp = namespace(c.W)
    return float(xp.max(xp.abs(c.W)) * xp.max(xp.abs(c.image))) * (c.W.shape[1] * c.W.shape[2] ** 2)


tensors = filters()

STATEMENTS = (
    Statement(
        "appendix-b-rank",
        "Appendix B",
        Claim("W = W~ x I_m (Kronecker) has the effective rank of W~", tensors, same_rank),
        Claim("its effective rank and sparsity are root m times those of W~; the rank divided by the root of the "
              "smaller dimension is the same", tensors, root_m_times_the_rank),
    ),
    Statement(
        "appendix-b-order",
        "Appendix B",
        Claim("W~ x I_m times the patches stacked one after the other is the output filter by filter", tensors,
              stacked_patch_by_patch),
        Claim("the matrix that does this is I_m x W~ with its rows permuted, from patch by patch to filter by filter; "
              "W~ x I_m needs the patches stacked component by component", tensors,
              stacked_in_either_right_order),
    ),
    Statement(
        "appendix-b-overlap",
        "Appendix B; Section 5",
        Claim("a convolution of stride 1, as in the paper's nets, has r(W) = root m r(W~) like such a product", tensors,
              rank_of_the_operator),
        Claim("its matrix is a sum of Kronecker products of filters and shifts, which is doubly block Toeplitz",
              tensors, is_the_toeplitz_matrix),
    ),
)  # fmt: skip
