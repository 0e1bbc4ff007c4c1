"""The IDX format of MNIST and its kin, read without trust in the file.

Two zero bytes, a type (0x08, unsigned bytes), the number of dimensions, each dimension as a big-endian 32-bit number,
then the bytes themselves, to the last one. Plain, or gzip-compressed, which is told by the content and not by the name.
"""

import gzip
import hashlib
import io
import math
import zlib
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from ..atomic import read_bytes
from ..errors import DataError

MAX_BYTES = 2**28
UNSIGNED_BYTE = 0x08
GZIP_MAGIC = b"\x1f\x8b"


def read_decompressed(path: Path, max_bytes: int = MAX_BYTES) -> bytes:
    """Content of a plain or gzip-compressed file.

    Raises `DataError` where the file cannot be read, its compression is damaged, or it is or grows larger than
    `max_bytes`.
    """
    content = read_bytes(path, max_bytes)
    return decompress(content, str(path), max_bytes) if content.startswith(GZIP_MAGIC) else content


def decompress(compressed: bytes, name: str, max_bytes: int = MAX_BYTES) -> bytes:
    """Content of a gzip file that is called `name`, at most `max_bytes` of it.

    Raises `DataError` where it is none, damaged, or grows larger than `max_bytes`.
    """
    try:
        with gzip.open(io.BytesIO(compressed)) as file:
            content = file.read(max_bytes + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{name} cannot be decompressed: {error}") from None
    if len(content) > max_bytes:
        raise DataError(f"{name} cannot be decompressed: it grows larger than {max_bytes} bytes")
    return content


def parse(content: bytes, path: Path, ndim: int) -> UInt8[np.ndarray, "..."]:
    """The array in an IDX file of `ndim` dimensions; `path` is for the message.

    Raises `DataError` for a wrong type or number of dimensions, and for a length that is not the product of the
    dimensions.
    """
    header = 4 + 4 * ndim
    if len(content) < header:
        raise DataError(f"{path} is not an IDX file of bytes, {ndim}-dimensional: it ends within its header")
    if content[:4] != bytes((0, 0, UNSIGNED_BYTE, ndim)):
        raise DataError(f"{path} is not an IDX file of bytes, {ndim}-dimensional: it begins with {content[:4].hex()}")
    shape = tuple(int(size) for size in np.frombuffer(content[4:header], ">u4"))
    if len(content) - header != math.prod(shape):
        raise DataError(f"{path} promises {shape} bytes and holds {len(content) - header}: truncated or damaged")
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape)


def parse_images(content: bytes, path: Path) -> UInt8[np.ndarray, "n 28 28"]:
    """Images of 28 x 28 grey levels, at least one."""
    images = parse(content, path, 3)
    if images.shape[1:] != (28, 28) or not len(images):
        raise DataError(f"{path} holds an array of shape {images.shape}; expected at least one image of (28, 28)")
    return images


def parse_labels(content: bytes, path: Path, classes: int = 10) -> UInt8[np.ndarray, "n"]:
    """Labels 0 .. classes-1, at least one."""
    labels = parse(content, path, 1)
    if not len(labels) or labels.max() >= classes:
        what = f"the label {labels.max()}" if len(labels) else "no labels"
        raise DataError(f"{path} holds {what}; expected labels below {classes}")
    return labels


def serialise(array: UInt8[np.ndarray, "..."]) -> bytes:
    """The IDX file that holds `array`."""
    header = bytes((0, 0, UNSIGNED_BYTE, array.ndim))
    return header + np.array(array.shape, ">u4").tobytes() + array.tobytes()


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
