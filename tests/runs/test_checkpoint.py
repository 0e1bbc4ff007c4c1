"""Checkpoints come back to the bit or not at all."""

import json
import os
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from backends import NUMPY
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from refimpl import DataError
from refimpl.networks import fcnn
from refimpl.runs.checkpoint import FORMAT, Checkpoint, check_shapes, epoch_of, name_of, read, write

FUZZ = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def checkpoint() -> Checkpoint:
    params = fcnn.init(NUMPY, widths=(6, 4, 3))
    return Checkpoint(12, params, {f"v.{name}": 0.5 * p for name, p in params.items()})


@pytest.fixture
def path(tmp_path, checkpoint):
    write(tmp_path / "c.safetensors", checkpoint)
    return tmp_path / "c.safetensors"


def assert_same(found: Checkpoint, expected: Checkpoint):
    assert found.epoch == expected.epoch
    for ours, theirs in ((found.params, expected.params), (found.state, expected.state)):
        assert set(ours) == set(theirs)
        for name, x in theirs.items():
            assert_array_equal(ours[name], x)
            assert ours[name].dtype == x.dtype


def test_round_trip_to_the_bit(path, checkpoint):
    assert_same(read(path), checkpoint)


def test_any_reader_of_safetensors_finds_the_weights(path, checkpoint):
    assert_array_equal(load_file(path)["W1"], checkpoint.params["W1"])


def test_a_rewrite_replaces_whole_and_leaves_nothing_beside(path, checkpoint):
    write(path, checkpoint._replace(epoch=13))
    assert read(path).epoch == 13
    assert list(path.parent.iterdir()) == [path]


@FUZZ
@given(data=st.data())
def test_truncation_is_always_the_one_clear_error(path, tmp_path, data):
    content = path.read_bytes()
    damaged = tmp_path / "damaged"
    damaged.write_bytes(content[: data.draw(st.integers(0, len(content) - 1))])
    with pytest.raises(DataError, match="damaged"):
        read(damaged)


@FUZZ
@given(data=st.data())
def test_a_flipped_bit_is_an_error_or_changes_nothing(path, checkpoint, tmp_path, data):
    content = bytearray(path.read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    damaged = tmp_path / "damaged"
    damaged.write_bytes(content)
    with suppress(DataError):
        assert_same(read(damaged), checkpoint)


@pytest.mark.parametrize("content", [b"", b"\x00" * 8, b"\xff" * 64, b"<!DOCTYPE html>" * 10, b"PK\x03\x04"])
def test_other_files_are_refused(tmp_path, content):
    (tmp_path / "other").write_bytes(content)
    with pytest.raises(DataError):
        read(tmp_path / "other")


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    with pytest.raises(DataError, match="nothing cannot be read: No such file"):
        read(tmp_path / "nothing")
    with pytest.raises(DataError):
        read(tmp_path)


def test_a_fifo_is_refused_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "epoch-00001.safetensors")
    with pytest.raises(DataError, match="not a regular file"):
        read(tmp_path / "epoch-00001.safetensors")


@pytest.mark.parametrize(
    "record",
    [
        {"format": FORMAT},
        {"format": FORMAT, "epoch": "12", "sha256": "0" * 64},
        {"format": FORMAT, "epoch": -1, "sha256": "0" * 64},
        {"format": FORMAT, "epoch": 1, "sha256": 5},
        {"format": FORMAT, "epoch": 1, "sha256": "0" * 63},
    ],
)
def test_metadata_of_another_shape_are_refused(tmp_path, record):
    save_file({"W1": np.zeros(3)}, tmp_path / "c.safetensors", {"refimpl": json.dumps(record)})
    with pytest.raises(DataError, match="damaged"):
        read(tmp_path / "c.safetensors")


@pytest.mark.parametrize("metadata", [{"refimpl": "["}, {"refimpl": "[]"}, {"refimpl": "[" * 10**5}, {"other": "1"}])
def test_metadata_of_others_are_refused(tmp_path, metadata):
    save_file({"W1": np.zeros(3)}, tmp_path / "c.safetensors", metadata)
    with pytest.raises(DataError):
        read(tmp_path / "c.safetensors")


def test_an_epoch_as_a_string_is_refused_though_its_hash_is_right(path, tmp_path):
    """The hash is of the text `epoch 12`, whatever type the number has."""
    with safe_open(path, framework="numpy") as file:
        record = json.loads(file.metadata()["refimpl"])
    save_file(load_file(path), tmp_path / "c.safetensors", {"refimpl": json.dumps(record | {"epoch": "12"})})
    with pytest.raises(DataError, match=r"Expected `int`, got `str` - at `\$\.epoch`"):
        read(tmp_path / "c.safetensors")


@pytest.mark.parametrize(
    "change",
    [
        lambda tensors: {("X" if name == "W1" else name): x for name, x in tensors.items()},
        lambda tensors: tensors | {"W1": tensors["W1"].reshape(6, 4)},
        lambda tensors: tensors | {"W1": tensors["W1"].view(np.int32)},
    ],
    ids=["name", "shape", "type"],
)
def test_the_hash_is_of_names_shapes_and_types_too(path, tmp_path, change):
    with safe_open(path, framework="numpy") as file:
        metadata = file.metadata()
    save_file(change(load_file(path)), tmp_path / "c.safetensors", metadata)
    with pytest.raises(DataError, match="does not have the SHA-256 it was written with"):
        read(tmp_path / "c.safetensors")


def test_a_checkpoint_knows_its_hash(path, checkpoint):
    found = read(path)
    with safe_open(path, framework="numpy") as file:
        assert found.sha256 == json.loads(file.metadata()["refimpl"])["sha256"]
    write(path, checkpoint._replace(epoch=13))
    assert read(path).sha256 != found.sha256


@pytest.mark.parametrize("epoch", [0, 1, 99_999, 100_000, 123_456_789])
def test_a_name_gives_the_epoch_back(epoch):
    assert epoch_of(Path(name_of(epoch))) == epoch


@pytest.mark.parametrize("name", ["epoch-1.safetensors.tmp", "epoch-.safetensors", ".epoch-00001.safetensors", "x"])
def test_other_names_are_of_no_epoch(name):
    assert epoch_of(Path(name)) is None


def test_somebody_elses_safetensors_is_refused(tmp_path):
    save_file({"W1": np.zeros(3)}, tmp_path / "other.safetensors")
    with pytest.raises(DataError, match="not a checkpoint of refimpl"):
        read(tmp_path / "other.safetensors")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_numbers_that_are_not_finite_are_refused(tmp_path, checkpoint, value):
    checkpoint.params["W2"][0, 0] = value
    write(tmp_path / "c.safetensors", checkpoint)
    with pytest.raises(DataError, match="W2 has values that are not finite"):
        read(tmp_path / "c.safetensors")


@pytest.mark.parametrize(
    ("widths", "dtype", "message"),
    [
        ((6, 5, 3), "float32", "W1 is float32"),
        ((6, 4, 3), "float64", "float64"),
        ((6, 4, 3, 3), "float32", "has no W3"),
    ],
)
def test_another_configuration_is_refused(checkpoint, widths, dtype, message):
    expected = Checkpoint(0, fcnn.init(NUMPY, widths=widths, dtype=dtype), {})
    with pytest.raises(DataError, match=message):
        check_shapes(checkpoint, expected, "here")


def test_the_tensors_of_the_same_configuration_come_in_its_order(checkpoint):
    backwards = checkpoint._replace(
        params=dict(reversed(checkpoint.params.items())), state=dict(reversed(checkpoint.state.items()))
    )
    found = check_shapes(backwards, checkpoint, "here")
    assert_same(found, checkpoint)
    assert (list(found.params), list(found.state)) == (list(checkpoint.params), list(checkpoint.state))


def test_tensors_too_many_are_refused(checkpoint):
    with pytest.raises(DataError, match="more tensors"):
        check_shapes(checkpoint, checkpoint._replace(state={}), "here")
