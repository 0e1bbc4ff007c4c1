"""A configuration as a TOML file, read strictly."""

import tomllib
from typing import Any

import tomli_w

from ..errors import UsageError
from .config import Config


def to_toml(config: Config) -> str:
    return tomli_w.dumps(config.table())


def from_toml(text: str, where: str) -> Config:
    """Raises `UsageError`, naming `where`, for what is not TOML, an unknown key or a value of the wrong type."""
    return Config.from_table(read_table(text, where), where)


def read_table(text: str, where: str) -> dict[str, Any]:
    """The tables of a file."""
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise UsageError(f"{where} is not TOML: {error}") from None
