"""The one matrix that a layer's weight is to the paper, dense or convolutional."""

from jaxtyping import Float

from .backend import Array, namespace


def as_matrix(W: Float[Array, "m *rest"]) -> Float[Array, "m n"]:
    r"""$\tilde W$ (Appendix B): the filters (O, C, k, k) of a convolution as rows (O, C k k); a matrix as it is."""
    return namespace(W).reshape(W, (W.shape[0], -1))
