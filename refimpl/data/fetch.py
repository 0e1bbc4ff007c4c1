"""Downloading, the one thing in refimpl that uses the network: verified TLS, verified hashes, nothing half-written."""

import gzip
import io
import logging
import tempfile
import zlib
from collections.abc import Callable
from pathlib import Path

from ..atomic import write_bytes
from ..errors import DataError
from .find import cache, file_in
from .idx import MAX_BYTES, read_bytes, sha256
from .registry import FILES, REGISTRY, Entry

TIMEOUT = 30.0

Progress = Callable[[str, int, int | None], None]
"""Called with the file, the bytes so far and, where the server says, in all."""


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
        return path is not None and sha256(read_bytes(path)) == expected
    except DataError:
        return False


def _download(entry: Entry, role: str, file: str, folder: Path, progress: Progress) -> bytes:
    """The compressed file from the first address that has the right one."""
    reasons = []
    for base in entry.bases:
        url = f"{base}{file}.gz"
        try:
            compressed = _get(url, file, progress)
            with gzip.open(io.BytesIO(compressed)) as stream:
                content = stream.read(MAX_BYTES + 1)
        except (OSError, EOFError, ValueError, zlib.error) as error:
            reasons.append(f"{url}: {str(error).splitlines()[0] if str(error) else type(error).__name__}")
            continue
        if sha256(content) == entry.sha256[role]:
            return compressed
        reasons.append(f"{url}: what it sent has another SHA-256")
    raise DataError(
        f"{file}.gz could not be fetched ({'; '.join(reasons)}); put it into {folder} by hand, or use --dataset strokes"
    )


def _get(url: str, file: str, progress: Progress) -> bytes:
    """The body at `url`. TLS certificates are verified, as requests does unless told otherwise."""
    import pooch

    pooch.get_logger().setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / file
        downloader = pooch.HTTPDownloader(progressbar=_Meter(file, progress), timeout=TIMEOUT)
        downloader(url, str(path), None)
        return path.read_bytes()


class _Meter:
    """Our progress callback in the shape that pooch calls: the interface of a tqdm bar."""

    def __init__(self, file: str, progress: Progress) -> None:
        self.file, self.progress = file, progress
        self.total: int | None = None
        self.done = 0

    def update(self, size: int) -> None:
        self.done += size
        self.progress(self.file, self.done, self.total or None)

    def reset(self) -> None:
        self.done = 0

    def close(self) -> None:
        """Nothing to put away."""
