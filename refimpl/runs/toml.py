"""A configuration as a TOML file, read strictly."""

import tomllib
from pathlib import Path
from typing import Any

import tomli_w

from ..atomic import read_bytes
from ..errors import DataError, UsageError
from .config import Config

MAX_BYTES = 2**20
FLAT = ("arch", "widths", "learning_rate", "momentum", "adversarial", "eps", "l1", "nuclear", "watch")
"""Settings that stood outside of tables in configurations of the first format; each of those has one of them."""


def to_toml(config: Config) -> str:
    return tomli_w.dumps(config.table())


def read_config(path: Path) -> Config:
    """The configuration in a run's folder. Raises `DataError` where it is not as it was written."""
    try:
        return from_toml(read_bytes(path, MAX_BYTES).decode(), str(path))
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is damaged: {error}") from None
    except UsageError as error:
        raise DataError(str(error)) from None


def from_toml(text: str, where: str) -> Config:
    """Raises `UsageError`, naming `where`, for what is not TOML, an unknown key or a value of the wrong type."""
    return Config.from_table(read_table(text, where), where)


def read_table(text: str, where: str) -> dict[str, Any]:
    """The tables of a file. Raises `UsageError` for what is not TOML, or a configuration of the first format."""
    try:
        table = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{where} is not TOML: {error}") from None
    flat = [name for name in FLAT if name in table]
    if flat:
        raise UsageError(
            f"{where} has the flat format of earlier versions, with {flat[0]} outside of any table: the parts of a"
            " configuration have tables now, such as [network.fcnn] and [optimizer.sgd]; train the run anew"
        )
    return table
