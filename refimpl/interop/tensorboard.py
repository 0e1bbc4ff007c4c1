"""The histories of runs as event files that TensorBoard reads.

The file format is TensorFlow's: records of a length, its checksum, a message, and its checksum; a message is an `Event`
of `event.proto`. Equal runs have equal files, but for the time that they started.
"""

import os
import struct
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from ..atomic import make_folder, write_bytes
from ..errors import DataError
from ..runs.folder import Run

FILE = "events.out.tfevents.refimpl"
"""A new export replaces the old one; TensorBoard reads all files of a folder whose name holds `tfevents`."""

FOLDER = Path("tensorboard")


def export_histories(runs: Sequence[Run], folder: Path | None = None) -> list[tuple[Path, int]]:
    """An event file for each run, in a folder named after it, and how many epochs it holds.

    Runs of the same name in different folders are told apart by these. Raises `DataError` for a run without an epoch
    and for a damaged one; none is then written.
    """
    unique = {run.folder.resolve(): run for run in runs}
    common = os.path.commonpath([path.parent for path in unique])
    contents = []
    for path, run in unique.items():
        history = run.history
        if not history:
            raise DataError(f"{run.folder} has no epoch to export yet")
        started = datetime.fromisoformat(run.manifest["started"]).timestamp()
        contents.append((path.relative_to(common), events(history, started), len(history)))
    written = []
    for name, content, epochs in contents:
        target = (folder or FOLDER) / name
        make_folder(target)
        write_bytes(target / FILE, content)
        written.append((target / FILE, epochs))
    return written


def scalars(log: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """Every number of an epoch log but the epoch, by its name: accuracy, effective_rank/W1, fooling_ratio/pgd.

    What is not a number (null: not finite, or undefined) is left out.
    """
    for key, value in log.items():
        if isinstance(value, list):
            for part in value:
                of = part.get("name") or part["attack"]
                yield from ((f"{name}/{of}", float(number)) for name, number in part.items() if _is_number(number))
        elif key != "epoch" and _is_number(value):
            yield key, float(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def events(history: Sequence[Mapping[str, Any]], time: float) -> bytes:
    """The content of an event file: a step for each epoch.

    The history has no clock: all events have the same `time`, in seconds since 1970.
    """
    wall_time = _key(1, FIXED_64) + struct.pack("<d", time)
    messages = [wall_time + _delimited(3, b"brain.Event:2")]
    for log in history:
        step = _key(2, VARINT) + _varint(log["epoch"])
        summary = b"".join(_delimited(1, _scalar(*one)) for one in scalars(log))
        messages.append(wall_time + step + _delimited(5, summary))
    return b"".join(map(_record, messages))


VARINT, FIXED_64, DELIMITED, FIXED_32 = 0, 1, 2, 5
"""How a field of a protocol buffer is stored."""


def _scalar(tag: str, value: float) -> bytes:
    return _delimited(1, tag.encode()) + _key(2, FIXED_32) + struct.pack("<f", value)


def _delimited(number: int, content: bytes) -> bytes:
    return _key(number, DELIMITED) + _varint(len(content)) + content


def _key(number: int, stored: int) -> bytes:
    return _varint(number << 3 | stored)


def _varint(n: int) -> bytes:
    """Seven bits a byte, the least first; the eighth says that more follow."""
    low = bytes([n & 0x7F | (0x80 if n > 0x7F else 0)])
    return low + _varint(n >> 7) if n > 0x7F else low


def _record(message: bytes) -> bytes:
    length = struct.pack("<Q", len(message))
    return length + _checksum(length) + message + _checksum(message)


def _checksum(content: bytes) -> bytes:
    """CRC-32C, turned by 15 bits and shifted by a constant."""
    crc = 0xFFFFFFFF
    for byte in content:
        crc = _crc_table()[(crc ^ byte) & 0xFF] ^ crc >> 8
    crc ^= 0xFFFFFFFF
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


@cache
def _crc_table() -> list[int]:
    """What each byte does to the remainder, by Castagnoli's polynomial, its bits in reverse."""
    table = []
    for crc in range(256):
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
        table.append(crc)
    return table
