r"""How far a margin can move when inputs *and* weights do: a bound for every net of 1-Lipschitz activations.

Ours; the setting is that of Tsai, Hsu, Yu and Chen (2021, arXiv 2102.11935). `reach` makes a loss of it.
"""

from collections.abc import Mapping

from jaxtyping import Bool, Float, Int

from ..backend import Array, Params, namespace
from ..errors import UsageError
from ..layers.loss import one_hot
from ..networks.fcnn import hidden
from ..validation import check_budget, check_radii

Radii = float | Mapping[str, float]


def margin_reach(
    params: Params, x: Float[Array, "batch n"], eps: float, eps_weights: Radii
) -> Float[Array, "batch classes classes"]:
    r"""$B_{ij}$ with $|M'_{ij} - M_{ij}| \le B_{ij}$, $M_{ij} = z_i - z_j$, for the net `fcnn`.

    For all $\|x' - x\|_\infty \le \epsilon$ and all $|W'^l - W^l| \le \epsilon_l$ entry by entry: `eps_weights`, one
    number or by the layer's name, layers without one unperturbed. A vector $d^l$ bounds how far each unit moves:
    $d^0 = \epsilon$,

    $$d^l = |W^l|\,d^{l-1} + \epsilon_l\,(\|t^{l-1}\|_1 + \|d^{l-1}\|_1),$$

    for $W't' - Wt = W'(t' - t) + (W' - W)t$ and tanh is 1-Lipschitz; and at the end
    $B_{ij} = |W^m_i - W^m_j|\,d^{m-1} + 2 \epsilon_m\,(\|t^{m-1}\|_1 + \|d^{m-1}\|_1)$.

    Where $B_{yj} < M_{yj}$ for all $j \ne y$ no perturbation changes the label.

    Raises `UsageError` for a radius that is negative or not finite, for a layer the net does not have, and for a net
    of other than dense layers.
    """
    _, d, radii = movements(params, x, eps, eps_weights)
    xp, W = namespace(x), params[f"W{len(d)}"]
    between = xp.abs(W[:, None, :] - W[None, :, :])
    return xp.sum(between * d[-1][:, None, None, :], axis=-1) + 2 * radii[-1][..., None]


def label_reach(
    params: Params, x: Float[Array, "batch n"], y: Int[Array, "batch"], eps: float, eps_weights: Radii
) -> Float[Array, "batch classes"]:
    r"""$B_{yj}$ of `margin_reach` for the label y of each example, and 0 for j = y, whose margin is always 0.

    The cross-entropy is 1-Lipschitz in the margins, its gradient by them being a part of a softmax; hence
    $|L' - L| \le \max_j B_{yj}$ for each example.
    """
    _, d, last = movements(params, x, eps, eps_weights)
    xp, W = namespace(x), params[f"W{len(d)}"]
    label = one_hot(y, W.shape[0], W.dtype)
    between = xp.abs((label @ W)[:, None, :] - W)
    return (1 - label) * (xp.sum(between * d[-1][:, None, :], axis=-1) + 2 * last[-1])


def certified(
    params: Params, x: Float[Array, "batch n"], y: Int[Array, "batch"], eps: float, eps_weights: Radii
) -> Bool[Array, "batch"]:
    """Whether no perturbation within the radii gives an example a label other than y, up to rounding."""
    xp = namespace(x)
    *_, t = [x, *hidden(params, x)]
    m = len(params) // 2
    z = t @ xp.matrix_transpose(params[f"W{m}"]) + params[f"b{m}"]
    label = one_hot(y, z.shape[-1], z.dtype)
    left = xp.sum(label * z, axis=-1, keepdims=True) - z - label_reach(params, x, y, eps, eps_weights)
    return xp.all((left > 0) | (label > 0), axis=-1)


def movements(
    params: Params, x: Float[Array, "batch n"], eps: float, eps_weights: Radii
) -> tuple[list[Float[Array, "batch units"]], list[Float[Array, "batch units"]], list[Float[Array, "batch 1"]]]:
    r"""$t^0, ..., t^{m-1}$; $d^0, ..., d^{m-1}$; and $\epsilon_l (\|t^{l-1}\|_1 + \|d^{l-1}\|_1)$ of each layer l."""
    check_budget(eps)
    check_dense(params)
    radii = check_radii(eps_weights, params)
    xp = namespace(x)
    t, d, from_weights = [x, *hidden(params, x)], [xp.full_like(x, eps)], []
    for i, below in enumerate(t, start=1):
        from_weights.append(radii.get(f"W{i}", 0.0) * xp.sum(xp.abs(below) + d[-1], axis=-1, keepdims=True))
        if i < len(t):
            d.append(d[-1] @ xp.matrix_transpose(xp.abs(params[f"W{i}"])) + from_weights[-1])
    return t, d, from_weights


def check_dense(params: Params) -> None:
    """Raise `UsageError` unless all layers are dense: the bound follows `fcnn` layer by layer."""
    for name, p in params.items():
        if name.startswith("W") and len(p.shape) != 2:
            raise UsageError(f"the bound of the margins is for dense layers, and {name} is a convolution: take fcnn")
