"""Atomic writes and bounded reads: after a crash a file is the old one or the new one, whole.

Every `OSError` becomes a `DataError` of one line that names the file, also where the system does not (a full disk).
"""

import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import DataError

TEMPORARY = re.compile(r"\..+\.[0-9a-f]{16}\.tmp")


def write_bytes(path: Path, content: bytes) -> None:
    """Write to a temporary file beside `path`, flush it to the disk, and rename it into place.

    The permissions are those of any new file: the user's umask decides. Raises `DataError` where the file cannot be
    written; `path` is then as it was, and no temporary file remains.
    """
    temporary = temporary_beside(path)
    with _naming(path, "written"):
        try:
            with temporary.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


def temporary_beside(path: Path) -> Path:
    """A name that nobody else uses, in the folder of `path`."""
    return path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")


def write_text(path: Path, content: str) -> None:
    """`write_bytes` of UTF-8."""
    write_bytes(path, content.encode())


def append_line(path: Path, line: str) -> None:
    """Append one line and flush it to the disk. A reader must be ready for a torn last line.

    Raises `DataError` where the file cannot be written.
    """
    with _naming(path, "written"), path.open("a", encoding="utf-8") as file:
        file.write(line + "\n")
        file.flush()
        os.fsync(file.fileno())


def read_bytes(path: Path, limit: int) -> bytes:
    """Content of a regular file of at most `limit` bytes.

    Raises `DataError` for a larger file, and for a file that cannot be read or is none, such as a folder, a device or
    a FIFO, which would be waited for.
    """
    with _naming(path, "read"):
        if path.exists() and not path.is_file():
            raise DataError(f"{path} cannot be read: it is not a regular file")
        with path.open("rb") as file:
            content = file.read(limit + 1)
    if len(content) > limit:
        raise DataError(f"{path} cannot be read: it is larger than {limit} bytes")
    return content


def make_folder(path: Path) -> None:
    """Make the folder `path`, and those it is in, where they are not there yet.

    Raises `DataError` where it cannot be made.
    """
    with _naming(path, "made"):
        path.mkdir(parents=True, exist_ok=True)


def remove_temporaries(folder: Path) -> None:
    """Remove the temporary files that killed processes left in `folder`, into which nobody may be writing now."""
    for path in folder.iterdir():
        if TEMPORARY.fullmatch(path.name) and path.is_file():
            with _naming(path, "removed"):
                path.unlink(missing_ok=True)


@contextmanager
def _naming(path: Path, done: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DataError(f"{path} cannot be {done}: {error.strerror or error}") from None
