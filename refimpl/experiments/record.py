"""The verdict on record: what the paper's experiments gave when they were last run in full."""

from importlib.resources import files
from typing import Any

from ..runs.schema import VerdictFile, from_json

FILE = "record.json"


def record() -> dict[str, Any] | None:
    """As `refimpl reproduce` writes it to verdict.json; None where there is none."""
    path = files(__package__) / FILE
    return dict(from_json(path.read_bytes(), VerdictFile, FILE)) if path.is_file() else None
