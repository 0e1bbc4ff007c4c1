"""A configuration as one flat TOML file, read strictly."""

import difflib
import tomllib
from dataclasses import asdict, fields
from typing import Any

import tomli_w

from ..errors import UsageError
from .config import Config


def to_toml(config: Config) -> str:
    settings = asdict(config) | {"widths": list(config.widths)}
    return tomli_w.dumps({name: value for name, value in settings.items() if value not in (None, {})})


def from_toml(text: str, where: str) -> Config:
    """Raises `UsageError` as `read_settings` does."""
    return Config.of(**read_settings(text, where))


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
    if _TYPES[name] in (float, float | None) and type(value) is int:
        return float(value)
    if name == "widths" or not isinstance(value, _TYPES[name]) or (type(value) is bool) != (_TYPES[name] is bool):
        raise UsageError(f"{where}: {name} cannot be {value!r}")
    return value
