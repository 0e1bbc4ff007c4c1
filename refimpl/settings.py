"""Settings as frozen dataclasses: each field says what it means, its unit and its limits, and refuses what is beyond.

The command line derives its options from the fields, configuration files their tables, and results their keys.
"""

import difflib
import math
import operator
from collections.abc import Mapping
from dataclasses import Field, dataclass, field, fields
from types import NoneType, UnionType
from typing import Any, ClassVar, TypeVar, get_args, get_origin, get_type_hints

from .errors import UsageError
from .parameters import names_layer

S = TypeVar("S", bound="Settings")

Box = tuple[float, float]
"""The least and the largest value of a pixel."""

PIXELS = (0.0, 1.0)


@dataclass(frozen=True, kw_only=True)
class About:
    """What is known of a field besides its type and default.

    `flag` is the value that the mere name of a command-line option stands for. `usual` says the default in words where
    it depends on other settings. What is `of_data` follows from the data, and no option sets it.
    """

    help: str
    unit: str = ""
    usual: str = ""
    choices: tuple[str, ...] = ()
    at_least: int | float | None = None
    above: int | float | None = None
    at_most: int | float | None = None
    below: int | float | None = None
    flag: Any = None
    infinite: bool = False
    of_data: bool = False


def setting(default: Any, help: str, **about: Any) -> Any:
    """A field of `Settings` with its default; `about` are fields of `About`."""
    return field(default=default, metadata={"about": About(help=help, **about)})


def by_layer(help: str) -> Any:
    """A field that maps the names of layers, W1, W2, ..., to positive numbers."""
    return field(default_factory=dict, metadata={"about": About(help=help, at_least=0)})


@dataclass(frozen=True)
class Settings:
    """Named values that validate themselves. Raises `UsageError`, naming the setting, for one that cannot be used."""

    name: ClassVar[str] = ""

    def __post_init__(self) -> None:
        for one, kind in kinds(type(self)):
            object.__setattr__(self, one.name, self._accepted(one, kind, getattr(self, one.name)))

    def table(self) -> dict[str, Any]:
        """The values by name, as a file of plain data holds them; without those that are None."""
        values = {one.name: getattr(self, one.name) for one in fields(self)}
        return {name: _plain(value) for name, value in values.items() if value is not None}

    @classmethod
    def from_table(cls: type[S], table: Any, where: str) -> S:
        """Strict: an unknown key is a `UsageError` that names `where` and the nearest known one."""
        if not isinstance(table, Mapping):
            raise UsageError(f"{where} must be a table of settings, got {table!r}")
        known = [one.name for one in fields(cls)]
        for name in table:
            if name not in known:
                raise UsageError(f"{where}: unknown setting {name!r}{nearest(name, known)}")
        try:
            named = [(one, kind) for one, kind in kinds(cls) if one.name in table]
            values = {one.name: cls._accepted(one, kind, table[one.name]) for one, kind in named}
            return cls(**{**table, **values})
        except UsageError as error:
            raise UsageError(f"{where}: {error}") from None

    @classmethod
    def _accepted(cls, one: Field, kind: Any, value: Any) -> Any:
        """The value of a field as its type has it. Raises `UsageError` for one that cannot be used."""
        name = f"{cls.name} {one.name}".strip()
        try:
            value = coerce(value, kind)
            check(name, value, kind, one.metadata["about"])
        except OverflowError:
            raise UsageError(f"{name} is too large for a number") from None
        return value


def kinds(settings: type[Settings]) -> list[tuple[Field, Any]]:
    """The fields of a class of settings, each with its type."""
    hints = get_type_hints(settings)
    return [(one, hints[one.name]) for one in fields(settings) if "about" in one.metadata]


def nearest(name: str, known: list[str]) -> str:
    """A hint for a message about an unknown name."""
    close = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; choose of {', '.join(known)}"


def coerce(value: Any, kind: Any) -> Any:
    """Lists as tuples, whole numbers as floats, where the type asks for them."""
    parts = get_args(kind) if isinstance(kind, UnionType) else (kind,)
    if isinstance(value, list):
        value = tuple(value)
    if type(value) is int and float in parts and int not in parts:
        return float(value)
    for part in parts:
        if get_origin(part) is tuple and isinstance(value, tuple) and get_args(part)[0] is float:
            return tuple(float(one) if type(one) is int else one for one in value)
        if get_origin(part) is dict and isinstance(value, Mapping):
            return {name: float(one) if type(one) is int else one for name, one in value.items()}
    return value


def check(name: str, value: Any, kind: Any, about: About) -> None:
    """Raise `UsageError` unless `value` is of the type `kind` and within the limits."""
    if about.choices and value not in about.choices:
        raise UsageError(f"{name} must be one of {', '.join(about.choices)}, got {value!r}")
    if not is_of(value, kind):
        raise UsageError(f"{name} cannot be {value!r}: give {in_words(kind)}")
    parts = value if isinstance(value, Mapping) else {}
    for layer in parts:
        if not names_layer(layer):
            raise UsageError(f"{name} is by layer, W1, W2, ...; got {layer!r}")
    for layer, number in (parts or {"": value}).items():
        if type(number) in (int, float):
            _within(f"{name} {layer}".strip(), number, about)


def _within(name: str, number: int | float, about: About) -> None:
    limits = (
        (about.at_least, "at least", operator.ge),
        (about.above, "above", operator.gt),
        (about.at_most, "at most", operator.le),
        (about.below, "below", operator.lt),
    )
    asked = [(limit, words, holds) for limit, words, holds in limits if limit is not None]
    finite = math.isfinite(number) or (about.infinite and not math.isnan(number))
    if not (finite and all(holds(number, limit) for limit, _, holds in asked)):
        words = [] if about.infinite else ["finite"]
        words += [f"{word} {limit:g}" for limit, word, _ in asked]
        raise UsageError(f"{name} must be {' and '.join(words)}, got {number}")


def is_of(value: Any, kind: Any) -> bool:
    """Whether a value is of a type, as far as settings have types; a bool is no number."""
    if isinstance(kind, UnionType):
        return any(is_of(value, part) for part in get_args(kind))
    if kind is NoneType:
        return value is None
    parts = get_args(kind)
    if get_origin(kind) is tuple:
        if not isinstance(value, tuple):
            return False
        inner = parts[:1] * len(value) if parts[-1] is ... else parts
        return len(inner) == len(value) and all(map(is_of, value, inner))
    if get_origin(kind) is dict:
        return isinstance(value, dict) and all(is_of(k, parts[0]) and is_of(v, parts[1]) for k, v in value.items())
    return type(value) is kind


def in_words(kind: Any) -> str:
    """A type as a user knows it, without saying that it may be left out."""
    if isinstance(kind, UnionType):
        return " or ".join(in_words(part) for part in get_args(kind) if part is not NoneType)
    if parts := [part for part in get_args(kind) if part is not ...]:
        inner = in_words(parts[-1]).removeprefix("a ") + "s"
        if get_origin(kind) is dict:
            return f"a table of {inner}"
        return f"a list of {inner}" if ... in get_args(kind) else f"a list of {len(parts)} {inner}"
    return {bool: "true or false", int: "a whole number", float: "a number", str: "text"}.get(kind, kind.__name__)


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else dict(value) if isinstance(value, Mapping) else value
