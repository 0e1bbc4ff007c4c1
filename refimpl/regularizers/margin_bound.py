r"""The loss with the bound of `certificates` in it.

$$L + \lambda\,\frac1B \sum_x \max_{j \ne y} B_{yj}(x) + \mu \sum_l (\|W^l\|_{row} + \|W^l\|_{column})$$

Ours, for the setting of Tsai, Hsu, Yu and Chen (2021, arXiv 2102.11935): what bounds every change of a margin also
bounds the loss under attack, for $\max_{x', W'} L \le L + \max_j B_{yj}$. Radii, lambda and mu are free.
"""

import math
from dataclasses import dataclass

from jaxtyping import Float, Int

from ..backend import Array, Params, namespace
from ..errors import UsageError
from ..layers.loss import one_hot
from ..measures.certificates import Radii, movements
from ..validation import check_budget
from .operator_norms import row_column


def mean_reach(
    params: Params, x: Float[Array, "batch n"], y: Int[Array, "batch"], eps: float, eps_weights: Radii
) -> tuple[Float[Array, ""], Params]:
    r"""$R = \frac1B \sum_x \max_{j \ne y} B_{yj}(x)$ and its gradients by all parameters of `fcnn`, by name.

    Forward, `certificates.movements`: $t^l = \tanh a^l$ with $a^l = W^l t^{l-1} + b^l$,
    $d^l = |W^l| d^{l-1} + \epsilon_l s^{l-1}$ with $s = \|t\|_1 + \|d\|_1$, and with the worst class j of each example
    $u = W^m_y - W^m_j$, $B_{yj} = |u|\,d^{m-1} + 2 \epsilon_m s^{m-1}$.

    Backward, from the top, where $D = e_y - e_j$:
    $dW^m = D^\top (\mathrm{sign}(u) \circ d^{m-1})$, $\;dd^{m-1} = |u| + 2 \epsilon_m$,
    $\;dt^{m-1} = 2 \epsilon_m\,\mathrm{sign}(t^{m-1})$; and down through each layer, two paths that meet in $W^l$,

    $$da = (1 - t^2) \circ dt^l, \qquad
    dW^l = \mathrm{sign}(W^l) \circ (dd^{l\top} d^{l-1}) + da^\top t^{l-1}, \qquad db^l = \textstyle\sum da,$$
    $$dd^{l-1} = dd^l\,|W^l| + \epsilon_l \textstyle\sum_i dd^l_i, \qquad
    dt^{l-1} = da\,W^l + \epsilon_l (\textstyle\sum_i dd^l_i)\,\mathrm{sign}(t^{l-1}).$$

    A subgradient: sign(0) = 0, and of equally bad classes the first. Raises `UsageError` as `margin_reach` does.
    """
    t, d, from_weights = movements(params, x, eps, eps_weights)
    xp, m = namespace(x), len(t)
    radii = {name: eps_weights if isinstance(eps_weights, float) else eps_weights.get(name, 0.0) for name in params}
    W = params[f"W{m}"]
    label = one_hot(y, W.shape[0], W.dtype)
    between = xp.abs((label @ W)[:, None, :] - W)
    worst = xp.argmax(xp.sum(between * d[-1][:, None, :], axis=-1), axis=-1)
    D = label - one_hot(worst, W.shape[0], W.dtype)
    u = D @ W
    value = xp.mean(xp.sum(xp.abs(u) * d[-1], axis=-1, keepdims=True) + 2 * from_weights[-1])

    share = 1 / x.shape[0]
    grads = {f"W{m}": share * (xp.matrix_transpose(D) @ (xp.sign(u) * d[-1])), f"b{m}": xp.zeros_like(params[f"b{m}"])}
    dd = share * (xp.abs(u) + 2 * radii[f"W{m}"])
    dt = (share * 2 * radii[f"W{m}"]) * xp.sign(t[-1])
    for i in range(m - 1, 0, -1):
        W = params[f"W{i}"]
        da = (1 - t[i] * t[i]) * dt
        from_d = xp.sign(W) * (xp.matrix_transpose(dd) @ d[i - 1])
        grads = {f"W{i}": from_d + xp.matrix_transpose(da) @ t[i - 1], f"b{i}": xp.sum(da, axis=0)} | grads
        if i > 1:  # nobody asks for the gradient by the inputs
            through = radii[f"W{i}"] * xp.sum(dd, axis=-1, keepdims=True)
            dt = da @ W + through * xp.sign(t[i - 1])
            dd = dd @ xp.abs(W) + through
    return value, grads


@dataclass(frozen=True)
class ReachTerm:
    r"""$\lambda R + \mu \sum_l (\|W^l\|_{row} + \|W^l\|_{column})$ as a term of the loss.

    `lam` and `mu`, and the radii of inputs and of all layers' weights. Raises `UsageError` for a number that is
    negative or not finite.
    """

    lam: float
    eps: float
    eps_weights: float
    mu: float = 0.0

    def __post_init__(self) -> None:
        check_budget(self.eps)
        for what, number in (
            ("lambda of the margin reach", self.lam),
            ("eps of the weights in the margin reach", self.eps_weights),
            ("factor of the row and column sums", self.mu),
        ):
            if not (math.isfinite(number) and number >= 0):
                raise UsageError(f"the {what} must be finite and at least 0, got {number}")

    def terms(self, params: Params, x: Float[Array, "batch n"], y: Int[Array, "batch"]) -> dict[str, Array]:
        """The value of each part in use, its factor included, left on the device."""
        found: dict[str, Array] = {}
        if self.lam:
            found["margin_reach"] = self.lam * mean_reach(params, x, y, self.eps, self.eps_weights)[0]
        if self.mu:
            found["row_column"] = self.mu * sum(row_column(W)[0] for W in _weights(params).values())
        return found

    def gradients(self, params: Params, x: Float[Array, "batch n"], y: Int[Array, "batch"]) -> list[tuple[str, Array]]:
        """The gradient of each part by the parameters it acts on; a name may occur more than once."""
        found: list[tuple[str, Array]] = []
        if self.lam:
            _, grads = mean_reach(params, x, y, self.eps, self.eps_weights)
            found += [(name, self.lam * gradient) for name, gradient in grads.items()]
        if self.mu:
            found += [(name, self.mu * row_column(W)[1]) for name, W in _weights(params).items()]
        return found


def _weights(params: Params) -> Params:
    return {name: W for name, W in params.items() if name.startswith("W")}
