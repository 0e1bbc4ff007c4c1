r"""The primitives of the fully connected net, each with its derivation: value and `Pullback`."""

from typing import Any

from jaxtyping import Float, Integer

from .backend import Array, namespace
from .tape import Pullback


def affine(
    x: Float[Array, "*models batch n"], W: Float[Array, "*models m n"], b: Float[Array, "*models m"]
) -> tuple[Float[Array, "*models batch m"], Pullback]:
    r"""$y = x W^\top + b$, one row an example: $W^i t^{i-1}$ of Eq. (1), and the bias the paper leaves out.

    $y_{ij} = \sum_k W_{jk} x_{ik} + b_j$, hence
    $dx_{ik} = \sum_j dy_{ij} W_{jk}$, $\;dW_{jk} = \sum_i dy_{ij} x_{ik}$, $\;db_j = \sum_i dy_{ij}$.
    """
    xp = namespace(x)
    y = x @ xp.matrix_transpose(W) + b[..., None, :]
    return y, Pullback(
        x=lambda dy: dy @ W,  # dx = dy W
        params=lambda dy: (
            xp.matrix_transpose(dy) @ x,  # dW = dyᵀ x
            xp.sum(dy, axis=-2),  # db = Σ_batch dy
        ),
    )


def tanh(x: Float[Array, "..."]) -> tuple[Float[Array, "..."], Pullback]:
    r"""$y = \tanh x$. Since $\tanh' = 1 - \tanh^2$, the output is all that has to be kept: $dx = (1 - y^2)\,dy$."""
    y = namespace(x).tanh(x)
    return y, Pullback(x=lambda dy: dy * (1 - y * y))


def scale(images: Integer[Array, "batch height width"], dtype: Any) -> Float[Array, "batch n"]:
    """Grey levels 0..255 as rows of pixels in [0, 1], the unit in which eps is given."""
    xp = namespace(images)
    return xp.reshape(xp.astype(images, dtype), (images.shape[0], -1)) / 255
