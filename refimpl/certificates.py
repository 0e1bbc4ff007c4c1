r"""How far a margin can move when inputs *and* weights do: a bound for every net of 1-Lipschitz activations.

Ours; the setting is that of Tsai, Hsu, Yu and Chen (2021, arXiv 2102.11935).
"""

from collections.abc import Mapping

from jaxtyping import Float

from .attacks.checks import check_budget
from .backend import Array, Params, namespace
from .fcnn import hidden


def margin_reach(
    params: Params, x: Float[Array, "batch n"], eps: float, eps_weights: Mapping[str, float]
) -> Float[Array, "batch classes classes"]:
    r"""$B_{ij}$ with $|M'_{ij} - M_{ij}| \le B_{ij}$, $M_{ij} = z_i - z_j$, for the net `fcnn`.

    For all $\|x' - x\|_\infty \le \epsilon$ and all $|W'^l - W^l| \le \epsilon_l$ entry by entry, `eps_weights` by
    the layer's name, layers without one unperturbed. A vector $d^l$ bounds how far each unit moves: $d^0 = \epsilon$,

    $$d^l = |W^l|\,d^{l-1} + \epsilon_l\,(\|t^{l-1}\|_1 + \|d^{l-1}\|_1),$$

    for $W't' - Wt = W'(t' - t) + (W' - W)t$ and tanh is 1-Lipschitz; and at the end
    $B_{ij} = |W^m_i - W^m_j|\,d^{m-1} + 2 \epsilon_m\,(\|t^{m-1}\|_1 + \|d^{m-1}\|_1)$.

    Where $B_{yj} < M_{yj}$ for all $j \ne y$ no perturbation changes the label.

    Raises `UsageError` for a radius that is negative or not finite.
    """
    for radius in (eps, *eps_weights.values()):
        check_budget(radius)
    xp = namespace(x)
    *below, t_last = [x, *hidden(params, x)]

    def moved(i: int, t: Float[Array, "batch units"], d: Float[Array, "batch units"]) -> Float[Array, "batch 1"]:
        return eps_weights.get(f"W{i}", 0.0) * xp.sum(xp.abs(t) + d, axis=-1, keepdims=True)

    d = xp.full_like(x, eps)
    for i, t in enumerate(below, start=1):
        d = d @ xp.matrix_transpose(xp.abs(params[f"W{i}"])) + moved(i, t, d)
    m = len(params) // 2
    W = params[f"W{m}"]
    between = xp.abs(W[:, None, :] - W[None, :, :])
    return xp.sum(between * d[:, None, None, :], axis=-1) + 2 * moved(m, t_last, d)[..., None]
