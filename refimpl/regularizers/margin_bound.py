r"""The bound on how far margins can move, as a term of the loss.

$$L + \lambda\,\frac1B \sum_x \max_{j \ne y} B_{yj}(x)$$

Ours, for the setting of Tsai, Hsu, Yu and Chen (2021, arXiv 2102.11935): what bounds every change of a margin also
bounds the loss under attack, for $\max_{x', W'} L \le L + \max_j B_{yj}$. Radii and lambda are free.
`measures.certificates` certifies labels with the same bound.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float, Int

from ..backend import Array, Params, namespace
from ..errors import UsageError
from ..layers.loss import one_hot
from ..networks.base import Network
from ..networks.fcnn import FCNN, hidden
from ..parameters import weights
from ..settings import setting
from ..validation import check_budget, check_radii
from .base import REGULARIZERS, Batch, Regularizer

Radii = float | Mapping[str, float]
"""Of all layers, or by the layer's name, those without one unperturbed."""


def movements(
    params: Params, t: Sequence[Float[Array, "batch _"]], eps: float, eps_weights: Radii
) -> tuple[list[Float[Array, "batch _"]], list[Float[Array, "batch 1"]]]:
    r"""How far each unit can move: $d^0, ..., d^{m-1}$, and $\epsilon_l (\|t^{l-1}\|_1 + \|d^{l-1}\|_1)$ of each layer.

    `t` holds the inputs and the outputs of the hidden layers of a net of dense layers and 1-Lipschitz activations. For
    all $\|x' - x\|_\infty \le \epsilon$ and all $|W'^l - W^l| \le \epsilon_l$ entry by entry: $d^0 = \epsilon$,

    $$d^l = |W^l|\,d^{l-1} + \epsilon_l\,(\|t^{l-1}\|_1 + \|d^{l-1}\|_1),$$

    for $W't' - Wt = W'(t' - t) + (W' - W)t$. Raises `UsageError` for a radius that is negative or not finite, for a
    layer the net does not have, and for a net of other than dense layers.
    """
    check_budget(eps)
    check_dense(params)
    radii = check_radii(eps_weights, params)
    xp = namespace(t[0])
    d, from_weights = [xp.full_like(t[0], eps)], []
    for i, below in enumerate(t, start=1):
        from_weights.append(radii.get(f"W{i}", 0.0) * xp.sum(xp.abs(below) + d[-1], axis=-1, keepdims=True))
        if i < len(t):
            d.append(d[-1] @ xp.matrix_transpose(xp.abs(params[f"W{i}"])) + from_weights[-1])
    return d, from_weights


def check_dense(params: Params) -> None:
    """Raise `UsageError` unless all layers are dense: the bound follows the net layer by layer."""
    for name, W in weights(params).items():
        if len(W.shape) != 2:
            raise UsageError(f"the bound on the margins supports dense networks only, and {name} is a convolution")


def mean_margin_bound(
    params: Params, x: Float[Array, "batch n"], y: Int[Array, "batch"], eps: float, eps_weights: Radii
) -> tuple[Float[Array, ""], Params]:
    r"""$R = \frac1B \sum_x \max_{j \ne y} B_{yj}(x)$ and its gradient with respect to all parameters of `fcnn`.

    Forward, `movements`: $t^l = \tanh a^l$ with $a^l = W^l t^{l-1} + b^l$,
    $d^l = |W^l| d^{l-1} + \epsilon_l s^{l-1}$ with $s = \|t\|_1 + \|d\|_1$, and with the worst class j of each example
    $u = W^m_y - W^m_j$, $B_{yj} = |u|\,d^{m-1} + 2 \epsilon_m s^{m-1}$.

    Backward, from the top, where $D = e_y - e_j$:
    $dW^m = D^\top (\mathrm{sign}(u) \circ d^{m-1})$, $\;dd^{m-1} = |u| + 2 \epsilon_m$,
    $\;dt^{m-1} = 2 \epsilon_m\,\mathrm{sign}(t^{m-1})$; and down through each layer, two paths that meet in $W^l$,

    $$da = (1 - t^2) \circ dt^l, \qquad
    dW^l = \mathrm{sign}(W^l) \circ (dd^{l\top} d^{l-1}) + da^\top t^{l-1}, \qquad db^l = \textstyle\sum da,$$
    $$dd^{l-1} = dd^l\,|W^l| + \epsilon_l \textstyle\sum_i dd^l_i, \qquad
    dt^{l-1} = da\,W^l + \epsilon_l (\textstyle\sum_i dd^l_i)\,\mathrm{sign}(t^{l-1}).$$

    A subgradient: sign(0) = 0, and of equally bad classes the first. Raises `UsageError` as `movements` does.
    """
    t = [x, *hidden(params, x)]
    d, from_weights = movements(params, t, eps, eps_weights)
    xp, m = namespace(x), len(t)
    radii = dict.fromkeys(weights(params), 0.0) | check_radii(eps_weights, params)
    W = params[f"W{m}"]
    label = one_hot(y, W.shape[0], W.dtype)
    between = xp.abs((label @ W)[:, None, :] - W)
    worst = xp.argmax(xp.sum(between * d[-1][:, None, :], axis=-1), axis=-1)
    D = label - one_hot(worst, W.shape[0], W.dtype)
    u = D @ W
    value = xp.mean(xp.sum(xp.abs(u) * d[-1], axis=-1, keepdims=True) + 2 * from_weights[-1])

    scale = 1 / x.shape[0]
    grads = {f"W{m}": scale * (xp.matrix_transpose(D) @ (xp.sign(u) * d[-1])), f"b{m}": xp.zeros_like(params[f"b{m}"])}
    dd = scale * (xp.abs(u) + 2 * radii[f"W{m}"])
    dt = (scale * 2 * radii[f"W{m}"]) * xp.sign(t[-1])
    for i in range(m - 1, 0, -1):
        W = params[f"W{i}"]
        da = (1 - t[i] * t[i]) * dt
        from_d = xp.sign(W) * (xp.matrix_transpose(dd) @ d[i - 1])
        grads = {f"W{i}": from_d + xp.matrix_transpose(da) @ t[i - 1], f"b{i}": xp.sum(da, axis=0)} | grads
        if i > 1:  # the gradient with respect to the inputs is not needed
            through = radii[f"W{i}"] * xp.sum(dd, axis=-1, keepdims=True)
            dt = da @ W + through * xp.sign(t[i - 1])
            dd = dd @ xp.abs(W) + through
    return value, grads


@REGULARIZERS.register("margin-bound")
@dataclass(frozen=True)
class MarginBound(Regularizer):
    r"""$\lambda\,\frac1B \sum_x \max_{j \ne y} B_{yj}(x)$, for `fcnn`."""

    name: ClassVar[str] = "margin-bound"
    of_weights: ClassVar[bool] = False

    lam: float = setting(
        0.0,
        "lambda of the largest distance that a margin can move within the radii; fcnn.",
        usual="no term",
        at_least=0,
    )
    eps: float = setting(0.05, "Radius of the inputs.", unit="pixels in [0, 1]", at_least=0)
    eps_weights: float = setting(0.0, "Radius of the weights.", unit="weights", at_least=0)

    def check(self, network: Network) -> None:
        if type(network) is not FCNN:
            raise UsageError(
                f"the term margin-bound is derived for fcnn, whose activation is tanh, not for {network.name}"
            )

    def value_and_grad(self, params: Params, batch: Batch) -> tuple[Array, Params]:
        value, grads = mean_margin_bound(params, batch.x, batch.y, self.eps, self.eps_weights)
        return self.lam * value, {name: self.lam * gradient for name, gradient in grads.items()}
