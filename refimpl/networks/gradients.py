r"""Gradients of a network by the tape: with respect to its input, for attacks, and to its weights."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from jaxtyping import Float, Int

from ..backend import Array, Params, namespace
from ..layers.images import Shape, square
from ..layers.loss import Loss, LossAt, cross_entropy, least_margin, margin_directions, margins
from ..tape import Tape, gradients, input_gradient


@runtime_checkable
class Forward(Protocol):
    """Whatever computes logits: a `Network`, or the module `fcnn`."""

    def forward(self, params: Params, x: Array) -> tuple[Array, Tape]: ...


@dataclass(frozen=True)
class Gradients:
    """The gradients of `network` at `params`, one definition for every network on every backend.

    A faster twin overrides them (`refimpl.fast`) and is held equal by tests.
    """

    network: Forward
    params: Params

    def logits(self, x: Float[Array, "*models batch n"]) -> Float[Array, "*models batch classes"]:
        """The forward pass alone."""
        return self.network.forward(self.params, x)[0]

    def loss(self, y: Int[Array, "*models batch"]) -> Callable[[Array], Array]:
        """x -> gradient with respect to x of the cross-entropy, summed over the batch, so that none is scaled by it."""

        def gradient(x: Float[Array, "*models batch n"]) -> Float[Array, "*models batch n"]:
            logits, tape = self.network.forward(self.params, x)
            _, pull = cross_entropy(logits, y)
            return input_gradient(tape, pull.x(float(x.shape[-2])))

        return gradient

    def value_and_grad(self, loss: Loss, *labels: Int[Array, "batch"]) -> Callable[[Array], LossAt]:
        """x -> any loss of the logits, each example's by itself, its gradient with respect to x, and the logits."""

        def at(x: Float[Array, "batch n"]) -> LossAt:
            logits, tape = self.network.forward(self.params, x)
            value, dlogits = loss(logits, *labels)
            return LossAt(value, input_gradient(tape, dlogits), logits)

        return at

    def margins(self, k: Int[Array, "*models batch"]) -> Callable[[Array], tuple[Array, Array]]:
        """x -> the margins of class k, (batch, K-1), and their gradients with respect to x, (batch, K-1, n)."""

        def margins_at(
            x: Float[Array, "*models batch n"],
        ) -> tuple[Float[Array, "*models batch others"], Float[Array, "*models batch others n"]]:
            logits, tape = self.network.forward(self.params, x)
            xp = namespace(logits)
            M, _ = margins(logits, k)
            D = margin_directions(k, logits.shape[-1], logits.dtype)
            dx = input_gradient(tape, xp.moveaxis(D, -2, 0))  # K-1 cotangents for each example, in a stack
            return M, xp.moveaxis(dx, 0, -2)

        return margins_at

    def least_margin(self, k: Int[Array, "*models batch"]) -> Callable[[Array], Array]:
        """x -> the smallest margin of class k, (batch,): negative where the example is given another class."""

        def least(x: Float[Array, "*models batch n"]) -> Float[Array, "*models batch"]:
            return least_margin(self.logits(x), k)

        return least

    def weights(
        self, x: Float[Array, "*models batch n"], y: Int[Array, "*models batch"]
    ) -> tuple[Float[Array, "*models"], Params]:
        """The mean cross-entropy, and its gradient with respect to every parameter, by name."""
        logits, tape = self.network.forward(self.params, x)
        loss, pull = cross_entropy(logits, y)
        return loss, gradients(tape, pull.x(1.0))

    def image_shape(self, n: int) -> Shape:
        """As the network says; else one square channel."""
        said = getattr(self.network, "image_shape", square)
        shape: Shape = said(n)
        return shape


def loss_gradient(network: Forward, params: Params, y: Int[Array, "*models batch"]) -> Callable[[Array], Array]:
    """x -> gradient with respect to x of the summed cross-entropy: what `fgsm` and `pgd` take."""
    return Gradients(network, params).loss(y)


def margin_gradients(
    network: Forward, params: Params, k: Int[Array, "*models batch"]
) -> Callable[[Array], tuple[Array, Array]]:
    """x -> the margins of class k and their gradients with respect to x: what `gnm` takes."""
    return Gradients(network, params).margins(k)
