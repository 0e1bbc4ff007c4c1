"""A classifier of another library, or a plain function with its gradient, as our attacks and measures see a network."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float

from ..backend import Array, Backend, Params, namespace
from ..errors import UsageError
from ..layers.images import Shape, as_images
from ..networks.base import Network
from ..tape import Pullback, Tape, record

VectorJacobian = Callable[[Array], Array]
"""The gradient with respect to the logits, (batch, classes), in; that with respect to the images out."""


@dataclass(frozen=True)
class ExternalNetwork(Network):
    r"""A network whose passes are somebody else's: `function` maps images to logits and to their pullback.

    `function(x)` gets images (batch, channels, height, width) of pixels in [0, 1] and returns the logits z of shape
    (batch, classes), and the function $dz \mapsto (\partial z / \partial x)^\top dz$.
    `shape` has channels, height and width. The weights are where the function keeps them, so that its parameters are
    an empty dictionary: `ri.fooling(network, {}, ...)`, `ri.loss_gradient(network, {}, y)`.
    """

    name: ClassVar[str] = "external"

    function: Callable[[Array], tuple[Array, VectorJacobian]]
    shape: Shape

    def init(self, backend: Backend, seed: int = 0, dtype: str = "float32") -> Params:
        """No parameters."""
        return {}

    def forward(self, params: Params, x: Float[Array, "batch n"]) -> tuple[Float[Array, "batch classes"], Tape]:
        """The logits, and a tape of two steps: rows of pixels as images, and the function.

        Raises `UsageError` for inputs of another size, and for logits or gradients of another shape than promised.
        """
        if x.ndim != 2 or 0 in x.shape or x.shape[1] != math.prod(self.shape):
            raise UsageError(f"expected inputs (1 or more, {math.prod(self.shape)}), got {tuple(x.shape)}")
        tape: Tape = []
        images = record(tape, as_images(x, self.shape))
        logits, vector_jacobian = self.function(images)
        xp = namespace(images)
        if logits.ndim != 2 or logits.shape[0] != x.shape[0]:
            raise UsageError(f"expected logits ({x.shape[0]}, classes), got {tuple(logits.shape)}")

        def dx(dlogits: Float[Array, "*stack batch classes"]) -> Float[Array, "*stack batch C H W"]:
            if dlogits.ndim > 2:
                return xp.stack([dx(dlogits[i, ...]) for i in range(dlogits.shape[0])])
            found = vector_jacobian(dlogits)
            if found.shape != images.shape:
                raise UsageError(f"expected gradients {tuple(images.shape)}, got {tuple(found.shape)}")
            return xp.asarray(found, copy=True)  # ours to overwrite

        return record(tape, (logits, Pullback(x=dx))), tape

    def hidden(self, params: Params, x: Float[Array, "batch n"]) -> list[Float[Array, "batch _"]]:
        """None that is known."""
        return []

    def image_shape(self, n: int) -> Shape:
        return self.shape
