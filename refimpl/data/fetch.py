"""Fetching, the one thing in refimpl that uses the network: verified TLS, verified hashes, nothing half-written."""

import functools
import shlex
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from ..atomic import write_bytes
from ..errors import DataError
from .find import cache, file_in
from .idx import MAX_BYTES, decompress, read_decompressed, sha256
from .registry import FILES, REGISTRY, Entry

Progress = Callable[[str, int, int | None], None]
"""Called with the file, the bytes so far and, where the server says, in all; from another thread."""


def fetch(name: str, destination: Path | None = None, *, progress: Progress = lambda file, done, total: None) -> Path:
    """Fetch data set `name` into `destination/name`, by default in the user's cache; the folder.

    A file that is there and has the right SHA-256 is kept, so an interrupted fetch goes on where it stopped, file
    by file. Each file is tried at every address in turn. Raises `DataError`, naming each address and what was
    wrong with it.
    """
    return fetch_entry(REGISTRY[name], destination or cache(), progress)


def fetch_entry(entry: Entry, destination: Path, progress: Progress) -> Path:
    folder = destination / entry.name
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"{folder} cannot be made: {error}") from None
    for role, file in FILES.items():
        if not _is_there(folder, file, entry.sha256[role]):
            write_bytes(folder / f"{file}.gz", _download(entry, role, file, folder, progress))
    return folder


def _is_there(folder: Path, file: str, expected: str) -> bool:
    path = file_in(folder, file)
    try:
        return path is not None and sha256(read_decompressed(path)) == expected
    except DataError:
        return False


def _download(entry: Entry, role: str, file: str, folder: Path, progress: Progress) -> bytes:
    """The compressed file from the first address that has the right one."""
    from .download import UnreachableError, download

    reasons, unreachable = [], []
    for base in entry.bases:
        url = f"{base}{file}.gz"
        try:
            compressed = download(url, functools.partial(progress, file))
            if sha256(decompress(compressed, "what it sent", MAX_BYTES)) == entry.sha256[role]:
                return compressed
            reasons.append(f"{url}: what it sent has another SHA-256")
        except DataError as error:
            reasons.append(f"{url}: {error}")
            if isinstance(error, UnreachableError):
                unreachable.append(urlsplit(url).hostname or url)
    by_hand = f"put it into {shlex.quote(str(folder))} by hand, or use --dataset strokes"
    if len(unreachable) == len(entry.bases):
        hosts = ", ".join(unreachable)
        raise DataError(f"{file}.gz could not be fetched: cannot reach {hosts}; go online and try again, {by_hand}")
    raise DataError(f"{file}.gz could not be fetched ({'; '.join(reasons)}); {by_hand}")
