"""The configuration of a run: what is needed to do it again, in one flat TOML file."""

import difflib
import math
import tomllib
from dataclasses import asdict, dataclass, field, fields
from typing import Any

import tomli_w

from .adversary import Adversary, Attack
from .attacks.checks import check_budget
from .errors import UsageError
from .fcnn import WIDTHS
from .methods import METHODS, NATURAL
from .networks import NETWORKS
from .optim import Optimizer, adam, sgd
from .penalty import Penalty

STEPS = 112_560
"""Steps of a run whose epochs are not given: 240 epochs of MNIST, where plain SGD first meets Table 1's .9508."""


WATCHES: dict[str, tuple[str, ...]] = {
    "none": (),
    "fooling": ("fooling",),
    "mi": ("mi",),
    "all": ("fooling", "mi"),
}


@dataclass(frozen=True, kw_only=True)
class Config:
    """The defaults are the paper's (Section 5); `epochs` None means as many as make `STEPS` steps.

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
    l1: dict[str, float] = field(default_factory=dict)
    nuclear: dict[str, float] = field(default_factory=dict)
    joint: float = 0.0
    proximal: bool = False
    adversarial: str = "none"
    adversarial_share: float = 1.0
    eps: float = 0.05
    clip: bool = False
    watch: str = "auto"
    watch_examples: int = 1000
    start: str = ""
    checkpoint_every: int = 10
    threads: int = 1

    def __post_init__(self) -> None:
        _one_of("arch", self.arch, tuple(NETWORKS))
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
        for layer in (*self.l1, *self.nuclear):
            _one_of("a regularized layer", layer, tuple(f"W{i}" for i in range(1, len(self.widths))))
        _one_of("adversarial", self.adversarial, ("none", "fgsm", "pgd"))
        if self.proximal and self.optimizer != "sgd":
            raise UsageError("proximal steps have the length of sgd's steps; adam's differ from weight to weight")
        if self.adversarial_share != 1 and self.adversarial == "none":
            raise UsageError("an adversarial share of the batch needs an attack: --adversarial fgsm or pgd")
        self.make_optimizer()
        self.make_penalty()
        check_budget(self.eps)
        self.make_adversary()

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
            "l1": self.l1,
            "nuclear": self.nuclear,
            "joint": self.joint,
        }
        return "-".join(name for name, used in parts.items() if used)

    def epochs_for(self, n_train: int) -> int:
        return self.epochs or math.ceil(STEPS / math.ceil(n_train / self.batch_size))

    def to_toml(self) -> str:
        settings = asdict(self) | {"widths": list(self.widths)}
        return tomli_w.dumps({name: value for name, value in settings.items() if value not in (None, {})})

    @classmethod
    def from_toml(cls, text: str, where: str) -> "Config":
        """Strict: an unknown key or a value of the wrong type is a `UsageError` that names `where`."""
        try:
            settings = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise UsageError(f"{where} is not TOML: {error}") from None
        return cls(**{name: _typed(name, value, where) for name, value in settings.items()})


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
