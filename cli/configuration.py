"""The options of `refimpl train`, derived from the settings of its parts, and the table that given options make."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import click

from refimpl.attacks import input_attacks
from refimpl.data import NAMES
from refimpl.errors import UsageError
from refimpl.low_rank import LowRank
from refimpl.networks import NETWORKS
from refimpl.optimizers import OPTIMIZERS
from refimpl.regularizers import REGULARIZERS
from refimpl.runs.config import Config
from refimpl.runs.presets import METHODS
from refimpl.settings import Settings, kinds

from .derived import CHOSEN, Name, Option, option_of, options_of

SECTIONS = {
    "run": ("dataset", "backend", "dtype", "seed", "epochs", "batch_size", "checkpoint_every", "threads"),
    "regularizers": ("proximal",),
    "attack": ("adversarial_fraction", "adversarial_weights"),
    "monitor": ("monitor", "monitor_examples"),
}
"""Where the settings of `Config` itself stand in the help."""

TITLES = {
    "run": "Run",
    "network": "Network",
    "optimizer": "Optimizer",
    "regularizers": "Regularizers",
    "attack": "Adversarial training",
    "low_rank": "Low-rank training",
    "monitor": "Monitoring",
}
CHOICES = {"network": "arch", "optimizer": "optimizer", "attack": "adversarial"}
"""The option that chooses each part."""

LOW_RANK = {"fraction": "low_rank", "mode": "low_rank_mode"}
"""Names of options that are not those of their fields."""


def part(name: str) -> dict[str, type[Settings]]:
    """What an option can choose for a part, by name."""
    if name == "attack":
        return dict(input_attacks())
    return dict((NETWORKS if name == "network" else OPTIMIZERS).items())


def options() -> list[Option]:
    """All of them, section by section."""
    found = _own("run")
    found += [_chooser("network", "The network."), *_of_part("network")]
    found += [_chooser("optimizer", "The optimizer; the paper says SGD."), *_of_part("optimizer")]
    found += [*_of_regularizers(), *_own("regularizers")]
    found += [_method(), _chooser("attack", "Attack each batch before the step (Madry et al. 2018)."), *_own("attack")]
    found += _of_part("attack", leave_out=("seed",))
    found += [
        option_of(one, kind, LOW_RANK.get(one.name, one.name), section=TITLES["low_rank"], path=("low_rank", one.name))
        for one, kind in kinds(LowRank)
    ]
    return [*found, *_own("monitor")]


def _own(section: str) -> list[Option]:
    fields = {one.name: (one, kind) for one, kind in kinds(Config)}
    found = [option_of(*fields[name], name, section=TITLES[section], path=(name,)) for name in SECTIONS[section]]
    for option in found:
        if option.name == "dataset":
            option.type = Name(lambda: ("auto", *NAMES))
    return found


def _chooser(name: str, text: str) -> Option:
    names = list(part(name)) + (["none"] if name == "attack" else [])
    default = {"network": "fcnn", "optimizer": "sgd", "attack": "none"}[name]
    return Option(
        [f"--{CHOICES[name]}"], type=click.Choice(names), section=TITLES[name], path=(name,), show_default=default,
        help=text,
    )  # fmt: skip


def _of_part(name: str, leave_out: Sequence[str] = ()) -> list[Option]:
    return options_of(part(name), TITLES[name], (name, CHOSEN), leave_out=leave_out)


def _of_regularizers() -> list[Option]:
    """`--NAME` for the first field of a regularizer, `--NAME-FIELD` for the others."""
    found = []
    for name, term in REGULARIZERS.items():
        for place, (one, kind) in enumerate(kinds(term)):
            flag = (f"{name}-{one.name}" if place else name).replace("-", "_")
            found.append(
                option_of(one, kind, flag, section=TITLES["regularizers"], path=("regularizer", name, one.name))
            )
    return found


def _method() -> Option:
    names = list(dict.fromkeys(name for methods in METHODS.values() for name in methods))
    return Option(
        ["--method"], type=click.Choice(names), section=TITLES["attack"], path=("method",),
        help="A row of the paper's tables, instead of regularizers and attack; options beside it win.",
    )  # fmt: skip


def laid_over(table: dict[str, Any], given: Mapping[str, Any], derived: Sequence[Option]) -> dict[str, Any]:
    """A configuration's table with the given options, by their names, over it.

    Raises `UsageError` for an option that belongs to a network, an optimizer or an attack that is not chosen.
    """
    table = {name: dict(value) if isinstance(value, dict) else value for name, value in table.items()}
    by_name = {option.name: option for option in derived}
    for name in CHOICES:
        if (chosen := given.get(CHOICES[name])) == "none":
            table.pop(name, None)
        elif chosen is not None:
            table[name] = {chosen: table.get(name, {}).get(chosen, {})}
    for name, value in given.items():
        option = by_name[name]
        if option.path[0] == "regularizer":
            _, term, field = option.path
            whole = field == "layers"
            terms = table.setdefault("regularizer", {})
            terms[term] = value if whole else {**terms.get(term, {}), field: option.meant(value)}
        elif len(option.path) == 3:
            _into_chosen(table, option, value)
        elif len(option.path) == 2:
            table[option.path[0]] = {**table.get(option.path[0], {}), option.path[1]: option.meant(value)}
        elif name not in CHOICES.values():
            table[option.path[0]] = option.meant(value)
    return table


def _into_chosen(table: dict[str, Any], option: Option, value: Any) -> None:
    name, _, field = option.path
    default = {"network": "fcnn", "optimizer": "sgd", "attack": None}[name]
    chosen = next(iter(table.get(name, {})), default)
    flag = f"--{field.replace('_', '-')}"
    owners = [owner for owner, kind in part(name).items() if field in {one.name for one in dataclasses.fields(kind)}]
    if chosen is None:
        raise UsageError(f"{flag} is of an attack: give --adversarial {owners[0]}, or another of {', '.join(owners)}")
    if chosen not in owners:
        raise UsageError(f"{flag} belongs to {' and '.join(owners)}, not to {chosen}")
    table[name] = {chosen: {**table.get(name, {}).get(chosen, {}), field: option.meant(value)}}
