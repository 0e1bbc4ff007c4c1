"""Grids: options that take several values, every combination of them, and a name for each."""

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import click

from refimpl.errors import UsageError

from .configuration import CHOICES, TITLES, options
from .derived import Integer, Layers, Number, Option, Several

SINGLE = (TITLES["network"], TITLES["monitor"])
"""Sections whose options have one value for all runs, and of the section `run` these."""
SINGLE_OF_RUN = ("dataset", "backend", "dtype", "epochs", "checkpoint_every", "threads")

MOST = 1000
"""Runs of a grid: beyond it a value was probably mistyped."""


class Seeds(click.ParamType):
    """Seeds and ranges of them without their ends: `0:5`, `0,1,7`, `0:3,10:12`."""

    name = "seeds"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not isinstance(value, str):
            return value
        seeds: list[int] = []
        for part in value.split(","):
            first, colon, end = (piece.strip() for piece in part.partition(":"))
            low = Integer().convert(first, param, ctx)
            found = range(low, Integer().convert(end, param, ctx)) if colon else [low]
            if len(found) > MOST:
                self.fail(f"{part} are {len(found):,} seeds: more than {MOST:,}", param, ctx)
            seeds += found
        if not seeds or min(seeds) < 0:
            self.fail(f"{value!r} names no seeds from 0 on; 0:5 are 0, 1, 2, 3 and 4", param, ctx)
        return tuple(seeds)


class Values(Several):
    """Several values of an option that has one in a run."""


class SeveralLayers(click.ParamType):
    """Layers with several numbers for each, `1=0,0.003,2=0.01`: every combination, as `{"W1": 0.003, "W2": 0.01}`."""

    name = "layer=numbers"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not isinstance(value, str):
            return value
        numbers: dict[str, list[float]] = {}
        for part in value.split(","):
            layer, equals, number = part.partition("=")
            if equals and layer.strip().isdecimal():
                numbers[f"W{int(layer)}"] = []
            if not numbers or (equals and not layer.strip().isdecimal()):
                self.fail(f"{value!r} is not a list like 1=0,0.01 or 1=0,0.01,2=0.03", param, ctx)
            numbers[list(numbers)[-1]].append(Number().convert(number if equals else part, param, ctx))
        return tuple(dict(zip(numbers, each, strict=True)) for each in itertools.product(*numbers.values()))


def grid_options(others: Sequence[click.Parameter]) -> list[Option]:
    """The options of `refimpl train`; those that make sense as a grid take several values, `--seed` is `--seeds`."""
    found = options(others)
    for i, option in enumerate(found):
        if option.name == "seed":
            found[i] = Option(
                ["--seeds", "seed"], type=Seeds(), section=option.section, path=option.path,
                help="Seeds of initial weights, shuffling and random starts; 0:5 are 0, 1, 2, 3, 4.  [default: 0]",
            )  # fmt: skip
        elif option.section not in SINGLE and option.name not in SINGLE_OF_RUN:
            if isinstance(option.type, click.Choice):
                option.metavar = f"[{'|'.join(map(str, option.type.choices))}],..."
            option.type = _several(option.type)
    return found


def _several(kind: click.ParamType) -> click.ParamType:
    if isinstance(kind, Layers):
        return SeveralLayers()
    return Values(kind) if isinstance(kind, click.Choice | Number) else kind


class Point(NamedTuple):
    """One combination: each option with one value, and in words what tells it from the others, but for the seed."""

    given: dict[str, Any]
    words: str


def points(given: Mapping[str, Any], derived: Sequence[Option]) -> list[Point]:
    """Every combination of the values given, seeds the fastest. Raises `UsageError` for more than `MOST`."""
    axes = [option for option in derived if option.name in given and _is_axis(option)]
    axes.sort(key=lambda option: option.name == "seed")
    values = {str(option.name): _distinct(given[option.name]) for option in axes}
    n = math.prod(map(len, values.values()))
    if n > MOST:
        sizes = " x ".join(str(len(each)) for each in values.values() if len(each) > 1)
        raise UsageError(f"the grid has {sizes} = {n:,} runs, and at most {MOST:,} make a sweep: divide it")
    told = [option for option in axes if len(values[str(option.name)]) > 1 and option.name != "seed"]
    words = {str(option.name): _words(option, values[str(option.name)]) for option in told}
    found = []
    for places in itertools.product(*(range(len(each)) for each in values.values())):
        at = dict(zip(values, places, strict=True))
        chosen = {name: values[name][place] for name, place in at.items()}
        found.append(Point({**given, **chosen}, "-".join(words[name][at[name]] for name in words)))
    return found


def _is_axis(option: Option) -> bool:
    return isinstance(option.type, Values | Seeds | SeveralLayers)


def _distinct(values: Sequence[Any]) -> list[Any]:
    return [value for i, value in enumerate(values) if value not in values[:i]]


def _words(option: Option, values: Sequence[Any]) -> list[str]:
    """A name for each value: `pgd`, `eps-0.05`, `l1-0.003`; `l1-W1-0.003-W2-0.01` where there are several layers."""
    flag = option.opts[0].lstrip("-")
    if option.name == "method" or option.name in CHOICES.values():
        return list(values)
    if isinstance(option.type, SeveralLayers):
        return ["-".join([flag, *_factors(one)]) for one in values]
    return [f"{flag}-{_number(value)}" for value in values]


def _factors(layers: Mapping[str, float]) -> list[str]:
    if len(layers) == 1:
        return [_number(factor) for factor in layers.values()]
    return [f"{layer}-{_number(factor)}" for layer, factor in layers.items()]


def _number(value: Any) -> str:
    """As short as it says the value exactly."""
    short = f"{value:g}" if isinstance(value, float) else str(value)
    return short if not isinstance(value, float) or float(short) == value else repr(value)
