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
    """The protocol of a network: derive from it; `init`, `forward` and `hidden` are all that a network needs.

    `init` gives the first parameters by name: layer i has the weight `W{i}`, whose first axis is its outputs, and the
    bias `b{i}`, one number an output; all are of the type asked for, on the backend given. `forward` takes them and a
    batch, one row of pixels in [0, 1] an example, and gives the logits, one row an example, and the tape: every step
    from the pixels to the logits in order, each with its `Pullback` and, where it has parameters, their names.
    `hidden` gives what each layer but the last puts out, one row an example. None of them may keep anything.

    For example a net of sines, attacked, trained and measured:

        from dataclasses import dataclass
        import numpy as np
        import refimpl as ri

        @dataclass(frozen=True)
        class Sines(ri.Network):
            units: int = 20

            def init(self, backend, seed=0, dtype="float32"):
                return ri.fcnn.init(backend, seed, (784, self.units, 10), dtype)

            def forward(self, params, x):
                tape = []
                z = ri.record(tape, ri.layers.affine(x, params["W1"], params["b1"]), "W1", "b1")
                t = ri.record(tape, (np.sin(z), ri.Pullback(x=lambda dt: dt * np.cos(z))))
                return ri.record(tape, ri.layers.affine(t, params["W2"], params["b2"]), "W2", "b2"), tape

            def hidden(self, params, x):
                return [np.sin(ri.layers.affine(x, params["W1"], params["b1"])[0])]

        config = ri.Config(network=Sines(), optimizer=ri.Adam(learning_rate=0.01), epochs=5)
        run = ri.train(config, ri.load("strokes-small")).result()
        print(run.attack("pgd", eps=0.1).fooling_ratio, run.measure(sigma2=0.1).accuracy)

    Code that is to run on a GPU, too, takes its functions from `namespace(x)` instead of NumPy. A network that is
    registered, `@NETWORKS.register("sines")` with `name: ClassVar[str] = "sines"`, is known to the command line, and
    its runs can be kept in folders; its fields are options there if they are declared with `setting`. `for_data` makes
    it follow the data; the other methods are for networks whose images are not square, or whose layers are factors.
    """

    usual: ClassVar[Usual] = Usual()

    own_threads: ClassVar[bool] = False
    """Whether threads of its faster twin share a batch, each with a BLAS of one thread."""

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
    def hidden(self, params: Params, x: Float[Array, "batch n"]) -> list[Float[Array, "batch _"]]:
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
