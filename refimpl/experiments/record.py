"""The verdicts on record: what the paper's experiments gave, and what the assumptions were chosen by."""

from importlib.resources import files
from typing import Any

from ..runs.schema import VerdictFile, from_json


def record() -> dict[str, Any] | None:
    """As `refimpl reproduce` writes it to verdict.json; None where there is none."""
    return recorded("record.json", VerdictFile)


def candidates() -> dict[str, Any] | None:
    """The same of assumptions to choose from, on seeds that are not reported."""
    return recorded("candidates.json", VerdictFile)


def recorded(name: str, kind: type[Any]) -> dict[str, Any] | None:
    """A file of the package, checked against its schema; None where there is none."""
    path = files(__package__) / name
    return dict(from_json(path.read_bytes(), kind, name)) if path.is_file() else None
