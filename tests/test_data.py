"""Where data sets are looked for, what is refused on the way, and what the names mean."""

import gzip
import hashlib
import importlib
import json
from pathlib import Path

import numpy as np
import pytest

from refimpl import DataError, UsageError
from refimpl.data import NAMES, REGISTRY, Split, find, load, places, resolve
from refimpl.data.idx import serialise
from refimpl.data.registry import FILES, Entry

finding = importlib.import_module("refimpl.data.find")  # its name is also that of a function in it


@pytest.fixture(autouse=True)
def nothing_found(tmp_path, monkeypatch):
    """No data anywhere but where a test puts them."""
    monkeypatch.delenv("REFIMPL_DATA", raising=False)
    monkeypatch.setattr(finding, "cache", lambda: tmp_path / "cache")
    monkeypatch.setattr(finding, "SYSTEM", tmp_path / "system")


def fill(folder: Path, n: int = 4, suffix: str = "", skip: str = "") -> Path:
    """The four files of a small data set."""
    folder.mkdir(parents=True, exist_ok=True)
    for role, file in FILES.items():
        array = np.zeros((n, 28, 28), np.uint8) if "images" in role else np.arange(n, dtype=np.uint8) % 10
        content = serialise(array)
        if file != skip:
            (folder / f"{file}{suffix}").write_bytes(gzip.compress(content) if suffix else content)
    return folder


def test_the_registry_is_sound():
    hashes = [digest for entry in REGISTRY.values() for digest in entry.sha256.values()]
    assert len(set(hashes)) == len(hashes) == 8
    for entry in REGISTRY.values():
        assert set(entry.sha256) == set(FILES)
        assert all(len(bytes.fromhex(digest)) == 32 for digest in entry.sha256.values())
        assert len(entry.bases) == 3
        assert all(base.startswith("https://") and base.endswith("/") for base in entry.bases)


def test_the_order_of_search(tmp_path, monkeypatch):
    folders = {"data_dir": tmp_path / "given", "env": tmp_path / "env", "cache": tmp_path / "cache"}
    fill(tmp_path / "system" / "mnist")
    assert find("mnist") == tmp_path / "system" / "mnist"
    fill(folders["cache"] / "mnist", suffix=".gz")
    assert find("mnist") == folders["cache"] / "mnist"
    fill(folders["env"] / "mnist")
    monkeypatch.setenv("REFIMPL_DATA", str(folders["env"]))
    assert find("mnist") == folders["env"] / "mnist"
    fill(folders["data_dir"])  # flat
    assert find("mnist", folders["data_dir"]) == folders["data_dir"]
    assert [place.label for place in places("mnist", folders["data_dir"])] == [
        "--data-dir", "REFIMPL_DATA", "cache", "system"
    ]  # fmt: skip


def test_a_folder_without_the_set_is_passed_over(tmp_path):
    (tmp_path / "empty").mkdir()
    fill(tmp_path / "cache" / "mnist")
    assert find("mnist", tmp_path / "empty") == tmp_path / "cache" / "mnist"


@pytest.mark.parametrize("file", FILES.values())
def test_a_set_with_a_missing_file_is_an_error_that_names_it(tmp_path, file):
    fill(tmp_path / "mnist", skip=file)
    with pytest.raises(DataError, match=f"{file} missing") as caught:
        find("mnist", tmp_path)
    assert "\n" not in str(caught.value)


def test_a_folder_asked_for_must_exist(tmp_path, monkeypatch):
    with pytest.raises(DataError, match=r"--data-dir .*nowhere is not a folder"):
        find("mnist", tmp_path / "nowhere")
    monkeypatch.setenv("REFIMPL_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(DataError, match=r"REFIMPL_DATA .*nowhere is not a folder"):
        find("mnist")


def test_auto_is_the_papers_choice_where_found_else_strokes_with_one_line(tmp_path):
    name, remark = resolve("auto", "mnist")
    assert name == "strokes"
    assert remark is not None
    assert "refimpl data fetch mnist" in remark
    assert "\n" not in remark
    fill(tmp_path / "cache" / "mnist")
    fill(tmp_path / "cache" / "fashion-mnist")
    assert resolve("auto", "mnist") == ("mnist", None)
    assert resolve("auto", "fashion-mnist") == ("fashion-mnist", None)


def test_other_names_are_taken_as_they_are_or_refused():
    for name in NAMES:
        assert resolve(name, "mnist") == (name, None)
    for ask in (load, lambda name: resolve(name, "mnist")):
        with pytest.raises(UsageError, match="did you mean fashion-mnist"):
            ask("fashion_mnist")


def test_what_is_not_found_says_where_it_was_looked_for(tmp_path):
    with pytest.raises(DataError, match="refimpl data fetch mnist") as caught:
        load("mnist")
    for place in (tmp_path / "cache", tmp_path / "system"):
        assert str(place) in str(caught.value)


def test_other_content_is_refused_by_its_hash(tmp_path):
    fill(tmp_path / "mnist")
    with pytest.raises(DataError, match="train-images-idx3-ubyte is not the train images of mnist: its SHA-256"):
        load("mnist", data_dir=tmp_path)


def small_entry(folder: Path) -> Entry:
    hashes = {role: hashlib.sha256((folder / file).read_bytes()).hexdigest() for role, file in FILES.items()}
    return Entry("small", "A small set", ("https://example.org/",) * 3, hashes)


def test_a_verified_set_is_loaded_plain_or_compressed(tmp_path, monkeypatch):
    monkeypatch.setitem(REGISTRY, "mnist", small_entry(fill(tmp_path / "plain", n=7)))
    fill(tmp_path / "compressed", n=7, suffix=".gz")
    for folder in ("plain", "compressed"):
        data = load("mnist", data_dir=tmp_path / folder)
        assert data.train.images.shape == data.test.images.shape == (7, 28, 28)
        assert data.train.labels.tolist() == list(range(7))
        assert data.sha256 == REGISTRY["mnist"].sha256
        assert data.source == str(tmp_path / folder)


@pytest.mark.parametrize("part", ["train", "test"])
@pytest.mark.parametrize("shape", [(4, 27, 28), (4, 28, 27), (4, 784), (0, 28, 28)])
def test_a_verified_set_of_other_shapes_is_refused_and_the_file_named(tmp_path, monkeypatch, part, shape):
    file = fill(tmp_path) / FILES[f"{part}_images"]
    file.write_bytes(serialise(np.zeros(shape, np.uint8)))
    monkeypatch.setitem(REGISTRY, "mnist", small_entry(tmp_path))
    with pytest.raises(DataError, match=f"^{file} "):
        load("mnist", data_dir=tmp_path)


def test_a_command_that_completes_a_set_can_be_pasted(tmp_path):
    fill(tmp_path / "my data" / "mnist", skip=FILES["test_labels"])
    with pytest.raises(DataError, match=f"`refimpl data fetch mnist --to '{tmp_path}/my data'` completes it"):
        find("mnist", tmp_path / "my data")


def test_images_and_labels_must_belong_together():
    with pytest.raises(DataError, match="3 images but 2 labels"):
        Split(np.zeros((3, 28, 28), np.uint8), np.zeros(2, np.uint8))


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist"])
def test_real_data(real_data, name):
    data = load(name, data_dir=real_data)
    assert data.train.images.shape == (60_000, 28, 28)
    assert data.test.images.shape == (10_000, 28, 28)
    for split in (data.train, data.test):
        counts = np.bincount(split.labels, minlength=10) / len(split.labels)
        assert np.abs(counts - 0.1).max() <= (0.0 if name == "fashion-mnist" else 0.015)
        assert (split.images.min(), split.images.max()) == (0, 255)


def test_the_command_lists_and_finds(refimpl, tmp_path, monkeypatch):
    monkeypatch.setitem(REGISTRY, "mnist", small_entry(fill(tmp_path / "mnist")))
    rows = json.loads(refimpl("data", "list", "--data-dir", tmp_path, "--json").stdout)["datasets"]
    assert {row["name"]: row["path"] for row in rows} == {
        "mnist": str(tmp_path / "mnist"), "fashion-mnist": None, "strokes": "built in", "strokes-small": "built in"
    }  # fmt: skip
    assert {row["name"] for row in rows} == set(NAMES)
    assert "refimpl data fetch fashion-mnist" in refimpl("data", "list").stdout
    assert refimpl("data", "path", "mnist", "--data-dir", tmp_path).stdout.strip() == str(tmp_path / "mnist")
    assert "refimpl data fetch mnist" in refimpl("data", "path", "mnist", code=3).stderr
