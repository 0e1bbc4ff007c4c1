"""Attacks on the weights, alone or with the inputs, as data: what evaluation and training are told."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from jaxtyping import Float, Int

from ..backend import Array, Params, namespace
from ..errors import UsageError
from ..networks.gradients import Network, loss_gradient, weight_gradients
from ..validation import check_budget, check_radii, check_steps
from . import joint
from .ball import Box
from .input_weight import MODES

STEPS = 20
"""PGD's in the paper, each a tenth of a radius."""


@dataclass(frozen=True, kw_only=True)
class JointAttack:
    """Perturbed inputs, each its own, and perturbed weights, the same for all inputs; biases are not perturbed.

    `eps` in units of pixels in [0, 1], `eps_weights` in units of weights: one radius for all layers, or by name,
    `{"W1": 0.01}`. With `eps` 0 an attack on the weights alone, with `eps_weights` 0 PGD. Raises `UsageError` for
    settings that mean nothing; for layers the net does not have, `radii` does.
    """

    eps: float = 0.05
    eps_weights: float | Mapping[str, float] = 0.01
    mode: str = "simultaneous"
    steps: int = STEPS
    clip: Box | None = None

    def __post_init__(self) -> None:
        check_budget(self.eps)
        check_steps(self.steps)
        for name, radius in self._named.items():
            if not (math.isfinite(radius) and radius >= 0):
                raise UsageError(f"eps of the weights{name} must be finite and at least 0, got {radius}")
        if self.mode not in MODES:
            raise UsageError(f"unknown mode {self.mode!r}: choose one of {', '.join(MODES)}")

    @property
    def name(self) -> str:
        return "joint"

    @property
    def _named(self) -> dict[str, float]:
        if isinstance(self.eps_weights, Mapping):
            return {f" {layer}": radius for layer, radius in self.eps_weights.items()}
        return {"": self.eps_weights}

    def __str__(self) -> str:
        """A name for files: the radii, and every setting that is not the default."""
        weights = "".join(f"-weights{name.replace(' ', '-')}-{radius!r}" for name, radius in self._named.items())
        mode = "" if self.mode == MODES[0] else f"-{self.mode}"
        steps = "" if self.steps == STEPS else f"-steps{self.steps}"
        return f"joint-eps{self.eps!r}{weights}{mode}{steps}" + ("-clip" if self.clip else "")

    def radii(self, params: Params) -> dict[str, float]:
        """The radius of each layer that has one. Raises `UsageError` where `params` has no such layer."""
        return check_radii(self.eps_weights, params)

    def perturb(
        self,
        network: Network,
        params: Params,
        x: Float[Array, "examples n"],
        y: Int[Array, "examples"],
        chunk: int = 256,
    ) -> tuple[Float[Array, "examples n"], Params]:
        """All examples attacked at once, for they share the weights; `params` stay as they are.

        The gradient by the weights is that of the mean loss over all examples, summed over chunks of `chunk`, so that
        the activations of no more are in memory.
        """
        parts = [slice(i, min(i + chunk, y.shape[0])) for i in range(0, y.shape[0], chunk)]
        xp = namespace(x)

        def by_inputs(x: Array, params: Params) -> Array:
            return xp.concat([loss_gradient(network, params, y[part])(x[part, ...]) for part in parts])

        def by_weights(x: Array, params: Params) -> Params:
            return _mean(lambda part: weight_gradients(network, params, x[part, ...], y[part]), parts)

        return joint(
            by_inputs, by_weights, x, params, eps=self.eps, eps_weights=self.radii(params), steps=self.steps,
            mode=self.mode, clip=self.clip,
        )  # fmt: skip


def _mean(gradients: Callable[[slice], Params], parts: list[slice]) -> Params:
    """The mean over all examples of gradients that are means over each part."""
    total: Params = {}
    for part in parts:
        share = (part.stop - part.start) / parts[-1].stop
        for name, gradient in gradients(part).items():
            total[name] = total[name] + share * gradient if name in total else share * gradient
    return total
