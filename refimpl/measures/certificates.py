r"""How far a margin can move when inputs *and* weights do: a bound for dense nets of 1-Lipschitz activations.

Ours; the setting is that of Tsai, Hsu, Yu and Chen (2021, arXiv 2102.11935). `regularizers.margin_bound` has its
derivation, and makes a term of the loss of it.
"""

from jaxtyping import Bool, Float, Int

from ..backend import Array, Params, namespace
from ..errors import UsageError
from ..layers.loss import one_hot
from ..networks.base import Network
from ..parameters import depth
from ..regularizers.margin_bound import Radii, movements


def margin_bound(
    network: Network, params: Params, x: Float[Array, "batch n"], eps: float, eps_weights: Radii
) -> Float[Array, "batch classes classes"]:
    r"""$B_{ij}$ with $|M'_{ij} - M_{ij}| \le B_{ij}$, $M_{ij} = z_i - z_j$, for all perturbations within the radii.

    With $d$ of `movements`, $B_{ij} = |W^m_i - W^m_j|\,d^{m-1} + 2 \epsilon_m\,(\|t^{m-1}\|_1 + \|d^{m-1}\|_1)$.
    Where $B_{yj} < M_{yj}$ for all $j \ne y$ no perturbation changes the label.

    Raises `UsageError` as `movements` does, and for a network that does not say it is `certifiable`.
    """
    d, from_weights = movements(params, _outputs(network, params, x), eps, eps_weights)
    xp, W = namespace(x), params[f"W{len(d)}"]
    between = xp.abs(W[:, None, :] - W[None, :, :])
    return xp.sum(between * d[-1][:, None, None, :], axis=-1) + 2 * from_weights[-1][..., None]


def certified(
    network: Network,
    params: Params,
    x: Float[Array, "batch n"],
    y: Int[Array, "batch"],
    eps: float,
    eps_weights: Radii,
) -> Bool[Array, "batch"]:
    """Whether no perturbation within the radii gives an example a label other than y, up to rounding."""
    xp, t = namespace(x), _outputs(network, params, x)
    m = depth(params)
    z = t[-1] @ xp.matrix_transpose(params[f"W{m}"]) + params[f"b{m}"]
    label = one_hot(y, z.shape[-1], z.dtype)
    left = xp.sum(label * z, axis=-1, keepdims=True) - z - label_bound(params, t, y, eps, eps_weights)
    return xp.all((left > 0) | (label > 0), axis=-1)


def label_bound(
    params: Params, t: list[Float[Array, "batch _"]], y: Int[Array, "batch"], eps: float, eps_weights: Radii
) -> Float[Array, "batch classes"]:
    r"""$B_{yj}$ for the label y of each example, and 0 for j = y, whose margin is always 0; `t` as for `movements`.

    The cross-entropy is 1-Lipschitz in the margins, its gradient with respect to them being a part of a softmax; hence
    $|L' - L| \le \max_j B_{yj}$ for each example.
    """
    d, from_weights = movements(params, t, eps, eps_weights)
    xp, W = namespace(t[0]), params[f"W{len(d)}"]
    label = one_hot(y, W.shape[0], W.dtype)
    between = xp.abs((label @ W)[:, None, :] - W)
    return (1 - label) * (xp.sum(between * d[-1][:, None, :], axis=-1) + 2 * from_weights[-1])


def check_certifiable(network: Network) -> None:
    """Raise `UsageError` unless the network's layers are dense and followed by 1-Lipschitz activations."""
    if not network.certifiable:
        raise UsageError(
            f"the bound on the margins supports dense networks of 1-Lipschitz activations, and {network.name} is none:"
            " take fcnn"
        )


def _outputs(network: Network, params: Params, x: Float[Array, "batch n"]) -> list[Float[Array, "batch _"]]:
    check_certifiable(network)
    return [x, *network.hidden(params, x)]
