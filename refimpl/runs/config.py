"""The configuration of a run: what is needed to do it again, as settings and as a table of plain data."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, ClassVar

from ..attacks import ATTACKS, PAPERS, InputAttack, input_attacks
from ..backend import Backend, Params, is_small
from ..backend import backend as make_backend
from ..errors import UsageError
from ..low_rank import LowRank, LowRankNetwork, LowRankSGD, mean_singular_values
from ..networks import FCNN, NETWORKS, Network
from ..optimizers import OPTIMIZERS, Optimizer, Proximal, State, Updates
from ..parameters import weights
from ..registry import Registry
from ..regularizers import REGULARIZERS, Regularizer
from ..regularizers.base import in_order
from ..settings import PIXELS, Box, Settings, kinds, nearest, setting
from ..training import AdversarialInputs, AdversarialWeights, CrossEntropy, Objective, Regularized, Step
from .presets import METHODS

MONITORS: dict[str, tuple[str, ...]] = {
    "none": (),
    "fooling": ("fooling",),
    "mi": ("mi",),
    "all": ("fooling", "mi"),
}
PARTS: dict[str, Registry[Any]] = {"network": NETWORKS, "optimizer": OPTIMIZERS, "attack": ATTACKS}
"""The tables that hold one choice, `[network.fcnn]`."""

USUAL: Any = None
"""Stands for what is usual for the network, until a `Config` is made."""

EXAMPLES = {
    "network": "FCNN()",
    "optimizer": "Adam(learning_rate=0.001)",
    "attack": "attacks.PGD(eps=0.1)",
    "regularizers": "regularizers.L1({'W1': 0.01})",
    "low_rank": "LowRank(fraction=0.5)",
}


@dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """The defaults are the paper's for the network (Section 5): its optimizer, learning rate, batches and steps.

    `epochs` None means as many as make the network's usual number of steps. `start` names the run whose weights were
    the first weights, where training is a fine-tuning. Raises `UsageError`, naming the setting, for a value that cannot
    be used, and for parts that do not go together.
    """

    name: ClassVar[str] = ""

    network: Network = field(default_factory=FCNN)
    optimizer: Optimizer = USUAL
    attack: InputAttack | None = None
    regularizers: tuple[Regularizer, ...] = ()
    low_rank: LowRank | None = None

    dataset: str = setting("auto", "Name of a data set, or auto: the paper's for the network where it is found.")
    backend: str = setting(
        "numpy", "Where to compute: numpy, cupy (a CUDA GPU), or auto (cupy where it works and is thought faster).",
        choices=("numpy", "cupy", "auto"),
    )  # fmt: skip
    dtype: str = setting("float32", "Type of weights and pixels.", choices=("float32", "float64"))
    seed: int = setting(0, "Seed of initial weights, shuffling and random starts.", at_least=0)
    epochs: int | None = setting(
        None, "Passes over the training set.", at_least=1,
        usual="240 on MNIST, 62 on Fashion-MNIST, lenet5 5; elsewhere as many as make the same number of steps",
    )  # fmt: skip
    batch_size: int = setting(USUAL, "Examples in a step.", usual="128; cnn 64", at_least=1)
    proximal: bool = setting(False, "Norms act by proximal steps, which make exact zeros, not by subgradients.")
    adversarial_fraction: float = setting(1.0, "Part of each batch that is attacked: 0.5 is half.", above=0, at_most=1)
    adversarial_weights: float = setting(
        0.0, "Take each gradient at weights perturbed by this much against the batch.", unit="weights", at_least=0
    )
    monitor: str = setting(
        "auto", "What is measured in epochs 1, 2, ..., 10, 13, 16, 20, 25, ..., and the last.",
        usual="auto: fooling with --adversarial, else none", choices=("auto", *MONITORS),
    )  # fmt: skip
    monitor_examples: int = setting(1000, "Number of test images that are monitored, drawn at random.", at_least=1)
    monitor_clip: Box | None = setting(
        None, "Attacks that are monitored keep pixels in [0, 1], also where none is trained against.", flag=PIXELS
    )
    start: str = setting("", "The run whose weights were the first.")
    checkpoint_every: int = setting(10, "Epochs between checkpoints.", at_least=1)
    threads: int = setting(
        1,
        "Threads of BLAS; of cnn, threads that share a batch. The nets are small: more can be slower.",
        at_least=1,
        at_most=1024,
    )

    def __post_init__(self) -> None:
        self._check_parts()
        if self.batch_size is None:
            object.__setattr__(self, "batch_size", self.network.usual.batch_size)
        if self.optimizer is None:
            object.__setattr__(self, "optimizer", _optimizer({"sgd": {}}, self.network, bool(self.start)))
        super().__post_init__()
        for term in self.regularizers:
            term.check(self.network)
        self._check_layers([layer for term in self.regularizers for layer in getattr(term, "layers", ())])
        if self.adversarial_fraction != 1 and self.attack is None:
            raise UsageError("an adversarial fraction needs an attack: --adversarial pgd")
        if self.low_rank and (self.adversarial_weights or not all(term.in_factors for term in self.regularizers)):
            raise UsageError(
                "adversarial weights and regularizers, but for conditioning, are for full weights, not for layers of"
                " low rank"
            )
        self.updates()
        self.trained()

    def make_backend(self) -> Backend:
        """The backend that it says; for `auto` NumPy where the net is small. Raises `BackendError`."""
        if self.backend != "auto":
            return make_backend(self.backend)
        return make_backend("auto", small=is_small(self.network.init(make_backend("numpy")), self.batch_size))

    def _check_parts(self) -> None:
        """Raise `UsageError` for a part that is of another kind: a class, a name, an attack on weights."""
        parts = {"network": Network, "optimizer": Optimizer | None, "attack": InputAttack | None}
        found = [(name, getattr(self, name), kind) for name, kind in (*parts.items(), ("low_rank", LowRank | None))]
        if not isinstance(self.regularizers, tuple):
            raise UsageError(f"regularizers must be a tuple of regularizers, got {self.regularizers!r}")
        for name, value, kind in [*found, *(("regularizers", term, Regularizer) for term in self.regularizers)]:
            if not isinstance(value, kind):
                raise UsageError(f"{name} cannot be {value!r}: make one, such as {EXAMPLES[name]}")

    def _check_layers(self, regularized: list[str]) -> None:
        layers = list(weights(self.network.init(make_backend("numpy")))) if regularized else []
        for layer in regularized:
            if layer not in layers:
                raise UsageError(f"a regularized layer must be one of {', '.join(layers)}, got {layer!r}")

    def check_named(self) -> None:
        """Raise `UsageError` for a part that is in no registry, and that a file can therefore not name."""
        chosen = [(registry, getattr(self, part)) for part, registry in PARTS.items() if getattr(self, part)]
        terms: list[tuple[Registry[Any], Any]] = [(REGULARIZERS, term) for term in self.regularizers]
        for registry, one in [*chosen, *terms]:
            if one.name not in registry or registry[one.name] is not type(one):
                raise UsageError(
                    f"config.toml cannot name {type(one).__name__}: register the class as a {registry.kind}, as"
                    " CONTRIBUTING.md shows, or train it without a folder"
                )

    @classmethod
    def from_table(cls, table: Any, where: str = "") -> "Config":
        """From nested tables, `{"network": {"cnn": {"padding": "same"}}, "seed": 1}`; strict, as settings are."""
        try:
            return cls(**cls._values(table))
        except UsageError as error:
            raise UsageError(f"{where}: {error}" if where else str(error)) from None

    @classmethod
    def _values(cls, table: Any) -> dict[str, Any]:
        """The fields that a table names, and what is usual for its network."""
        if not isinstance(table, Mapping):
            raise UsageError(f"expected a table of settings, got {table!r}")
        known = [one.name for one in fields(cls) if one.name != "regularizers"] + ["regularizer"]
        for name in table:
            if name not in known:
                raise UsageError(f"unknown setting {name!r}{nearest(name, known)}")
        values = {one.name: cls._accepted(one, kind, table[one.name]) for one, kind in kinds(cls) if one.name in table}
        values["network"] = _choice(NETWORKS, table.get("network", {"fcnn": {}}), "network")
        if "optimizer" in table:
            values["optimizer"] = _optimizer(table["optimizer"], values["network"], bool(values.get("start")))
        values["regularizers"] = _terms(table.get("regularizer", {}))
        if "attack" in table:
            values["attack"] = _input_attack(_seeded(table["attack"], values.get("seed", 0)))
        if "low_rank" in table:
            values["low_rank"] = LowRank.from_table(table["low_rank"], "low_rank")
        return values

    def table(self) -> dict[str, Any]:
        """Nested tables that `from_table` makes the same configuration of; scalars first, as TOML wants them."""
        nested = ("network", "optimizer", "attack", "regularizers", "low_rank")
        values = super().table()
        found = {name: value for name, value in values.items() if name not in nested}
        for part in PARTS:
            chosen = getattr(self, part)
            if chosen is not None:
                found[part] = {chosen.name: chosen.table()}
        if self.regularizers:
            found["regularizer"] = {term.name: term.table() for term in self.regularizers}
        if self.low_rank:
            found["low_rank"] = self.low_rank.table()
        return found

    @property
    def arch(self) -> str:
        return self.network.name

    def trained(self) -> Network:
        """The network that is trained: the one chosen, or it in factors."""
        return LowRankNetwork(self.network, self.low_rank.fraction) if self.low_rank else self.network

    def init(self, backend: Backend) -> Params:
        """The first weights."""
        return self.trained().init(backend, self.seed, self.dtype)

    def updates(self) -> Updates:
        """The optimizer, with what surrounds it."""
        if self.low_rank:
            return LowRankSGD(self.optimizer, self.low_rank)
        return Proximal(self.optimizer, self._with_prox) if self.proximal else self.optimizer

    def state(self, params: Params, start: Params | None = None) -> State:
        """The optimizer's state before the first step from `params`; `start` are the weights given to start from."""
        updates, network = self.updates(), self.trained()
        if not (isinstance(updates, LowRankSGD) and isinstance(network, LowRankNetwork)) or updates.how.mode != "mean":
            return updates.init(params)
        return updates.init(params, network.first_means(self.seed) if start is None else mean_singular_values(start))

    @property
    def _with_prox(self) -> tuple[Regularizer, ...]:
        return tuple(term for term in self.regularizers if term.has_prox)

    def objective(self) -> Objective:
        """What is minimised: the adversary of the inputs outside that of the weights, regularizers outermost."""
        objective: Objective = CrossEntropy(self.trained())
        if self.adversarial_weights:
            objective = AdversarialWeights(objective, self.adversarial_weights)
        if self.attack:
            objective = AdversarialInputs(objective, self.trained(), self.attack, self.adversarial_fraction)
        terms = tuple(term for term in self.regularizers if not (self.proximal and term.has_prox))
        return Regularized(objective, terms) if terms else objective

    def step(self, params: Params, state: State) -> Step:
        return Step(self.objective(), self.updates(), params, state)

    @property
    def blas_threads(self) -> int:
        """1 where the network has threads of its own."""
        return 1 if self.network.own_threads else self.threads

    @property
    def monitored(self) -> tuple[str, ...]:
        """What is measured in training beside the weights: the fooling ratio where an attack is trained against."""
        return MONITORS[("fooling" if self.attack else "none") if self.monitor == "auto" else self.monitor]

    def paper_attack(self, name: str) -> InputAttack:
        """One of the paper's attacks, with the budget and clipping that the net is trained against, if in its norm.

        Pixels are kept in `monitor_clip` where that is given.
        """
        kind: Any = ATTACKS[name]
        same = self.attack is not None and self.attack.ball == kind().ball and not self.attack.smallest
        attack: InputAttack = kind(eps=self.attack.eps) if self.attack and same else kind()
        if self.attack and self.attack.name == name:
            attack = self.attack
        clip = self.monitor_clip or (self.attack.clip if self.attack else None)
        return replace(attack, clip=clip)

    def monitored_attacks(self) -> list[InputAttack]:
        names = [*PAPERS, *([] if self.attack is None or self.attack.name in PAPERS else [self.attack.name])]
        return [self.paper_attack(name) for name in names] if "fooling" in self.monitored else []

    @property
    def method(self) -> str:
        """The method by its name in `METHODS`; otherwise in a word or two: l1-pgd, joint, ..."""
        mine = {term.name: term.table() for term in self.regularizers}
        attack = self.attack.name if self.attack else None
        if not self.low_rank and not self.adversarial_weights:
            for name, table in METHODS.get(self.arch, {}).items():
                if table.get("regularizer", {}) == mine and next(iter(table.get("attack", {})), None) == attack:
                    return name
        parts: dict[Any, bool] = {
            "low-rank": self.low_rank is not None,
            attack: attack is not None,
            "weights": self.adversarial_weights > 0,
            **{name: True for name in mine},
        }
        return "-".join(str(name) for name, used in parts.items() if used) or "natural"

    def epochs_for(self, n_train: int) -> int:
        return self.epochs or math.ceil(self.network.usual.steps / math.ceil(n_train / self.batch_size))


def _choice(registry: Registry, table: Any, where: str) -> Any:
    """The one thing a table chooses: `{"pgd": {"eps": 0.1}}`."""
    if not isinstance(table, Mapping) or len(table) != 1:
        raise UsageError(f"{where} must hold one table with its settings, such as {where}.{registry.names()[0]}")
    ((name, settings),) = table.items()
    return registry[name].from_table(settings, f"{where}.{name}")


def _input_attack(table: Any) -> InputAttack:
    attack = _choice(ATTACKS, table, "attack")
    if not isinstance(attack, InputAttack):
        raise UsageError(f"{attack.name} does not perturb inputs alone: choose one of {', '.join(input_attacks())}")
    return attack


def _terms(table: Any) -> tuple[Regularizer, ...]:
    """The regularizers of a table, in the order in which they are added, whatever the table's is."""
    if not isinstance(table, Mapping):
        raise UsageError("regularizer must hold tables, such as regularizer.l1")
    for name in table:
        if name not in REGULARIZERS:
            raise UsageError(f"unknown regularizer {name!r}{nearest(name, list(REGULARIZERS.names()))}")
    return tuple(REGULARIZERS[name].from_table(table[name], f"regularizer.{name}") for name in in_order(table))


def _optimizer(table: Any, network: Network, tuned: bool) -> Any:
    """The optimizer of a table, with the network's usual learning rate and momentum where none is given."""
    if isinstance(table, Mapping) and len(table) == 1 and isinstance(next(iter(table.values())), Mapping):
        ((name, settings),) = table.items()
        rates = network.usual.tuned if tuned else network.usual.learning_rates
        table = {name: {**rates.get(name, {}), **settings}}
    return _choice(OPTIMIZERS, table, "optimizer")


def _seeded(table: Any, seed: int) -> Any:
    """An attack's table with the run's seed, where the attack has one and none is given."""
    if not isinstance(table, Mapping) or len(table) != 1 or not isinstance(next(iter(table.values())), Mapping):
        return table
    ((name, settings),) = table.items()
    drawn = name in ATTACKS and any(one.name == "seed" for one in fields(ATTACKS[name]))
    return {name: {"seed": seed, **settings} if drawn else settings}
