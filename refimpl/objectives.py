r"""What an attack climbs: gradients by the input, of a network that the attack itself never sees."""

from collections.abc import Callable
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Int

from . import fcnn, workspace
from .backend import Array, Params, namespace
from .loss import cross_entropy, margin_directions, margins
from .tape import Tape, input_gradient


@runtime_checkable
class Network(Protocol):
    """A module that computes logits and hidden representations: `refimpl.fcnn`."""

    def forward(self, params: Params, x: Array) -> tuple[Array, Tape]: ...

    def hidden(self, params: Params, x: Array) -> list[Array]: ...


def loss_gradient(network: Network, params: Params, y: Int[Array, "batch"]) -> Callable[[Array], Array]:
    """x -> the gradient by x of the cross-entropy, summed over the batch so that no example's is scaled by it.

    `taped_loss_gradient` is the definition; where `workspace` has a faster one, this is the faster one.
    """
    if network is fcnn and isinstance(y, np.ndarray):
        return workspace.loss_gradient(params, y)
    return taped_loss_gradient(network, params, y)


def taped_loss_gradient(network: Network, params: Params, y: Int[Array, "batch"]) -> Callable[[Array], Array]:
    """`loss_gradient` by the tape, for every network on every backend."""

    def gradient(x: Float[Array, "batch n"]) -> Float[Array, "batch n"]:
        logits, tape = network.forward(params, x)
        _, pull = cross_entropy(logits, y)
        return input_gradient(tape, pull.x(float(x.shape[0])))

    return gradient


def margin_gradients(
    network: Network, params: Params, k: Int[Array, "batch"]
) -> Callable[[Array], tuple[Array, Array]]:
    """x -> the margins of class k, (batch, K-1), and their gradients by x, (batch, K-1, n), in one backward pass."""

    def margins_of(
        x: Float[Array, "batch n"],
    ) -> tuple[Float[Array, "batch others"], Float[Array, "batch others n"]]:
        logits, tape = network.forward(params, x)
        xp = namespace(logits)
        D = margin_directions(k, logits.shape[-1], logits.dtype)
        dx = input_gradient(tape, xp.permute_dims(D, (1, 0, 2)))  # K-1 cotangents for each example, in a stack
        return margins(logits, k)[0], xp.permute_dims(dx, (1, 0, 2))

    return margins_of


def least_margin(network: Network, params: Params, k: Int[Array, "batch"]) -> Callable[[Array], Array]:
    """x -> the smallest margin of class k, (batch,): negative where the example is given another class."""

    def least(x: Float[Array, "batch n"]) -> Float[Array, "batch"]:
        return namespace(x).min(margins(network.forward(params, x)[0], k)[0], axis=-1)

    return least
