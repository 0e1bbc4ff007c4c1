"""A net of ours as a `torch.nn.Module` whose passes are ours, and a module of theirs as a network for our attacks.

Both compute on the host; tensors on another device are copied there and back.
"""

from typing import Any

import numpy as np
from jaxtyping import Float

from ..backend import Array, Params, like, to_host
from ..errors import UsageError
from ..layers.images import Shape
from ..networks.base import Network
from ..tape import gradients, input_gradient
from .external import ExternalNetwork, VectorJacobian
from .layers import plain

try:
    import torch
    from torch.autograd.function import once_differentiable
except ModuleNotFoundError as error:
    raise UsageError("PyTorch is not installed: https://pytorch.org says how to install it for your machine") from error


class Module(torch.nn.Module):
    """The net as PyTorch, Foolbox, torchattacks and AutoAttack take one: images in, logits out.

    Images are (batch, channels, height, width), or any shape with as many pixels, in [0, 1] and of the weights' dtype.
    Forward and backward pass are `network`'s. The parameters have our names, W1, b1, ..., are copies, and ask for no
    gradient; after `requires_grad_()` the backward pass gives them theirs, too, for an optimizer of PyTorch's. Second
    derivatives are refused.
    """

    def __init__(self, network: Network, params: Params) -> None:
        super().__init__()
        self.network = network
        for name, p in params.items():
            self.register_parameter(name, torch.nn.Parameter(torch.tensor(to_host(p)), requires_grad=False))
        self.eval()

    def forward(self, x: Float[torch.Tensor, "batch *shape"]) -> Float[torch.Tensor, "batch classes"]:
        names, values = zip(*self.named_parameters(), strict=True)
        return _Passes.apply(x.flatten(1), self.network, names, *values)


class _Passes(torch.autograd.Function):
    """The forward pass of a network, whose tape is gone through backwards when PyTorch asks for gradients.

    Arrays are copied, so that nothing that is done in place between the two passes reaches the tape.
    """

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, network: Network, names: tuple[str, ...], *values: torch.Tensor) -> Any:
        params = {name: _array(p) for name, p in zip(names, values, strict=True)}
        logits, ctx.tape = network.forward(params, _array(x))
        ctx.names = names
        return torch.tensor(logits, device=x.device)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dlogits: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        wanted_x, _, _, *wanted = ctx.needs_input_grad
        dy = _array(dlogits)
        dx = torch.tensor(input_gradient(ctx.tape, dy), device=dlogits.device) if wanted_x else None
        grads = gradients(ctx.tape, dy) if any(wanted) else {}
        asked = zip(ctx.names, wanted, strict=True)
        return dx, None, None, *(torch.tensor(grads[n], device=dlogits.device) if w else None for n, w in asked)


def _array(t: torch.Tensor) -> np.ndarray:
    """A copy on the host."""
    return t.detach().cpu().numpy().copy()


def external(module: torch.nn.Module, shape: Shape) -> ExternalNetwork:
    """A classifier in PyTorch as a network for our attacks and for `ri.fooling`; `shape` is that of its images.

    `module` maps images (batch, *shape) to logits, on any device; our side may be NumPy or CuPy. Raises `UsageError`
    for a module in training mode, whose gradients would depend on chance or on the batch, and for inputs of another
    dtype than its parameters.
    """
    if module.training:
        raise UsageError("the module is in training mode: call module.eval() first")
    first = next(module.parameters(), torch.zeros(0))

    def function(x: Float[Array, "batch C H W"]) -> tuple[Float[Array, "batch classes"], VectorJacobian]:
        leaf = torch.tensor(to_host(x), device=first.device).requires_grad_()
        if first.numel() and leaf.dtype != first.dtype:
            raise UsageError(f"the module's parameters are {first.dtype}, the inputs {leaf.dtype}")
        logits = module(leaf)

        def vector_jacobian(dlogits: Float[Array, "batch classes"]) -> Float[Array, "batch C H W"]:
            dz = torch.tensor(to_host(dlogits), device=first.device)
            (dx,) = torch.autograd.grad(logits, leaf, dz, retain_graph=True)
            return like(_array(dx), x)

        return like(_array(logits), x), vector_jacobian

    return ExternalNetwork(function, shape)


def sequential(network: Network, params: Params) -> torch.nn.Sequential:
    """The net in PyTorch's own layers, with copies of its weights: what `refimpl export RUN --to torch` describes.

    Backpropagation is then PyTorch's. Raises `UsageError` for a network that PyTorch's layers cannot be found for.
    """
    layers = plain(network, params).layers
    modules = []
    for layer in layers:
        module = getattr(torch.nn, layer.kind)(*layer.sizes, **layer.settings)
        module.load_state_dict({name: torch.tensor(to_host(p)) for name, p in layer.tensors.items()}, assign=True)
        modules.append(module)
    return torch.nn.Sequential(*modules).eval()
