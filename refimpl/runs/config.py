"""The configuration of a run: what is needed to do it again. `settings` keeps it in a file."""

import math
from dataclasses import dataclass, field
from typing import Any

from ..attacks.base import IN_L2, RANK, Attack
from ..backend import Backend, Params
from ..errors import UsageError
from ..low_rank import network as low_rank_net
from ..low_rank.sgd import LowRank, low_rank_sgd
from ..networks import cnn, fcnn
from ..networks.architectures import ARCHITECTURES, CNN, SIZES, lenet5
from ..networks.base import Network
from ..networks.cnn import ACTIVATIONS, PADDINGS
from ..networks.fcnn import WIDTHS
from ..optimizers.adam import adam
from ..optimizers.base import Optimizer
from ..optimizers.sgd import sgd
from ..regularizers.margin_bound import ReachTerm
from ..regularizers.penalty import Penalty
from ..training.adversarial import Adversary, WeightAdversary
from ..validation import check_budget
from .presets import METHODS, NATURAL

STEPS = {"fcnn": 112_560, "cnn": 58_156, "lenet5": 2_345}
"""Steps of a run whose epochs are not given: 240 epochs of MNIST, where plain SGD first meets Table 1's .9508,
and 62 of Fashion-MNIST, where it first meets Table 2's .9041; of LeNet-5 5 epochs of MNIST, where the
authors of low-rank training have 120."""

ADVERSARIES = ("none", "fgsm", "pgd", *IN_L2)
EPS_L2 = 0.5
"""Of the adversaries in the l_2 ball, where the paper's 0.05 would be a tenth of a grey pixel."""

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
    `tau`, `low_rank_mode` and `preconditioner` belong to `low_rank`, the share of the full rank that layers have.
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
    adversarial_rank: int = RANK
    weights_adversarial: float = 0.0
    margin_reach: float = 0.0
    row_column: float = 0.0
    eps_weights: float = 0.0
    eps: float = 0.05
    clip: bool = False
    low_rank: float | None = None
    tau: float | None = None
    low_rank_mode: str = "clamp"
    preconditioner: str = "scalar"
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
        if self.arch != "fcnn" and self.widths != WIDTHS:
            raise UsageError("widths belong to fcnn; a cnn has padding and activation")
        if self.arch != "cnn" and (self.padding, self.activation) != ("valid", "tanh"):
            raise UsageError(f"padding and activation belong to cnn, not to {self.arch}")
        for layer in (*self.l1, *self.nuclear):
            _one_of("a regularized layer", layer, tuple(f"W{i}" for i in range(1, self.depth + 1)))
        if self.joint and self.arch != "fcnn":
            raise UsageError("the joint term is of a product of dense layers: a CNN's filters do not chain, take fcnn")
        _one_of("adversarial", self.adversarial, ADVERSARIES)
        if self.adversarial_rank != RANK and self.adversarial != "lora-pgd":
            raise UsageError("a rank belongs to --adversarial lora-pgd")
        if self.proximal and self.optimizer != "sgd":
            raise UsageError("proximal steps have the length of sgd's steps; adam's differ from weight to weight")
        if self.adversarial_share != 1 and self.adversarial == "none":
            raise UsageError(f"an adversarial share needs an attack: --adversarial {' or '.join(ADVERSARIES[1:])}")
        if (self.margin_reach or self.row_column) and self.arch != "fcnn":
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
        """A configuration with the batch size and learning rate of its architecture where none is given: the paper's,
        for LeNet-5 those of the authors of low-rank training. And an adversary's budget in its own norm.
        """
        defaults: dict[str, Any] = {}
        if settings.get("arch") == "cnn":
            defaults = {"batch_size": 64, "learning_rate": 0.001 if settings.get("start") else 0.01}
        if settings.get("arch") == "lenet5" and settings.get("optimizer", "sgd") == "sgd":
            defaults = {"learning_rate": 0.1, "momentum": 0.3}
        if settings.get("adversarial") in IN_L2:
            defaults["eps"] = EPS_L2
        return cls(**(defaults | settings))

    @property
    def depth(self) -> int:
        """The number of weight matrices."""
        return len(self.widths) - 1 if self.arch == "fcnn" else 4

    @property
    def network(self) -> Network:
        if self.arch == "fcnn":
            return fcnn
        return lenet5(self.threads) if self.arch == "lenet5" else CNN(self.padding, self.activation, self.threads)

    @property
    def blas_threads(self) -> int:
        """The CNN's threads work on pieces of a batch, each with a BLAS of one thread."""
        return self.threads if self.arch == "fcnn" else 1

    def init(self, backend: Backend) -> Params:
        """The first weights."""
        if self.arch == "fcnn":
            full = fcnn.init(backend, self.seed, self.widths, self.dtype)
        else:
            full = cnn.init(backend, self.seed, self.dtype, padding=self.padding, **SIZES[self.arch])
        share = self.low_rank
        return full if share is None else low_rank_net.init(backend, self.seed, full, share, self.dtype)

    def make_low_rank(self) -> LowRank | None:
        if self.low_rank is None:
            if self.tau is not None or (self.low_rank_mode, self.preconditioner) != ("clamp", "scalar"):
                raise UsageError("tau, low_rank_mode and preconditioner belong to low-rank training: give a low_rank")
            return None
        if self.l1 or self.nuclear or self.joint or self.margin_reach or self.row_column or self.weights_adversarial:
            raise UsageError("regularizers and adversaries of weights are for full weights, not for layers of low rank")
        if self.optimizer != "sgd":
            raise UsageError("low-rank training has sgd's steps, with momentum if you like; not adam's")
        return LowRank(self.low_rank, self.tau, self.low_rank_mode, self.preconditioner)

    def make_optimizer(self) -> Optimizer:
        if how := self.make_low_rank():
            return low_rank_sgd(how, self.learning_rate, self.momentum)
        if self.optimizer == "adam":
            return adam(self.learning_rate)
        return sgd(self.learning_rate, self.momentum)

    def make_penalty(self) -> Penalty:
        return Penalty(self.l1, self.nuclear, self.joint, self.learning_rate if self.proximal else None)

    def make_attack(self, name: str) -> Attack:
        """With the paper's steps; without a random start, a reading.

        The budget of an adversary in the l_2 ball is its own; the paper's attacks then keep the paper's.
        """
        eps = Attack.eps if self.adversarial in IN_L2 and name not in IN_L2 else self.eps
        rank = self.adversarial_rank if name == "lora-pgd" else None
        return Attack(name=name, eps=eps, rank=rank, clip=(0.0, 1.0) if self.clip else None, seed=self.seed)

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
        named = METHODS[self.arch] if self.low_rank is None else {}
        for name, settings in named.items():
            if all(getattr(self, key) == value for key, value in (NATURAL | settings).items()):
                return name
        parts = {
            "low-rank": self.low_rank is not None,
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


def _one_of(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise UsageError(f"{name} must be one of {', '.join(choices)}, got {value!r}")


def _at_least(name: str, value: int, least: int) -> None:
    if value < least:
        raise UsageError(f"{name} must be at least {least}, got {value}")
