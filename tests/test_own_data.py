"""Data of one's own: what is read, what is refused, and that every command takes it."""

import gzip
import importlib
import json
import re
import sys
import types
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import refimpl as ri
from refimpl import DataError, Dataset, UsageError
from refimpl.data import load
from refimpl.data.idx import serialise
from refimpl.networks import CNN, FCNN
from refimpl.runs.folder import Run

README = Path(__file__).parent.parent / "refimpl" / "data" / "README.md"


def arrays(rng, shape=(8, 8), classes=3, n=60):
    """Images whose mean grows with the label."""
    y = rng.integers(0, classes, n)
    x = 0.2 * rng.random((n, *shape)) + y.reshape(n, *(1 for _ in shape)) / (classes + 1)
    return x.clip(0, 1), y


def write_npz(path, rng, shape=(8, 8), **others):
    (x_train, y_train), (x_test, y_test) = arrays(rng, shape), arrays(rng, shape, n=30)
    content = {"x_train": x_train, "y_train": y_train, "x_test": x_test, "y_test": y_test} | others
    np.savez(path, **{key: value for key, value in content.items() if value is not None})
    return path


def write_idx(folder, images, labels, prefix="", compress=False):
    folder.mkdir(exist_ok=True)
    for part in ("train", "t10k"):
        for kind, array, dims in (("images", images, 3), ("labels", labels, 1)):
            content = serialise(np.asarray(array, np.uint8))
            name = f"{prefix}{part}-{kind}-idx{dims}-ubyte"
            if compress:
                (folder / f"{name}.gz").write_bytes(gzip.compress(content))
            else:
                (folder / name).write_bytes(content)
    return folder


def test_floats_become_the_nearest_grey_levels(rng):
    x, y = arrays(rng)
    data = Dataset.from_arrays((x, y), (x, y))
    assert data.train.images.dtype == np.uint8
    assert np.abs(data.train.images / 255 - x).max() <= 0.5 / 255 + 1e-12
    assert (data.shape, data.classes) == ((1, 8, 8), 3)


def test_bytes_stay_as_they_are_and_channels_come_first(rng):
    x = rng.integers(0, 256, (9, 5, 7, 3), np.uint8)
    y = np.arange(9) % 2
    behind = Dataset.from_arrays((x, y), (x, y))
    before = Dataset.from_arrays((x.transpose(0, 3, 1, 2), y), (x.transpose(0, 3, 1, 2), y))
    np.testing.assert_array_equal(behind.train.images, x.transpose(0, 3, 1, 2))
    np.testing.assert_array_equal(before.train.images, behind.train.images)
    assert behind.shape == (3, 5, 7)


def test_where_the_sizes_do_not_say_it_the_layout_must(rng):
    x, y = rng.integers(0, 256, (6, 3, 5, 3), np.uint8), np.arange(6) % 2
    with pytest.raises(DataError, match="layout"):
        Dataset.from_arrays((x, y), (x, y))
    assert Dataset.from_arrays((x, y), (x, y), layout="NCHW").shape == (3, 5, 3)
    assert Dataset.from_arrays((x, y), (x, y), layout="NHWC").shape == (3, 3, 5)


@pytest.mark.parametrize(
    ("x", "y", "words"),
    [
        (np.full((4, 2, 2), 1.5), [0, 1, 0, 1], r"x_train.*\[0, 1\].*1.5"),
        (np.full((4, 2, 2), np.nan), [0, 1, 0, 1], "x_train has values that are not finite"),
        (np.zeros((4, 2, 2), np.int64), [0, 1, 0, 1], "x_train must be uint8"),
        (np.zeros((4, 2)), [0, 1, 0, 1], "x_train must hold images"),
        (np.zeros((0, 2, 2)), [], "x_train"),
        (np.zeros((4, 2, 2)), [0, 1, 0], "x_train has 4 images, but y_train 3 labels"),
        (np.zeros((4, 2, 2)), [0, 1, 0, -1], "y_train.*-1"),
        (np.zeros((4, 2, 2)), [0, 1, 0, 256], "y_train.*256"),
        (np.zeros((4, 2, 2)), [0.0, 1.0, 0.0, 1.0], "y_train.*whole"),
        (np.zeros((4, 2, 2)), [[0], [1], [0], [1]], "y_train"),
        (np.zeros((4, 2, 2)), [1, 1, 1, 1], "y_train has a single class"),
        (np.zeros((4, 2, 2)), [0, 2, 0, 2], "y_test has the label 1, of which x_train has no example"),
    ],
)
def test_what_is_refused_names_the_array(x, y, words):
    good = np.zeros((4, 2, 2)), np.array([0, 1, 0, 1])
    with pytest.raises(DataError, match=words):
        Dataset.from_arrays((x, np.array(y)), good)


def test_a_test_set_of_one_class_is_refused():
    good = np.zeros((4, 2, 2)), np.array([0, 1, 0, 1])
    with pytest.raises(DataError, match="y_test has a single class"):
        Dataset.from_arrays(good, (good[0], np.zeros(4, int)))


@pytest.mark.parametrize(("layout", "words"), [("XYZ", "must be NCHW or NHWC"), ("NHWC", "without the channels")])
def test_a_layout_that_means_nothing_is_refused(rng, layout, words):
    with pytest.raises(DataError, match=words):
        Dataset.from_arrays(arrays(rng), arrays(rng), layout=layout)


def test_splits_of_unlike_images_are_refused(rng):
    with pytest.raises(DataError, match=r"x_train has images of \(8, 8\), but x_test of \(7, 8\)"):
        Dataset.from_arrays(arrays(rng, (8, 8)), arrays(rng, (7, 8)))


def test_a_folder_of_idx_files_of_any_size_plain_or_compressed(rng, tmp_path):
    images, labels = rng.integers(0, 256, (20, 6, 9), np.uint8), np.arange(20) % 4
    plain = load(str(write_idx(tmp_path / "plain", images, labels)))
    packed = load(str(write_idx(tmp_path / "packed", images, labels, "emnist-letters-", compress=True)))
    np.testing.assert_array_equal(plain.train.images, images)
    assert (plain.shape, plain.classes) == ((1, 6, 9), 4)
    assert plain.sha256 == packed.sha256


def test_a_folder_that_lacks_a_file_is_refused(rng, tmp_path):
    folder = write_idx(tmp_path / "data", rng.integers(0, 256, (20, 6, 9), np.uint8), np.arange(20) % 4)
    (folder / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(DataError, match="test labels"):
        load(str(folder))


@pytest.mark.parametrize(
    ("others", "words"),
    [
        ({"y_test": None}, "no y_test"),
        ({"x_train": np.array([None, 1], object)}, "x_train holds Python objects"),
        ({"layout": "HW"}, "layout"),
    ],
)
def test_an_npz_that_is_not_whole_is_refused_by_name(rng, tmp_path, others, words):
    path = write_npz(tmp_path / "mine.npz", rng, (5, 5, 3), **others)
    with pytest.raises(DataError, match=words) as refused:
        load(str(path))
    assert "mine.npz" in str(refused.value)


@pytest.mark.parametrize("content", [b"", b"PK no zip", b"\x80\x04N."])
def test_what_is_no_npz_is_refused(tmp_path, content):
    (tmp_path / "broken.npz").write_bytes(content)
    with pytest.raises(DataError, match=r"broken\.npz is not an \.npz file"):
        load(str(tmp_path / "broken.npz"))


def test_a_damaged_array_is_refused_by_name(rng, tmp_path):
    path = write_npz(tmp_path / "mine.npz", rng)
    content = bytearray(path.read_bytes())
    content[content.index(b"NUMPY") + 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"mine\.npz is not a readable \.npz file"):
        load(path)


def test_no_name_is_no_data_set():
    with pytest.raises(UsageError, match="unknown data set ''"):
        load("")


def test_the_nets_ends_follow_the_data():
    assert FCNN().for_data((3, 32, 32), 7) == FCNN((3072, 20, 20, 20, 20, 20, 7), (3, 32, 32))
    assert FCNN((64, 5, 3)).for_data((1, 8, 8), 3) == FCNN((64, 5, 3), (1, 8, 8))
    with pytest.raises(UsageError, match="from 64 pixels to 4 classes"):
        FCNN((64, 5, 3)).for_data((1, 8, 8), 4)
    assert CNN().for_data((3, 32, 32), 7) == CNN(channels=3, side=32, classes=7)
    with pytest.raises(UsageError, match="square"):
        CNN().for_data((1, 8, 9), 2)


@pytest.mark.parametrize(("arch", "shape"), [("fcnn", (8, 8)), ("fcnn", (6, 10)), ("cnn", (12, 12, 3))])
def test_the_command_line_trains_attacks_and_measures_it(refimpl, rng, tmp_path, monkeypatch, arch, shape):
    monkeypatch.chdir(tmp_path)
    write_npz(tmp_path / "mine.npz", rng, shape)
    refimpl("train", "--arch", arch, "--dataset", "mine.npz", "--epochs", 1, "--no-report")
    run = f"runs/{arch}-mine-seed0"
    for attack in ("fgsm", "pgd", "gnm", "input-weight", "pgd-l2", "lora-pgd"):
        result = json.loads(refimpl("attack", run, "--attack", attack, "--json").stdout)
        assert result["attacks"][0]["n"] == 30
    assert json.loads(refimpl("measure", run, "--mi", "--json").stdout)["n"] == 30
    refimpl("train", "--resume", run, "--epochs", 2, "--no-report")
    refimpl("train", "--from", run, "--epochs", 1, "--low-rank", "50%", "--adversarial", "pgd", "--no-report")


def test_a_run_knows_its_data_again(refimpl, rng, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = write_npz(tmp_path / "mine.npz", rng)
    refimpl("train", "--arch", "fcnn", "--dataset", path, "--epochs", 1, "--no-report")
    assert Run.open(tmp_path / "runs/fcnn-mine-seed0").config.dataset == str(path)
    write_npz(path, rng)
    refused = refimpl("attack", "runs/fcnn-mine-seed0", code=3)
    assert "other data" in refused.stderr


@pytest.fixture
def scikit_learn(monkeypatch, rng):
    """scikit-learn's digits, or, where it is not installed, images of their number, shape and range."""
    try:
        importlib.import_module("sklearn.datasets")
    except ImportError:
        x, y = arrays(rng, classes=10, n=1797)
        found = np.rint(16 * x).reshape(-1, 64), y
        module = types.SimpleNamespace(load_digits=lambda return_X_y: found)
        monkeypatch.setitem(sys.modules, "sklearn", types.SimpleNamespace(datasets=module))
        monkeypatch.setitem(sys.modules, "sklearn.datasets", module)


def test_digits_of_8_by_8_come_by_the_script_of_the_readme(refimpl, tmp_path, monkeypatch, scikit_learn):
    monkeypatch.chdir(tmp_path)
    (script,) = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    exec(compile(script, str(README), "exec"), {})
    how = ("--optimizer", "adam", "--learning-rate", "0.01", "--epochs", 8, "--no-report")
    refimpl("train", "--dataset", "digits.npz", *how, "--out", "run")
    measured = json.loads(refimpl("measure", "run", "--json").stdout)
    assert (measured["n"], measured["layers"][0]["shape"]) == (297, [20, 64])
    assert measured["accuracy"] > 0.5


def test_what_of_the_paper_carries_over(rng):
    """Definitions and their bounds, budgets and balls, and that the nuclear norm of W1 lowers its effective rank."""
    data = Dataset.from_arrays(arrays(rng, (3, 8, 8), n=200), arrays(rng, (3, 8, 8), n=50))
    config = ri.Config(network=FCNN((192, 10, 3)), optimizer=ri.Adam(learning_rate=0.02), epochs=10, batch_size=25)
    natural = ri.train(config, data).result()
    regularized = ri.train(replace(config, regularizers=(ri.regularizers.Nuclear({"W1": 0.03}),)), data).result()
    for run in (natural, regularized):
        for layer in run.measure(sigma2=0.1).layers:
            m, n = layer.shape
            assert 1 <= layer.effective_rank <= min(m, n) ** 0.5 * (1 + 1e-6)
            assert 1 <= layer.effective_sparsity <= (m * n) ** 0.5 * (1 + 1e-6)
        weak, strong = run.attack_all([ri.attacks.PGD(eps=0.01), ri.attacks.PGD(eps=0.3)])
        assert weak.n_fooled <= strong.n_fooled
        assert strong.distance.max() <= 0.3 * (1 + 1e-5)
    assert regularized.measure().layers[0].effective_rank < natural.measure().layers[0].effective_rank
    assert min(natural.measure().accuracy, regularized.measure().accuracy) > 0.8
