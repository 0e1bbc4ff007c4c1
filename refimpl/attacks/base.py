"""What an attack is told, its budget and settings, and what it sees: gradients, never a network."""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Protocol, TypeVar, runtime_checkable

import numpy as np
from jaxtyping import Float, Int

from ..backend import Array, Params, namespace
from ..layers.images import Shape
from ..layers.loss import Loss, LossAt
from ..registry import Registry
from ..settings import PIXELS, Box, Settings, setting
from ..validation import check_budget

PAPERS = ("fgsm", "pgd", "gnm")
"""The attacks of the paper."""


A = TypeVar("A", bound="Attack")


@runtime_checkable
class Target(Protocol):
    """What an attack sees of a net, with labels y or classes k settled: logits, and gradients of functions of them.

    Gradients are new arrays, which the attack may overwrite.
    """

    def logits(self, x: Array) -> Array: ...

    def value_and_grad(self, loss: Loss, *labels: Array) -> Callable[[Array], LossAt]: ...

    def loss(self, y: Array) -> Callable[[Array], Array]: ...

    def margins(self, k: Array) -> Callable[[Array], tuple[Array, Array]]: ...

    def least_margin(self, k: Array) -> Callable[[Array], Array]: ...

    def image_shape(self, n: int) -> Shape: ...


Perturb = Callable[..., Array]
"""As `InputAttack.perturb`: a target, inputs, labels, starts and a surrogate -> adversarial examples."""


@dataclass(frozen=True, kw_only=True)
class Attack(Settings):
    """A budget: the paper's (Section 5) unless told otherwise. Pixels are cut to `clip` where it is given."""

    eps: float = setting(0.05, "Budget.", unit="pixels in [0, 1]", at_least=0, at_most=1)
    clip: Box | None = setting(None, "Keep adversarial pixels in [0, 1].", flag=PIXELS)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_budget(self.eps, self.clip)

    @property
    def ball(self) -> str:
        """The norm of the budget: "inf", "2" or "1"."""
        return "inf"

    def __str__(self) -> str:
        """A name for files: the attack, eps, and every setting that is not the default."""
        usual = type(self)(eps=self.eps)
        unusual = []
        for one in fields(self):
            value = getattr(self, one.name)
            if one.name not in ("eps", "clip") and value != getattr(usual, one.name):
                unusual.append(f"-{one.name}{value if type(value) is not bool else ''}".replace("_", "-"))
        return f"{self.name}-eps{self.eps!r}" + "".join(unusual) + ("-clip" if self.clip else "")

    def describe(self) -> dict[str, Any]:
        """The settings as keys of a result."""
        return {"attack": self.name, "norm": self.ball} | {one.name: getattr(self, one.name) for one in fields(self)}

    def starts(self, *index: int) -> list[np.random.Generator]:
        """A generator for each random start; `index` picks an independent set of them, a training step's say."""
        return []

    def for_images(self: A, shape: Shape) -> A:
        """The attack on images of this shape; raises `UsageError` where its settings do not fit them."""
        return self


@dataclass(frozen=True, kw_only=True)
class InputAttack(Attack):
    """An attack that perturbs each input by itself."""

    follows_surrogate: ClassVar[bool] = False
    """Whether the attack can take its direction from another net's gradient."""

    smallest: ClassVar[bool] = False
    """Whether the attack seeks the smallest perturbation that fools, of which `eps` is only the most that counts."""

    prepares: ClassVar[bool] = False
    """Whether the attack looks at all inputs before it perturbs one."""

    @property
    def in_stacks(self) -> bool:
        """Whether `perturb` takes the examples of a stack of models, (models, batch, n), and draws no numbers."""
        return False

    @abstractmethod
    def perturb(
        self,
        target: Target,
        x: Float[Array, "batch *shape"],
        y: Int[Array, "batch"],
        starts: Sequence[np.random.Generator] = (),
        surrogate: Target | None = None,
    ) -> Float[Array, "batch *shape"]:
        """The adversarial examples of one batch with labels y."""

    def prepared(self, target: Target, batches: Sequence[tuple[Array, Array]]) -> Perturb:
        """`perturb`, after a look at all inputs and labels where the attack `prepares`."""
        return self.perturb


@runtime_checkable
class WeightTarget(Protocol):
    """What an attack on weights sees of a net at given parameters."""

    def loss(self, y: Array) -> Callable[[Array], Array]: ...

    def weights(self, x: Array, y: Array) -> tuple[Array, Params]: ...


@dataclass(frozen=True, kw_only=True)
class WeightAttack(Attack):
    """An attack that perturbs inputs, each by itself, and weights, in the same way for all inputs."""

    @abstractmethod
    def radii(self, params: Params) -> dict[str, float]:
        """How much each entry of a weight may change, by the weight's name; those without a name stay as they are."""

    @abstractmethod
    def perturb_all(
        self,
        at: Callable[[Params], WeightTarget],
        params: Params,
        x: Float[Array, "examples *shape"],
        y: Int[Array, "examples"],
        chunk: int | None = None,
    ) -> tuple[Float[Array, "examples *shape"], Params]:
        """The adversarial examples of all inputs with labels y, and perturbed parameters; `params` stay as they are.

        `at` maps parameters to the gradients there. Activations of `chunk` examples at a time are in memory; None takes
        as many as suit the device.
        """


def direction(target: Target, y: Int[Array, "*models batch"], aim: int | None) -> Callable[[Array], Array]:
    """x -> the gradient that an attack follows: of the loss, or minus that of the loss towards the class `aim`."""
    if aim is None:
        return target.loss(y)
    towards = target.loss(namespace(y).full_like(y, aim))
    return lambda x: -towards(x)


ATTACKS: Registry[type[Attack]] = Registry("attack", __package__)


def input_attacks() -> dict[str, type[InputAttack]]:
    """The attacks that perturb inputs alone, by name."""
    return {name: kind for name, kind in ATTACKS.items() if issubclass(kind, InputAttack)}
