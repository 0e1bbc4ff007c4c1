"""The IDX reader gives the right array or the one clear error; never a wrong array, never a crash."""

import gzip
import math
import os
import struct
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from refimpl import DataError
from refimpl.data.idx import parse, parse_images, parse_labels, read_decompressed, serialise

HERE = Path("here")
FUZZ = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


@st.composite
def arrays(draw):
    shape = tuple(draw(st.lists(st.integers(0, 5), min_size=1, max_size=3)))
    return np.random.default_rng(draw(st.integers(0, 2**32 - 1))).integers(0, 256, shape, np.uint8)


def naive(content: bytes) -> list:
    """The format, read byte by byte."""
    zero, kind, ndim = struct.unpack(">HBB", content[:4])
    assert (zero, kind) == (0, 8)
    shape = [struct.unpack(">I", content[4 + 4 * i : 8 + 4 * i])[0] for i in range(ndim)]
    return [shape, list(content[4 + 4 * ndim :])]


def read(path: Path, ndim: int) -> np.ndarray:
    return parse(read_decompressed(path), path, ndim)


@given(arrays())
def test_there_and_back_and_as_the_naive_reader_reads(array):
    content = serialise(array)
    found = parse(content, HERE, array.ndim)
    assert_array_equal(found, array)
    assert naive(content) == [list(array.shape), array.ravel().tolist()]


@FUZZ
@given(array=arrays())
def test_plain_and_compressed_are_told_by_content(tmp_path, array):
    for name, content in (("a.gz", serialise(array)), ("b", gzip.compress(serialise(array)))):  # the wrong way round
        (tmp_path / name).write_bytes(content)
        assert_array_equal(read(tmp_path / name, array.ndim), array)


@given(arrays(), st.data())
def test_a_file_cut_short_is_refused(array, data):
    content = serialise(array)
    with pytest.raises(DataError, match="here"):
        parse(content[: data.draw(st.integers(0, len(content) - 1))], HERE, array.ndim)


@given(arrays(), st.binary(min_size=1, max_size=9))
def test_a_file_too_long_is_refused(array, more):
    with pytest.raises(DataError, match="truncated or damaged"):
        parse(serialise(array) + more, HERE, array.ndim)


@given(arrays(), st.data())
def test_a_flipped_bit_in_the_header_is_refused(array, data):
    content = bytearray(serialise(array))
    content[data.draw(st.integers(0, 3 + 4 * array.ndim))] ^= 1 << data.draw(st.integers(0, 7))
    try:
        found = parse(bytes(content), HERE, array.ndim)
    except DataError:
        return
    assert found.size == array.size == 0  # a size of 0 stays 0 whatever its neighbours are


@pytest.mark.parametrize("sizes", [(2**32 - 1,) * 3, (2**31, 2**31, 4), (2**16, 2**16, 2**32 - 1)])
def test_dimensions_that_overflow_are_refused(sizes):
    assert math.prod(sizes) >= 2**63
    with pytest.raises(DataError, match="truncated or damaged"):
        parse(bytes((0, 0, 8, 3)) + struct.pack(">III", *sizes) + b"0" * 64, HERE, 3)


@pytest.mark.parametrize(
    "content", [b"", b"\0", b"<!DOCTYPE html><title>404</title>", bytes((0, 0, 9, 1)), b"\x89PNG" * 9]
)
def test_what_is_no_idx_file_is_refused_in_one_line(content):
    for ndim in (1, 3):
        with pytest.raises(DataError, match="is not an IDX file") as caught:
            parse(content, HERE, ndim)
        assert "\n" not in str(caught.value)


@FUZZ
@given(data=st.data())
def test_damaged_compression_is_refused_or_harmless(tmp_path, data):
    array = np.arange(200, dtype=np.uint8)
    content = bytearray(gzip.compress(serialise(array)))
    if data.draw(st.booleans()):
        content = content[: data.draw(st.integers(2, len(content) - 1))]
    else:
        content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    (tmp_path / "damaged.gz").write_bytes(content)
    with suppress(DataError):
        assert_array_equal(read(tmp_path / "damaged.gz", 1), array)


def test_a_bomb_is_defused(tmp_path):
    bomb = tmp_path / "bomb.gz"
    bomb.write_bytes(gzip.compress(bytes(50_000_000)))
    assert bomb.stat().st_size < 100_000
    with pytest.raises(DataError, match=r"bomb\.gz cannot be decompressed: it grows larger than 100000 bytes"):
        read_decompressed(bomb, max_bytes=100_000)
    with pytest.raises(DataError, match=r"bomb\.gz cannot be read: it is larger than 1000 bytes"):
        read_decompressed(bomb, max_bytes=1000)


def test_the_limit_itself_is_allowed(tmp_path):
    for content in (bytes(1000), gzip.compress(bytes(1000))):
        (tmp_path / "file").write_bytes(content)
        assert read_decompressed(tmp_path / "file", max_bytes=1000) == bytes(1000)
        with pytest.raises(DataError, match="larger than 999 bytes"):
            read_decompressed(tmp_path / "file", max_bytes=999)


def test_a_fifo_and_a_device_are_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path / "fifo", Path("/dev/zero")):
        with pytest.raises(DataError, match=f"{path} cannot be read: it is not a regular file"):
            read_decompressed(path)


def test_missing_files_and_folders_are_refused(tmp_path):
    for path in (tmp_path, tmp_path / "nothing"):
        with pytest.raises(DataError, match="cannot be read"):
            read_decompressed(path)


@pytest.mark.parametrize("shape", [(0, 28, 28), (3, 28, 27), (3, 27, 28), (3, 14, 56), (3, 32, 32)])
def test_images_have_28_by_28_pixels(shape):
    with pytest.raises(DataError, match=r"expected at least one image of \(28, 28\)"):
        parse_images(serialise(np.zeros(shape, np.uint8)), HERE)


def test_images_keep_their_order_rows_and_columns(rng):
    images = rng.integers(0, 256, (2, 28, 28), np.uint8)
    found = parse_images(bytes((0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 28, 0, 0, 0, 28, *images.ravel().tolist())), HERE)
    assert_array_equal(found, images)
    assert parse_images(serialise(images[:1]), HERE).shape == (1, 28, 28)


@pytest.mark.parametrize("labels", [[], [0, 255], [10]])
def test_labels_are_below_ten(labels):
    with pytest.raises(DataError, match="expected labels below 10"):
        parse_labels(serialise(np.array(labels, np.uint8)), HERE)
