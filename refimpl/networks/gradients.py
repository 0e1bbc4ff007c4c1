r"""What an attack climbs: gradients by the input, or by the weights, of a network that the attack itself never sees."""

from collections.abc import Callable

from jaxtyping import Float, Int

from ..backend import Array, Params, namespace
from ..fast import passes as fast
from ..fast.passes import has_workspace
from ..layers.loss import cross_entropy, margin_directions, margins
from ..low_rank.network import dense
from ..tape import gradients, input_gradient
from .base import Network


def logits(network: Network, params: Params, x: Float[Array, "batch n"]) -> Float[Array, "batch classes"]:
    """`network.forward` without its tape, by the fastest way there is; a low-rank net goes there as a dense one."""
    return fast.logits(network, dense(params), x) if has_workspace(network, x) else network.forward(params, x)[0]


def loss_gradient(network: Network, params: Params, y: Int[Array, "batch"]) -> Callable[[Array], Array]:
    """x -> the gradient by x of the cross-entropy, summed over the batch so that no example's is scaled by it.

    `taped_loss_gradient` is the definition; where `fast` has a faster one, this is the faster one.
    """
    if has_workspace(network, y):
        return fast.loss_gradient(network, dense(params), y)
    return taped_loss_gradient(network, params, y)


def taped_loss_gradient(network: Network, params: Params, y: Int[Array, "batch"]) -> Callable[[Array], Array]:
    """`loss_gradient` by the tape, for every network on every backend."""

    def gradient(x: Float[Array, "batch n"]) -> Float[Array, "batch n"]:
        logits, tape = network.forward(params, x)
        _, pull = cross_entropy(logits, y)
        return input_gradient(tape, pull.x(float(x.shape[0])))

    return gradient


def weight_gradients(network: Network, params: Params, x: Float[Array, "batch n"], y: Int[Array, "batch"]) -> Params:
    """The gradients of the mean cross-entropy by all parameters, by name.

    `taped_weight_gradients` is the definition, as for `loss_gradient`.
    """
    if has_workspace(network, x):
        return fast.weight_gradients(network, params, x, y)
    return taped_weight_gradients(network, params, x, y)


def taped_weight_gradients(
    network: Network, params: Params, x: Float[Array, "batch n"], y: Int[Array, "batch"]
) -> Params:
    """`weight_gradients` by the tape, on every backend."""
    logits, tape = network.forward(params, x)
    return gradients(tape, cross_entropy(logits, y)[1].x(1.0))


def margin_gradients(
    network: Network, params: Params, k: Int[Array, "batch"]
) -> Callable[[Array], tuple[Array, Array]]:
    """x -> the margins of class k, (batch, K-1), and their gradients by x, (batch, K-1, n).

    `taped_margin_gradients` is the definition, as for `loss_gradient`.
    """
    if has_workspace(network, k):
        return fast.margin_gradients(network, dense(params), k)
    return taped_margin_gradients(network, params, k)


def taped_margin_gradients(
    network: Network, params: Params, k: Int[Array, "batch"]
) -> Callable[[Array], tuple[Array, Array]]:
    """`margin_gradients` by the tape, all of them in one backward pass, on every backend."""

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
        return namespace(x).min(margins(logits(network, params, x), k)[0], axis=-1)

    return least
