from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float, Int

from ..backend import Array, Params, chunks, namespace
from ..settings import setting
from ..validation import check_attacked, check_radii
from .ball import bounds
from .base import ATTACKS, WeightAttack, WeightTarget
from .sign_step import sign_step

MODES = ("simultaneous", "alternating")
CROSSING = 10
"""Steps that it takes to cross a radius."""

Radii = float | dict[str, float]
"""One for all layers, or by the layer's name, those without a name unperturbed."""


@ATTACKS.register("input-weight")
@dataclass(frozen=True, kw_only=True)
class InputWeight(WeightAttack):
    """`input_weight` with its budget: perturbed inputs, each its own, and perturbed weights, the same for all inputs.

    With `eps` 0 an attack on the weights alone, with `eps_weights` 0 PGD. Biases are not perturbed.
    """

    name: ClassVar[str] = "input-weight"

    eps_weights: Radii = setting(
        0.01, "How much each weight may change: one radius for all layers, or by layer.", unit="weights", at_least=0
    )
    mode: str = setting(
        MODES[0], "Both gradients at one point, or the weights' where the inputs have moved.", choices=MODES
    )
    steps: int = setting(20, "Number of steps.", at_least=1)

    def __str__(self) -> str:
        """A name for files: the radii, and every setting that is not the default."""
        named = self.eps_weights if isinstance(self.eps_weights, dict) else {"": self.eps_weights}
        weights = "".join(f"-weights{layer and f'-{layer}'}-{radius!r}" for layer, radius in named.items())
        mode = "" if self.mode == MODES[0] else f"-{self.mode}"
        steps = "" if self.steps == InputWeight.steps else f"-steps{self.steps}"
        return f"{self.name}-eps{self.eps!r}{weights}{mode}{steps}" + ("-clip" if self.clip else "")

    def radii(self, params: Params) -> dict[str, float]:
        """The radius of each layer that has one. Raises `UsageError` where `params` has no such layer."""
        return check_radii(self.eps_weights, params)

    def perturb_all(
        self,
        at: Callable[[Params], WeightTarget],
        params: Params,
        x: Float[Array, "examples *shape"],
        y: Int[Array, "examples"],
        chunk: int | None = None,
    ) -> tuple[Float[Array, "examples *shape"], Params]:
        """All examples attacked at once, for they share the weights; `params` stay as they are.

        The gradient with respect to the weights is that of the mean loss over all examples, summed over chunks of
        `chunk`, so that the activations of no more are in memory; None takes as many as suit the device. `at` maps
        parameters to the gradients there.
        """
        size = chunk or chunks(x).attacked(params)
        parts = [slice(i, min(i + size, y.shape[0])) for i in range(0, y.shape[0], size)]

        def by_inputs(x: Array, params: Params) -> Array:
            return namespace(x).concat([at(params).loss(y[part])(x[part, ...]) for part in parts])

        def by_weights(x: Array, params: Params) -> Params:
            return _mean(lambda part: at(params).weights(x[part, ...], y[part])[1], parts)

        return input_weight(by_inputs, by_weights, x, params, self)


def input_weight(
    by_inputs: Callable[[Array, Params], Array],
    by_weights: Callable[[Array, Params], Params],
    x: Float[Array, "batch *shape"],
    params: Params,
    budget: InputWeight,
) -> tuple[Float[Array, "batch *shape"], Params]:
    r"""Sign steps on the inputs, each its own, and on the weights, one perturbation for all inputs.

    The threat is that of Tsai, Hsu, Yu and Chen (2021, arXiv 2102.11935), $\|x' - x\|_\infty \le \epsilon$ and
    $|W'^l - W^l| \le \epsilon_l$ entry by entry; the steps, like PGD's, and the two modes are ours:

    $$x \leftarrow \Pi\left(x + \tfrac{\epsilon}{10}\,\mathrm{sign}(\nabla_x L)\right), \qquad
    W^l \leftarrow \Pi\left(W^l + \tfrac{\epsilon_l}{10}\,\mathrm{sign}(\nabla_{W^l} L)\right).$$

    The mode `simultaneous` takes both gradients at the same point, `alternating` the weights' where the inputs have
    already moved. `by_inputs` and `by_weights` map (x, params) to the gradients with respect to x and, by name, to the
    weights; biases and layers without a radius stay as they are. Nothing is changed in place: the inputs and the
    parameters found are new arrays, or the given ones. Raises `UsageError` for a layer the net does not have.
    """
    check_attacked(x, budget.eps)
    radii = budget.radii(params)
    lower, upper = bounds(x, budget.eps, budget.clip)
    boxes = {name: bounds(params[name], radius) for name, radius in radii.items() if radius}
    x_adv, moved = x, params
    for _ in range(budget.steps):
        before = x_adv
        if budget.eps:
            x_adv = sign_step(x_adv, by_inputs(x_adv, moved), budget.eps / CROSSING, lower, upper)
        if boxes:
            grads = by_weights(before if budget.mode == "simultaneous" else x_adv, moved)
            moved = moved | {
                name: sign_step(moved[name], grads[name], radii[name] / CROSSING, *box) for name, box in boxes.items()
            }
    return x_adv, moved


def _mean(gradients: Callable[[slice], Params], parts: list[slice]) -> Params:
    """The mean over all examples of gradients that are means over each part."""
    total: Params = {}
    for part in parts:
        fraction = (part.stop - part.start) / parts[-1].stop
        for name, gradient in gradients(part).items():
            total[name] = total[name] + fraction * gradient if name in total else fraction * gradient
    return total
