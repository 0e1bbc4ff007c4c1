"""What a regularizer is: a term of the loss, Eq. (8), with its gradient and, where there is one, its proximal step."""

from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, Protocol, TypeVar, runtime_checkable

from jaxtyping import Float, Int

from ..backend import Array, Params, namespace
from ..errors import UsageError
from ..networks.base import Network
from ..parameters import as_matrix
from ..registry import Registry
from ..settings import Settings, by_layer, kinds

Scalar = Float[Array, ""]


class Batch(NamedTuple):
    """Examples, rows of pixels, with their labels, and which step they are for, t = 1, 2, ...

    For models in a stack, those of each.
    """

    x: Float[Array, "*models batch n"]
    y: Int[Array, "*models batch"]
    step: int = 1
    new_epoch: bool = False


@runtime_checkable
class Term(Protocol):
    """What an objective adds: a `Regularizer`, or its faster twin."""

    def value_and_grad(self, params: Params, batch: Batch) -> tuple[Any, Params]: ...


@dataclass(frozen=True)
class Regularizer(Settings):
    """Derive from it, and register with `REGULARIZERS`.

    Added to the *mean* cross-entropy, as Eq. (8) is written. A convolution is its matrix of filters (Appendix B);
    biases are not regularized. `of_weights` says that the term does not depend on the examples, `in_factors`
    that it is defined for layers of low rank, too.
    """

    of_weights: ClassVar[bool] = True
    in_factors: ClassVar[bool] = False
    has_prox: ClassVar[bool] = False

    @abstractmethod
    def value_and_grad(self, params: Params, batch: Batch) -> tuple[Scalar, Params]:
        """The term, lambda included, and its gradient with respect to the parameters that it acts on."""

    def check(self, network: Network) -> None:
        """Raise `UsageError` where the term is not defined for this network."""

    def prox(self, params: Params, step: float) -> Params:
        """The weights that a proximal step of this length changes."""
        raise UsageError(f"the term {self.name} has no proximal step")


N = TypeVar("N", bound="LayerNorm")


@dataclass(frozen=True)
class LayerNorm(Regularizer):
    r"""$\sum_i \lambda_i \|W^i\|$, the layers with their lambdas by name: `{"W1": 0.01}`."""

    has_prox: ClassVar[bool] = True

    layers: dict[str, float] = by_layer("lambda of each layer.")

    def table(self) -> dict[str, Any]:
        return dict(self.layers)

    @classmethod
    def from_table(cls: type[N], table: Any, where: str) -> N:
        if not isinstance(table, Mapping):
            raise UsageError(f"{where} must be a table of layers and their lambdas, such as W1 = 0.01")
        try:
            return cls(cls._accepted(*kinds(cls)[0], dict(table)))
        except UsageError as error:
            raise UsageError(f"{where}: {error}") from None

    @abstractmethod
    def norm(self, W: Float[Array, "*models m n"]) -> tuple[Float[Array, "*models"], Float[Array, "*models m n"]]:
        """The norm of a matrix, or of each of a stack, and its (sub)gradient."""

    @abstractmethod
    def shrink(self, W: Float[Array, "m n"], t: float) -> Float[Array, "m n"]:
        """The proximal step of t times the norm."""

    def value_and_grad(self, params: Params, batch: Batch) -> tuple[Scalar, Params]:
        value: Array = 0.0
        grads: Params = {}
        for layer, lam in self.layers.items():
            W = params[layer]
            norm, gradient = self.norm(as_matrix(W))
            value = value + lam * norm
            grads[layer] = namespace(W).reshape(lam * gradient, W.shape)
        return value, grads

    def prox(self, params: Params, step: float) -> Params:
        changed = {}
        for layer, lam in self.layers.items():
            W = params[layer]
            changed[layer] = namespace(W).reshape(self.shrink(as_matrix(W), step * lam), W.shape)
        return changed


REGULARIZERS: Registry[type[Regularizer]] = Registry("regularizer", __package__)

ORDER = ("l1", "joint", "nuclear", "margin-bound", "operator-norms")
"""In which terms are added, so that equal configurations give equal bits; others follow by name."""


def over_layers(
    layers: Params, of: Callable[[Float[Array, "m n"]], tuple[Scalar, Float[Array, "m n"]]], factor: float
) -> tuple[Scalar, Params]:
    """What `of` says of each layer as a matrix, added and multiplied by `factor`, and the gradients by name."""
    value: Array = 0.0
    grads: Params = {}
    for name, W in layers.items():
        one, gradient = of(as_matrix(W))
        value = value + one
        grads[name] = namespace(W).reshape(factor * gradient, W.shape)
    return factor * value, grads


def in_order(names: Iterable[str]) -> list[str]:
    """The names of regularizers in the order in which they are added to the loss."""
    return sorted(names, key=lambda name: (ORDER.index(name) if name in ORDER else len(ORDER), name))


def check_threshold(t: float) -> None:
    if not t >= 0:
        raise UsageError(f"a threshold must be at least 0, got {t}")
