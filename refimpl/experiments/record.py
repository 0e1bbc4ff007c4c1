"""The verdicts on record: what the paper's experiments gave, and what the assumptions were chosen by."""

from importlib.resources import files
from typing import Any

from ..runs.schema import VerdictFile, from_json

FILE, CANDIDATES = "record.json", "candidates.json"


def record() -> dict[str, Any] | None:
    """As `refimpl reproduce` writes it to verdict.json; None where there is none."""
    return _read(FILE)


def candidates() -> dict[str, Any] | None:
    """The same of assumptions to choose from, on seeds that are not reported."""
    return _read(CANDIDATES)


def _read(name: str) -> dict[str, Any] | None:
    path = files(__package__) / name
    return dict(from_json(path.read_bytes(), VerdictFile, name)) if path.is_file() else None
