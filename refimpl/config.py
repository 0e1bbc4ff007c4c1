"""The configuration of a run: what is needed to do it again, in one flat TOML file."""

import difflib
import math
import tomllib
from dataclasses import asdict, dataclass, field, fields
from typing import Any

import tomli_w

from . import cnn, fcnn
from .adversary import Adversary, Attack
from .attacks.checks import check_budget
from .backend import Backend, Params
from .cnn import ACTIVATIONS, PADDINGS
from .errors import UsageError
from .fast import Network
from .fcnn import WIDTHS
from .joint import WeightAdversary
from .methods import METHODS, NATURAL
from .networks import ARCHITECTURES, CNN
from .optim import Optimizer, adam, sgd
from .penalty import Penalty
from .reach import ReachTerm

STEPS = {"fcnn": 112_560, "cnn": 58_156}
"""Steps of a run whose epochs are not given: 240 epochs of MNIST, where plain SGD first meets Table 1's .9508,
and 62 of Fashion-MNIST, where it first meets Table 2's .9041."""

WATCHES: dict[str, tuple[str, ...]] = {
    "none": (),
    "fooling": ("fooling",),
    "mi": ("mi",),
    "all": ("fooling", "mi"),
}


@dataclass(frozen=True, kw_only=True)
class Config:
    """The defaults are the paper's for `fcnn` (Section 5), `Config.of` has them for every architecture.

    `epochs` None means as many as make `STEPS` steps. `widths` belongs to `fcnn`, `padding` and `activation` to `cnn`.
    `start` names the run whose weights were the first weights, where training is a fine-tuning.

    Raises `UsageError`, naming the setting, for a value that cannot be used.
    """

    arch: str = "fcnn"
    dataset: str = "auto"
    backend: str = "numpy"
    dtype: str = "float32"
    seed: int = 0
    epochs: int | None = None
    batch_size: int = 128
    optimizer: str = "sgd"
    learning_rate: float = 0.001
    momentum: float = 0.0
    widths: tuple[int, ...] = WIDTHS
    padding: str = "valid"
    activation: str = "tanh"
    l1: dict[str, float] = field(default_factory=dict)
    nuclear: dict[str, float] = field(default_factory=dict)
    joint: float = 0.0
    proximal: bool = False
    adversarial: str = "none"
    adversarial_share: float = 1.0
    weights_adversarial: float = 0.0
    margin_reach: float = 0.0
    row_column: float = 0.0
    eps_weights: float = 0.0
    eps: float = 0.05
    clip: bool = False
    watch: str = "auto"
    watch_examples: int = 1000
    start: str = ""
    checkpoint_every: int = 10
    threads: int = 1

    def __post_init__(self) -> None:
        _one_of("arch", self.arch, ARCHITECTURES)
        _one_of("padding", self.padding, PADDINGS)
        _one_of("activation", self.activation, tuple(ACTIVATIONS))
        _one_of("dtype", self.dtype, ("float32", "float64"))
        _one_of("optimizer", self.optimizer, ("sgd", "adam"))
        _one_of("watch", self.watch, ("auto", *WATCHES))
        for name in ("batch_size", "checkpoint_every", "threads", "watch_examples"):
            _at_least(name, getattr(self, name), 1)
        _at_least("seed", self.seed, 0)
        if self.epochs is not None:
            _at_least("epochs", self.epochs, 1)
        if self.optimizer == "adam" and self.momentum:
            raise UsageError("momentum belongs to sgd; adam has its own")
        if len(self.widths) < 2 or min(self.widths) < 1:
            raise UsageError(f"widths must be two or more positive numbers, got {list(self.widths)}")
        if (self.widths[0], self.widths[-1]) != (WIDTHS[0], WIDTHS[-1]):
            raise UsageError(f"widths must go from {WIDTHS[0]} pixels to {WIDTHS[-1]} classes, got {list(self.widths)}")
        if self.arch == "cnn" and self.widths != WIDTHS:
            raise UsageError("widths belong to fcnn; a cnn has padding and activation")
        if self.arch != "cnn" and (self.padding, self.activation) != ("valid", "tanh"):
            raise UsageError(f"padding and activation belong to cnn; {self.arch} has widths")
        for layer in (*self.l1, *self.nuclear):
            _one_of("a regularized layer", layer, tuple(f"W{i}" for i in range(1, self.depth + 1)))
        if self.joint and self.arch == "cnn":
            raise UsageError(
                "the joint term is of the product of dense layers: a CNN's filters do not chain, take fcnn"
            )
        _one_of("adversarial", self.adversarial, ("none", "fgsm", "pgd"))
        if self.proximal and self.optimizer != "sgd":
            raise UsageError("proximal steps have the length of sgd's steps; adam's differ from weight to weight")
        if self.adversarial_share != 1 and self.adversarial == "none":
            raise UsageError("an adversarial share of the batch needs an attack: --adversarial fgsm or pgd")
        if (self.margin_reach or self.row_column) and self.arch == "cnn":
            raise UsageError("the bound of the margins is for dense layers: a CNN's filters are none, take fcnn")
        if self.eps_weights and not self.margin_reach:
            raise UsageError("eps_weights is the radius of the weights in the margins' reach: it needs margin_reach")
        self.make_optimizer()
        self.make_penalty()
        check_budget(self.eps)
        self.make_adversary()
        self.make_weight_adversary()
        self.make_reach()

    @classmethod
    def of(cls, **settings: Any) -> "Config":
        """A configuration with the paper's batch size and learning rate for its architecture where none is given."""
        defaults: dict[str, Any] = {}
        if settings.get("arch") == "cnn":
            defaults = {"batch_size": 64, "learning_rate": 0.001 if settings.get("start") else 0.01}
        return cls(**(defaults | settings))

    @property
    def depth(self) -> int:
        """The number of weight matrices."""
        return 4 if self.arch == "cnn" else len(self.widths) - 1

    @property
    def network(self) -> Network:
        return CNN(self.padding, self.activation, self.threads) if self.arch == "cnn" else fcnn

    @property
    def blas_threads(self) -> int:
        """The CNN's threads work on pieces of a batch, each with a BLAS of one thread."""
        return 1 if self.arch == "cnn" else self.threads

    def init(self, backend: Backend) -> Params:
        """The first weights."""
        if self.arch == "cnn":
            return cnn.init(backend, self.seed, self.dtype, padding=self.padding)
        return fcnn.init(backend, self.seed, self.widths, self.dtype)

    def make_optimizer(self) -> Optimizer:
        if self.optimizer == "adam":
            return adam(self.learning_rate)
        return sgd(self.learning_rate, self.momentum)

    def make_penalty(self) -> Penalty:
        return Penalty(self.l1, self.nuclear, self.joint, self.learning_rate if self.proximal else None)

    def make_attack(self, name: str) -> Attack:
        """With the paper's steps; without a random start, a reading."""
        return Attack(name=name, eps=self.eps, clip=(0.0, 1.0) if self.clip else None, seed=self.seed)

    def make_adversary(self) -> Adversary | None:
        if self.adversarial == "none":
            return None
        return Adversary(self.make_attack(self.adversarial), self.adversarial_share)

    def make_weight_adversary(self) -> WeightAdversary | None:
        return WeightAdversary(self.weights_adversarial) if self.weights_adversarial else None

    def make_reach(self) -> ReachTerm | None:
        if not (self.margin_reach or self.row_column):
            return None
        return ReachTerm(self.margin_reach, self.eps, self.eps_weights, self.row_column)

    @property
    def watched(self) -> tuple[str, ...]:
        """What is measured in training beside the weights: the fooling ratio where an adversary is at work."""
        return WATCHES[("none" if self.adversarial == "none" else "fooling") if self.watch == "auto" else self.watch]

    @property
    def method(self) -> str:
        """The method by its name in `METHODS`; otherwise in a word or two: l1-pgd, joint, ..."""
        for name, settings in METHODS[self.arch].items():
            if all(getattr(self, key) == value for key, value in (NATURAL | settings).items()):
                return name
        parts = {
            self.adversarial: self.adversarial != "none",
            "weights": self.weights_adversarial,
            "l1": self.l1,
            "nuclear": self.nuclear,
            "joint": self.joint,
            "margin-reach": self.margin_reach,
            "row-column": self.row_column,
        }
        return "-".join(name for name, used in parts.items() if used)

    def epochs_for(self, n_train: int) -> int:
        return self.epochs or math.ceil(STEPS[self.arch] / math.ceil(n_train / self.batch_size))

    def to_toml(self) -> str:
        settings = asdict(self) | {"widths": list(self.widths)}
        return tomli_w.dumps({name: value for name, value in settings.items() if value not in (None, {})})

    @classmethod
    def from_toml(cls, text: str, where: str) -> "Config":
        """Raises `UsageError` as `read_settings` does."""
        return cls.of(**read_settings(text, where))


def read_settings(text: str, where: str) -> dict[str, Any]:
    """Strict: an unknown key or a value of the wrong type is a `UsageError` that names `where`."""
    try:
        settings = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{where} is not TOML: {error}") from None
    return {name: _typed(name, value, where) for name, value in settings.items()}


_TYPES: dict[str, Any] = {field.name: field.type for field in fields(Config)}


def _typed(name: str, value: Any, where: str) -> Any:
    if name not in _TYPES:
        close = difflib.get_close_matches(name, _TYPES, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else f"; the settings are {', '.join(_TYPES)}"
        raise UsageError(f"{where}: unknown setting {name!r}{hint}")
    if name == "widths" and isinstance(value, list) and all(type(width) is int for width in value):
        return tuple(value)
    if name in ("l1", "nuclear"):
        if isinstance(value, dict) and all(type(lam) in (int, float) for lam in value.values()):
            return {layer: float(lam) for layer, lam in value.items()}
        raise UsageError(f"{where}: {name} must be a table of layers and their lambdas, such as W1 = 0.01")
    if _TYPES[name] is float and type(value) is int:
        return float(value)
    if name == "widths" or not isinstance(value, _TYPES[name]) or (type(value) is bool) != (_TYPES[name] is bool):
        raise UsageError(f"{where}: {name} cannot be {value!r}")
    return value


def _one_of(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise UsageError(f"{name} must be one of {', '.join(choices)}, got {value!r}")


def _at_least(name: str, value: int, least: int) -> None:
    if value < least:
        raise UsageError(f"{name} must be at least {least}, got {value}")
