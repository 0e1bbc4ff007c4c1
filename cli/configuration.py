"""The options of `refimpl train`, derived from the settings of its parts, and the table that given options make."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
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

from .derived import CHOSEN, Name, Option, listed, names_of, option_of, options_of

SECTIONS = {"proximal": "regularizers", "adversarial": "attack", "monitor": "monitor"}
"""Where settings of `Config` itself stand in the help, by how their names begin; others are of the run."""

FROM = "start"
"""The setting that the option --from gives."""

TITLES = {
    "run": "Run",
    "method": "Method of the paper",
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


def options(others: Sequence[click.Parameter] = ()) -> list[Option]:
    """All of them, section by section, to stand beside `others`."""
    regularizers, low_rank = _of_regularizers(), _of_low_rank()
    own = {section: _own(section) for section in ("run", *SECTIONS.values())}
    taken = names_of([*others, *regularizers, *low_rank, *(option for options in own.values() for option in options)])
    network, optimizer, attack = (_of_part(name, taken) for name in CHOICES)
    return [
        *own["run"],
        _method(),
        _chooser("network", "The network."),
        *network,
        _chooser("optimizer", "The optimizer; the paper says SGD."),
        *optimizer,
        *regularizers,
        *own["regularizers"],
        _chooser("attack", "Attack each batch before the step (Madry et al. 2018)."),
        *own["attack"],
        *attack,
        *low_rank,
        *own["monitor"],
    ]


def _own(section: str) -> list[Option]:
    found = [
        option_of(one, kind, one.name, section=TITLES[section], path=(one.name,))
        for one, kind in kinds(Config)
        if one.name != FROM and SECTIONS.get(one.name.partition("_")[0], "run") == section
    ]
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


def _of_part(name: str, taken: set[str]) -> list[Option]:
    elsewhere = {
        one.name for other in CHOICES if other != name for kind in part(other).values() for one in fields(kind)
    }
    leave_out = ("seed",) if name == "attack" else ()
    return options_of(part(name), TITLES[name], (name, CHOSEN), leave_out=leave_out, taken=taken | elsewhere)


def _of_low_rank() -> list[Option]:
    return [
        option_of(one, kind, LOW_RANK.get(one.name, one.name), section=TITLES["low_rank"], path=("low_rank", one.name))
        for one, kind in kinds(LowRank)
    ]


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
        ["--method"], type=click.Choice(names), section=TITLES["method"], path=("method",),
        help="A row of the paper's tables, instead of regularizers and attack; options beside it win.",
    )  # fmt: skip


def laid_over(table: dict[str, Any], given: Mapping[str, Any], derived: Sequence[Option]) -> dict[str, Any]:
    """A configuration's table with the given options, by their names, over it.

    Raises `UsageError` for an option of a part that is not chosen.
    """
    table = {name: dict(value) if isinstance(value, dict) else value for name, value in table.items()}
    for name, chooser in CHOICES.items():
        if (chosen := given.get(chooser)) == "none":
            table.pop(name, None)
        elif chosen is not None:
            table[name] = {chosen: table.get(name, {}).get(chosen, {})}
    for option in derived:  # in their order, in which what chooses a part is before the part
        if option.name not in given or option.name in CHOICES.values():
            continue
        value = option.meant(given[option.name])
        if option.path[0] == "regularizer":
            _into_term(table, option, value)
        elif option.path[0] == "low_rank":
            _into_low_rank(table, option, value)
        elif option.path[0] in CHOICES:
            _into_chosen(table, option, value)
        else:
            table[option.path[0]] = value
    return table


def _into_term(table: dict[str, Any], option: Option, value: Any) -> None:
    """Into a term of the loss; without a factor that is not 0 there is no term."""
    _, term, field = option.path
    terms = table.setdefault("regularizer", {})
    if option.name != term.replace("-", "_"):
        if term not in terms:
            raise UsageError(f"{option.opts[0]} belongs to {term}: give --{term}, too")
        terms[term] = {**terms[term], field: value}
        return
    factors = {layer: factor for layer, factor in value.items() if factor} if isinstance(value, dict) else value
    if not factors:
        terms.pop(term, None)
    else:
        terms[term] = factors if isinstance(value, dict) else {**terms.get(term, {}), field: value}


def _into_low_rank(table: dict[str, Any], option: Option, value: Any) -> None:
    _, field = option.path
    if field != "fraction" and "low_rank" not in table:
        raise UsageError(f"{option.opts[0]} belongs to low-rank training: give --low-rank, too")
    table["low_rank"] = {**table.get("low_rank", {}), field: value}


def _into_chosen(table: dict[str, Any], option: Option, value: Any) -> None:
    name, _, field = option.path
    default = {"network": "fcnn", "optimizer": "sgd", "attack": None}[name]
    chosen = next(iter(table.get(name, {})), default)
    owners = [owner for owner, kind in part(name).items() if field in {one.name for one in fields(kind)}]
    if chosen is None:
        raise UsageError(
            f"{option.opts[0]} belongs to adversarial training: give --adversarial, one of {', '.join(owners)}"
        )
    if chosen not in owners:
        raise UsageError(f"{option.opts[0]} belongs to {listed(owners)}, not to {chosen}")
    table[name] = {chosen: {**table.get(name, {}).get(chosen, {}), field: value}}
