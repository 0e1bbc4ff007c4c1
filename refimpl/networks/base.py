"""What a network is: settings, and the passes that they settle."""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar, NamedTuple

from jaxtyping import Float

from ..backend import Array, Backend, Params
from ..layers.images import Shape, square
from ..parameters import as_matrix
from ..registry import Registry
from ..settings import Settings
from ..tape import Tape
from .gradients import Gradients


class Usual(NamedTuple):
    """How a network is trained unless told otherwise.

    `steps` are those of a run whose epochs are not given. `learning_rates` has settings by the optimizer's name, where
    they are not its defaults; `tuned` those that continue a trained net.
    """

    dataset: str = "mnist"
    steps: int = 10_000
    batch_size: int = 128
    learning_rates: Mapping[str, Mapping[str, float]] = MappingProxyType({})
    tuned: Mapping[str, Mapping[str, float]] = MappingProxyType({})


@dataclass(frozen=True)
class Network(Settings):
    """Derive from it, and register with `NETWORKS`: `init`, `forward` and `hidden` are all that a network needs."""

    usual: ClassVar[Usual] = Usual()

    @property
    def certifiable(self) -> bool:
        """Whether all layers are dense, `hidden` gives the outputs of all but the last, activations are 1-Lipschitz."""
        return False

    @abstractmethod
    def init(self, backend: Backend, seed: int = 0, dtype: str = "float32") -> Params:
        """The first parameters, `W1 b1 W2 b2 ...`, from the stream `init` of the seed."""

    @abstractmethod
    def forward(self, params: Params, x: Float[Array, "batch n"]) -> tuple[Float[Array, "batch classes"], Tape]:
        """The logits of a batch, one row an example, and the tape that differentiates them."""

    @abstractmethod
    def hidden(self, params: Params, x: Float[Array, "batch n"]) -> list[Float[Array, "batch units"]]:
        """The hidden representations, from the first to the last."""

    def for_data(self, shape: Shape, classes: int) -> "Network":
        """The network for images of this shape and so many classes. Raises `UsageError` where its settings are others'.

        A network that does not say how fits all data whose inputs it takes.
        """
        return self

    def image_shape(self, n: int) -> Shape:
        """Channels, height and width of inputs of n numbers: one square channel. Raises `UsageError` for no square."""
        return square(n)

    def full(self, params: Params) -> Params:
        """The parameters with each weight as one array; a network that keeps factors forms their products."""
        return params

    def core(self, params: Params, name: str) -> Float[Array, "m n"]:
        """A matrix with the singular values of the weight `name`: itself, or the small factor that has them."""
        return as_matrix(params[name])

    def gradients(self, params: Params) -> Gradients:
        """What attacks and measures ask for at these parameters."""
        return Gradients(self, params)


NETWORKS: Registry[type[Network]] = Registry("network", __package__)
