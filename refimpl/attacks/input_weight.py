from collections.abc import Callable, Mapping

from jaxtyping import Float

from ..backend import Array, Params
from ..errors import UsageError
from ..validation import check_budget, check_radii, check_steps
from .ball import Box, ascend, bounds

MODES = ("simultaneous", "alternating")


def joint(
    by_inputs: Callable[[Array, Params], Array],
    by_weights: Callable[[Array, Params], Params],
    x: Float[Array, "batch n"],
    params: Params,
    *,
    eps: float,
    eps_weights: Mapping[str, float],
    steps: int,
    paces: float = 10.0,
    mode: str = "simultaneous",
    clip: Box | None = None,
) -> tuple[Float[Array, "batch n"], Params]:
    r"""Sign steps on the inputs, each its own, and on the weights, one perturbation for all inputs.

    The threat is that of Tsai, Hsu, Yu and Chen (2021, arXiv 2102.11935), $\|x' - x\|_\infty \le \epsilon$ and
    $|W'^l - W^l| \le \epsilon_l$ entry by entry; the steps, like PGD's, and the two modes are ours:

    $$x \leftarrow \Pi\left(x + \tfrac{\epsilon}{p}\,\mathrm{sign}(\nabla_x L)\right), \qquad
    W^l \leftarrow \Pi\left(W^l + \tfrac{\epsilon_l}{p}\,\mathrm{sign}(\nabla_{W^l} L)\right)$$

    with $p$, `paces`, the steps it takes to cross a radius. `simultaneous` takes both gradients at the same point,
    `alternating` the weights' where the inputs have already moved. `by_inputs` and `by_weights` map (x, params) to
    the gradients by x and, by name, by what `eps_weights` names; biases and layers without a radius stay as they
    are. Nothing is changed in place: the inputs and the parameters found are new arrays, or the given ones.

    Raises `UsageError` for a radius, a mode, a name or a number of steps that makes no sense.
    """
    check_budget(eps)
    check_steps(steps)
    radii = check_radii(eps_weights, params)
    if mode not in MODES:
        raise UsageError(f"unknown mode {mode!r}: choose one of {', '.join(MODES)}")
    lower, upper = bounds(x, eps, clip)
    boxes = {name: bounds(params[name], radius) for name, radius in radii.items() if radius}
    x_adv, moved = x, params
    for _ in range(steps):
        at = x_adv
        if eps:
            x_adv = ascend(x_adv, by_inputs(x_adv, moved), eps / paces, lower, upper)
        if boxes:
            grads = by_weights(at if mode == "simultaneous" else x_adv, moved)
            moved = moved | {
                name: ascend(moved[name], grads[name], radii[name] / paces, *box) for name, box in boxes.items()
            }
    return x_adv, moved
