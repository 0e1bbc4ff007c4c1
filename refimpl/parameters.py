"""The names of parameters: layer i has the weight `W{i}` and the bias `b{i}`, i = 1, 2, ...

The only file that reads a name; the order of a dictionary means nothing.
"""

from collections.abc import Sequence

from jaxtyping import Float, Int

from .backend import Array, Params, namespace
from .errors import UsageError


def number(name: str) -> int:
    """The layer that a parameter belongs to: 12 for `W12`."""
    return int(name[1:])


def is_weight(name: str) -> bool:
    return name.startswith("W")


def names_layer(name: str) -> bool:
    """Whether it is the name of some layer's weight, `W1`, `W2`, ..."""
    return is_weight(name) and name[1:].isdecimal()


def weights(params: Params) -> Params:
    """The weights by name, from the first layer to the last."""
    return {name: params[name] for name in sorted(filter(is_weight, params), key=number)}


def cores(params: Params) -> Params:
    """What holds the singular values of each layer, by name: the weight, or the S of one in factors."""
    return {name: params[name] for name in sorted(params, key=number) if name[0] in "WS"}


def depth(params: Params) -> int:
    """The number of layers: each has one bias."""
    return sum(name.startswith("b") for name in params)


def n_classes(params: Params) -> int:
    """The number of logits."""
    return int(params[f"b{depth(params)}"].shape[-1])


def has_convolutions(params: Params) -> bool:
    """Whether some weight is that of a convolution, which uses it at many places."""
    return any(len(p.shape) == 4 for p in params.values())


def in_order(params: Params) -> Params:
    """`W1 b1 W2 b2 ...`, whatever the order was. Raises `UsageError` where one is missing or there are others."""
    layers = range(1, depth(params) + 1)
    names = [f"{kind}{i}" for i in layers for kind in "Wb"]
    if set(names) != set(params) or not names:
        raise UsageError(f"expected parameters W1, b1, W2, b2, ..., got {', '.join(params) or 'none'}")
    return {name: params[name] for name in names}


def as_matrix(W: Float[Array, "..."]) -> Float[Array, "*models m n"]:
    r"""The one matrix that a layer's weight is to the paper, $\tilde W$ of Appendix B.

    The filters (O, C, k, k) of a convolution as rows (O, C k k); a matrix, and a stack of them, as it is.
    """
    return namespace(W).reshape(W, (W.shape[0], -1)) if len(W.shape) == 4 else W


def stacked(models: Sequence[Params]) -> Params:
    """The parameters of several models of one architecture, each array with the models along a new first axis."""
    return {name: namespace(p).stack([params[name] for params in models]) for name, p in models[0].items()}


def n_models(params: Params) -> tuple[int, ...]:
    """The axis of the models, `(M,)` of a stack of M, `()` of one model."""
    return tuple(params["b1"].shape[:-1])


def for_models(x: Float[Array, "..."] | Int[Array, "..."], params: Params) -> Array:
    """What the models of a stack share, once for each without a copy; x itself for one model."""
    models = n_models(params)
    return namespace(x).broadcast_to(x, (*models, *x.shape)) if models else x


def of_model(params: Params, model: int) -> Params:
    """The parameters of one model of a stack."""
    return {name: p[model, ...] for name, p in params.items()}
