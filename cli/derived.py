"""Options derived from settings: names, types, units and defaults come from the fields, help is grouped by section."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import MISSING, Field
from types import NoneType, UnionType
from typing import Any, get_args, get_origin

import click
from click.shell_completion import CompletionItem

from refimpl.settings import About, Settings, kinds

Path = tuple[str, ...]
"""Where a value belongs in the table of a configuration; `CHOSEN` stands for the name that another option chooses."""

CHOSEN = "*"


class Option(click.Option):
    """An option with the section of the help it stands in, where its value belongs, and what a flag stands for."""

    def __init__(
        self, declarations: Sequence[str], *, section: str, path: Path = (), stands_for: Any = True, **attributes: Any
    ) -> None:
        usual = attributes.pop("show_default", False)
        if isinstance(usual, str):  # which click would put in parentheses
            attributes["help"] += f"  [default: {usual}]"
            usual = False
        super().__init__(declarations, show_default=usual, **attributes)
        self.section, self.path, self.stands_for = section, path, stands_for

    def meant(self, value: Any) -> Any:
        """The value of the setting: a flag that is given stands for one, a flag denied for False or None."""
        if not self.is_flag:
            return value
        return self.stands_for if value else False if self.stands_for is True else None


class Number(click.ParamType):
    """A number, a percentage or a fraction: `0.05`, `50%`, `8/255`."""

    name = "number"
    like = "a number like 0.05, 50% or 8/255"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not isinstance(value, str):
            return value
        try:
            return self.parsed(value)
        except (ValueError, ZeroDivisionError, OverflowError):
            self.fail(f"{value!r} is not {self.like}", param, ctx)

    def parsed(self, text: str) -> Any:
        if text.endswith("%"):
            return float(text[:-1]) / 100
        over, slash, under = text.partition("/")
        return float(over) / float(under) if slash else float(text)


class Rank(Number):
    """A number of singular values, `3`, or a fraction of the full rank, `10%`."""

    name = "rank"
    like = "a number like 3 or a percentage like 10%"

    def parsed(self, text: str) -> Any:
        return super().parsed(text) if text.endswith("%") else int(text)


class Integer(Number):
    name = "integer"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return click.INT.convert(value, param, ctx)


class Several(click.ParamType):
    """A comma-separated list of values, each tried by itself: `0.01,0.05,0.1`."""

    def __init__(self, kind: click.ParamType) -> None:
        self.kind, self.name = kind, f"{kind.name}s"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not isinstance(value, str):
            return value
        return tuple(self.kind.convert(part, param, ctx) for part in value.split(","))

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        before, comma, last = incomplete.rpartition(",")
        return [CompletionItem(before + comma + one.value) for one in self.kind.shell_complete(ctx, param, last)]


class Layers(click.ParamType):
    """Layers and a number for each: `1=0.01,2=0.03`, as `{"W1": 0.01, "W2": 0.03}`."""

    name = "layer=number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not isinstance(value, str):
            return value
        pairs = [part.partition("=") for part in value.split(",")]
        if not all(layer.isdecimal() for layer, _, _ in pairs):
            self.fail(f"{value!r} is not a list like 1=0.01,2=0.03", param, ctx)
        return {f"W{int(layer)}": Number().convert(number, param, ctx) for layer, _, number in pairs}


class Radii(click.ParamType):
    """One radius for all layers, `0.01`, or one for each of some, `1=0.01,2=0.02`."""

    name = "radii"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return (Layers() if "=" in str(value) else Number()).convert(value, param, ctx)


class SeveralRadii(Radii):
    """Radii for all layers, each tried by itself, `0.002,0.01`, or one for each of some layers."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if isinstance(value, str) and "=" in value:
            return (super().convert(value, param, ctx),)
        return Several(Number()).convert(value, param, ctx)


class Name(click.ParamType):
    """A name, checked where it is used, and completed in the shell."""

    name = "name"

    def __init__(self, names: Callable[[], Iterable[str]]) -> None:
        self.names = names

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        return [CompletionItem(name) for name in self.names() if name.startswith(incomplete)]


def names_of(options: Iterable[click.Parameter]) -> set[str]:
    """The names that these options are given by, with underscores."""
    return {name.lstrip("-").replace("-", "_") for option in options for name in option.opts}


def options_of(
    kinds_by_name: Mapping[str, type[Settings]],
    section: str,
    path: Path,
    *,
    leave_out: Sequence[str] = (),
    taken: Collection[str] = (),
    several: bool = False,
) -> list[Option]:
    """One option for each field that some of these settings have, `--step-size`; it says who has it.

    A field that only third parties' settings have, and whose name is `taken` by another option, says first what it is
    of: `--optimizer-eps`. With `several` numbers may be lists, each value to be tried by itself.
    """  # fmt: skip
    owners: dict[str, dict[str, tuple[Field, Any]]] = {}
    for owner, settings in kinds_by_name.items():
        for one, kind in kinds(settings):
            if one.name not in leave_out and not one.metadata["about"].of_data:
                owners.setdefault(one.name, {})[owner] = (one, kind)
    found = []
    for field, fields in owners.items():
        foreign = not any(_is_ours(kinds_by_name[owner]) for owner in fields)
        name = f"{path[0]}_{field}" if foreign and field in taken else field
        whose = f" For {listed(list(fields))}." if len(fields) < len(kinds_by_name) else ""
        found.append(_option(name, fields, whose, section=section, path=(*path, field), several=several))
    return found


def option_of(one: Field, kind: Any, name: str, *, section: str, path: Path) -> Option:
    """The option `--NAME` for one field of one class of settings."""
    return _option(name, {"": (one, kind)}, "", section=section, path=path, several=False)


def _is_ours(settings: type[Settings]) -> bool:
    return settings.__module__.partition(".")[0] == Settings.__module__.partition(".")[0]


def _option(
    name: str, fields: Mapping[str, tuple[Field, Any]], whose: str, *, section: str, path: Path, several: bool
) -> Option:
    abouts = [one.metadata["about"] for one, _ in fields.values()]
    about, kind = abouts[0], next(iter(fields.values()))[1]
    unit = _by_owner({owner: one.metadata["about"].unit for owner, (one, _) in fields.items()})
    default = _by_owner({owner: _said(one) for owner, (one, _) in fields.items()})
    flag = name.replace("_", "-")
    attributes: dict[str, Any] = {
        "section": section, "path": path, "default": None, "show_default": default or False,
        "help": about.help.removesuffix(".") + (f" ({unit})" if unit else "") + "." + whose,
    }  # fmt: skip
    if kind is bool or about.flag is not None:
        stands_for = True if about.flag is None else about.flag
        return Option([f"--{flag}/--no-{flag}", name], stands_for=stands_for, **attributes)
    return Option([f"--{flag}", name], type=_type(kind, abouts, several), **attributes)


def listed(names: list[str]) -> str:
    """`a, b and c`."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _by_owner(said: Mapping[str, str]) -> str:
    """What is said of the first, and of those of whom something else is: `0.05; 0.5 for pgd-l2`."""
    first = next(iter(said.values()))
    others: dict[str, list[str]] = {}
    for owner, words in said.items():
        if words != first:
            others.setdefault(words, []).append(owner)
    return "; ".join([first, *(f"{words} for {listed(names)}" for words, names in others.items())])


def _said(one: Field) -> str:
    """The default in words."""
    about: About = one.metadata["about"]
    if about.usual:
        return about.usual
    default = None if one.default is MISSING else one.default
    if default is None:
        return "no" if about.flag is not None else ""
    if isinstance(default, bool):
        return "yes" if default else "no"
    if isinstance(default, tuple):
        return ",".join(map(str, default))
    return f"{default:g}" if isinstance(default, float) else str(default)


def _type(kind: Any, abouts: Sequence[About], several: bool) -> click.ParamType:
    parts = [part for part in (get_args(kind) if isinstance(kind, UnionType) else (kind,)) if part is not NoneType]
    choices = list(dict.fromkeys(choice for about in abouts for choice in about.choices))
    if choices:
        return click.Choice(choices)
    if any(get_origin(part) is dict for part in parts):
        return (SeveralRadii() if several else Radii()) if len(parts) > 1 else Layers()
    if get_origin(parts[0]) is tuple:
        return Several({int: Integer(), str: click.STRING}.get(get_args(parts[0])[0], Number()))
    if parts[0] is str:
        return click.STRING
    number = Rank() if len(parts) > 1 else Integer() if parts[0] is int else Number()
    return Several(number) if several else number
