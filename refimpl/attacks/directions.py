"""Directions of length one."""

from jaxtyping import Float

from ..backend import Array, namespace


def unit(g: Float[Array, "batch ..."]) -> Float[Array, "batch ..."]:
    r"""Each example divided by its $\ell_2$ norm over all axes but the first; zero stays zero."""
    xp = namespace(g)
    flat = xp.reshape(g, (g.shape[0], -1))
    flat = flat / _positive(xp.max(xp.abs(flat), axis=-1, keepdims=True))  # so that no square underflows
    return xp.reshape(flat / _positive(length(flat)), g.shape)


def length(g: Float[Array, "batch n"]) -> Float[Array, "batch 1"]:
    xp = namespace(g)
    return xp.sqrt(xp.sum(g * g, axis=-1, keepdims=True))


def _positive(x: Float[Array, "..."]) -> Float[Array, "..."]:
    xp = namespace(x)
    return xp.where(x > 0, x, xp.ones_like(x))
