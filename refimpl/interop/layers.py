"""A network as a list of layers, named and laid out as PyTorch has them; ours have the same shapes.

What a network of another kind is made of is one function more, registered with `layers_of.register(Kind)`.
"""

from collections.abc import Mapping
from functools import singledispatch
from itertools import pairwise
from types import MappingProxyType
from typing import Any, NamedTuple

from ..backend import Array, Params, namespace
from ..errors import UsageError
from ..layers.activations import LEAK
from ..layers.images import Shape
from ..networks import CNN, FCNN, LeNet5, Network
from ..parameters import depth, n_classes, weights


class Layer(NamedTuple):
    """`torch.nn.KIND(*sizes, **settings)`, and its weight and bias where it has them."""

    kind: str
    sizes: tuple[int | float, ...] = ()
    settings: Mapping[str, Any] = MappingProxyType({})
    tensors: Mapping[str, Array] = MappingProxyType({})

    def __str__(self) -> str:
        """The expression that makes it in Python."""
        arguments = [*map(repr, self.sizes), *(f"{name}={value!r}" for name, value in self.settings.items())]
        return f"torch.nn.{self.kind}({', '.join(arguments)})"


class PlainNetwork(NamedTuple):
    """A network, its full weights, the shape of its images, and the layers from these to the logits."""

    network: Network
    params: Params
    shape: Shape
    layers: list[Layer]

    def __str__(self) -> str:
        """The expression that makes it in Python."""
        return f"torch.nn.Sequential({', '.join(map(str, self.layers))})"

    @property
    def classes(self) -> int:
        return n_classes(self.params)

    @property
    def state_dict(self) -> dict[str, Array]:
        """Weights and biases as `torch.nn.Sequential` names them: 1.weight, 1.bias, 3.weight, ..."""
        return {f"{i}.{name}": p for i, layer in enumerate(self.layers) for name, p in layer.tensors.items()}


ACTIVATIONS = {
    "tanh": Layer("Tanh"),
    "relu": Layer("ReLU"),
    "leaky-relu": Layer("LeakyReLU", (LEAK,)),
    "identity": Layer("Identity"),
}


def plain(network: Network, params: Params) -> PlainNetwork:
    """The network's layers, weights of low rank as the products of their factors.

    Raises `UsageError` for a network whose layers are not known: one of another file's, or derived from ours.
    """
    params, shape = _full(network, params), image_shape(network, params)
    while hasattr(network, "network"):  # in factors, or a fast twin
        network = network.network
    if type(network) not in layers_of.registry:
        known = [kind.name for kind in layers_of.registry if kind is not object]
        raise UsageError(f"{network.name or type(network).__name__} cannot be exported: only {', '.join(known)} can")
    return PlainNetwork(network, params, shape, layers_of(network, params))


def _full(network: Network, params: Params) -> Params:
    """Products formed in double precision and rounded once."""
    xp, dtype = namespace(params["b1"]), params["b1"].dtype
    full = network.full({name: xp.astype(p, xp.float64) for name, p in params.items()})
    return {name: xp.astype(p, dtype) for name, p in full.items()}


def image_shape(network: Network, params: Params) -> Shape:
    """Channels, height and width of the images that the network takes."""
    first = next(iter(weights(network.full(params)).values()), None)
    return network.image_shape(0 if first is None else first[0, ...].size)


@singledispatch
def layers_of(network: Network, params: Params) -> list[Layer]:
    """The layers of a network with these full weights; `plain` asks only for kinds that are registered."""
    raise UsageError(f"{network.name} has no layers that are known")


@layers_of.register(FCNN)
def _fully_connected(network: FCNN, params: Params) -> list[Layer]:
    linear = [_linear(params, i) for i in range(1, depth(params) + 1)]
    return [Layer("Flatten"), *(part for layer in linear for part in (layer, ACTIVATIONS["tanh"]))][:-1]


@layers_of.register(LeNet5)
@layers_of.register(CNN)
def _convolutional(network: CNN, params: Params) -> list[Layer]:
    """Pooling comes before the activation, as in `networks.cnn`."""
    layers = []
    for i, (channels, filters) in enumerate(pairwise((network.channels, *network.filters)), start=1):
        padding = {"padding": network.kernel // 2} if network.padding == "same" else {}
        tensors = {"weight": params[f"W{i}"], "bias": params[f"b{i}"]}
        layers.append(Layer("Conv2d", (channels, filters, network.kernel), padding, tensors))
        layers += [Layer("MaxPool2d", (2,)), ACTIVATIONS[network.activation]]
    dense = _linear(params, 3), ACTIVATIONS[network.dense_activation], _linear(params, 4)
    return [*layers, Layer("Flatten"), *dense]


def _linear(params: Params, i: int) -> Layer:
    W, b = params[f"W{i}"], params[f"b{i}"]
    return Layer("Linear", (W.shape[1], W.shape[0]), tensors={"weight": W, "bias": b})
