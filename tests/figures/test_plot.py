"""Pictures of one's own runs: the numbers are those of the run, nothing is cut or overlaps, equal runs equal bytes."""

import csv
import importlib
import json
import math
import shutil

import matplotlib
import numpy as np
import pytest
from legible import check_legible
from refimpl_figures.drawing import styled
from refimpl_figures.plots import NAMES
from refimpl_figures.plots.source import Source
from refimpl_figures.plots.weights import mosaic

from refimpl.data import load
from refimpl.runs.folder import Run

TRAIN = ("train", "--dataset", "strokes-small", "--optimizer", "adam", "--learning-rate", "0.01")


@pytest.fixture(scope="module")
def run(refimpl, tmp_path_factory):
    """Trained against PGD and monitored, attacked with two budgets in each of two norms."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    refimpl(*TRAIN, "--epochs", 3, "--method", "pgd", "--monitor", "all", "--out", folder)
    refimpl("attack", folder, "--attack", "pgd", "--eps", "0.1")
    refimpl("attack", folder, "--attack", "pgd-l2", "--eps", "0.5,1.0")
    return folder


@pytest.fixture(scope="module")
def coloured(refimpl, tmp_path_factory):
    """A convolutional net on images of three channels."""
    folder = tmp_path_factory.mktemp("coloured")
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 256, (60, 3, 12, 12), dtype=np.uint8), rng.integers(0, 3, 60, dtype=np.uint8)
    np.savez(folder / "own.npz", x_train=x[:40], y_train=y[:40], x_test=x[40:], y_test=y[40:])
    given = ("--arch", "cnn", "--epochs", "1", "--no-report", "--out", folder / "run")
    refimpl("train", "--dataset", folder / "own.npz", *given)
    return folder / "run"


@pytest.fixture(scope="module")
def drawn(refimpl, run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("drawn")
    refimpl("plot", run, "--out", folder, "--format", "png,pdf,svg")
    return folder


def rows_of(folder, name):
    return list(csv.DictReader((folder / f"run-{name}.csv").read_text().splitlines()))


def numbers(row, prefix):
    return [float(value) for key, value in row.items() if key.startswith(prefix) and key[len(prefix) :].isdecimal()]


def test_every_picture_is_drawn_in_each_format_with_its_numbers(drawn):
    kinds = ("csv", "pdf", "png", "svg")
    assert {path.name for path in drawn.iterdir()} == {f"run-{name}.{kind}" for name in NAMES for kind in kinds}
    beginnings = {".png": b"\x89PNG", ".pdf": b"%PDF", ".svg": b"<?xm"}
    for path in drawn.iterdir():
        assert path.suffix == ".csv" or path.read_bytes()[:4] == beginnings[path.suffix]


@pytest.mark.slow
def test_the_same_run_gives_the_same_bytes(refimpl, run, drawn, tmp_path):
    refimpl("plot", run, "--out", tmp_path, "--format", "png,pdf,svg")
    for path in drawn.iterdir():
        assert (tmp_path / path.name).read_bytes() == path.read_bytes(), path.name


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("which", ["run", "coloured"])
def test_no_text_is_cut_or_lies_on_another(request, which, name):
    if which == "coloured" and name in ("information", "fooling", "security"):
        return
    module = importlib.import_module(f"refimpl_figures.plots.{name.replace('-', '_')}")
    with styled(), matplotlib.rc_context({"text.parse_math": False}):
        check_legible(module.draw(Source(request.getfixturevalue(which), "run")).figure)


@pytest.mark.parametrize("name", NAMES)
def test_every_title_names_net_data_budget_and_seed(run, name):
    module = importlib.import_module(f"refimpl_figures.plots.{name.replace('-', '_')}")
    with styled():
        title = module.draw(Source(run, "run")).figure.get_suptitle()
    for words in ("fcnn on strokes-small", "pgd training", "ε = 0.05", "seed 0", "after 3 epochs"):
        assert words in title


def test_curves_are_what_the_history_says(run, drawn):
    history = Run.open(run).history
    for line, losses, rank, sparsity in zip(
        history, *(rows_of(drawn, name) for name in ("losses", "rank", "sparsity")), strict=True
    ):
        for key in ("epoch", "loss", "test_loss", "accuracy"):
            assert float(losses[key]) == pytest.approx(line[key], rel=1e-5)
        for layer in line["layers"]:
            assert float(rank[layer["name"]]) == pytest.approx(layer["effective_rank"], rel=1e-5)
            assert float(sparsity[layer["name"]]) == pytest.approx(layer["effective_sparsity"], rel=1e-5)


def test_information_and_fooling_are_what_the_history_says(run, drawn):
    history = Run.open(run).history
    bounds = [
        (line["epoch"], layer["name"], layer["mutual_information_lower"], layer["mutual_information_upper"])
        for line in history
        for layer in line["layers"][:-1]
    ]
    shown = [
        (int(row["epoch"]), row["layer"], float(row["lower"]), float(row["upper"]))
        for row in rows_of(drawn, "information")
    ]
    assert [row[:2] for row in shown] == [row[:2] for row in bounds]
    assert np.allclose([row[2:] for row in shown], [row[2:] for row in bounds], rtol=1e-5)
    ratios = [attack["fooling_ratio"] for line in history for attack in line["attacks"]]
    assert [float(row["fooling_ratio"]) for row in rows_of(drawn, "fooling")] == pytest.approx(ratios, rel=1e-5)


def test_singular_values_have_the_effective_rank_that_was_measured(run, drawn):
    rows = rows_of(drawn, "singular-values")
    for layer in Run.open(run).history[-1]["layers"]:
        values = [float(row["singular_value"]) for row in rows if row["layer"] == layer["name"]]
        rank = sum(values) / math.sqrt(sum(value**2 for value in values))
        assert rank == pytest.approx(layer["effective_rank"], rel=1e-4)


def test_weights_are_the_rows_of_the_first_matrix(run, drawn):
    W = Run.open(run).latest().params["W1"]
    shown = np.array([numbers(row, "w") for row in rows_of(drawn, "weights")])
    assert shown.shape == W.shape
    assert np.allclose(shown, W, rtol=1e-5)


def test_images_lie_in_rows_with_a_line_between_them_and_channels_beside_each_other():
    nan = np.nan
    two = np.array([[[[1.0, 2.0], [3.0, 4.0]]], [[[5.0, 6.0], [7.0, 8.0]]]])
    expected = [[1, 2, nan, 5, 6], [3, 4, nan, 7, 8]]
    assert np.array_equal(mosaic(two), expected, equal_nan=True)
    assert np.array_equal(mosaic(two.reshape(1, 2, 2, 2)), [[1, 2, 5, 6], [3, 4, 7, 8]])


def test_examples_are_test_images_and_what_pgd_makes_of_them_within_its_budget(drawn):
    rows, test = rows_of(drawn, "examples"), load("strokes-small").test
    assert rows
    assert len(rows) % 3 == 0
    for before, change, after in zip(rows[::3], rows[1::3], rows[2::3], strict=True):
        index = int(before["test_index"])
        x, perturbation, x_adv = (np.array(numbers(row, "p")) for row in (before, change, after))
        assert np.allclose(x, test.images[index].ravel() / 255, atol=1e-5)
        assert int(before["label"]) == test.labels[index]
        assert 0.049 < np.abs(perturbation).max() < 0.05001
        assert np.allclose(x + perturbation, x_adv, atol=1e-5)


def test_the_security_curve_is_what_the_results_of_attacks_say(run, drawn):
    expected = {}
    for path in (run / "attacks").glob("*.json"):
        summary = json.loads(path.read_text())
        expected[summary["attack"], summary["eps"]] = summary["robust_accuracy"]
        expected[summary["attack"], 0.0] = summary["accuracy"]
    shown = {}
    for row in rows_of(drawn, "security"):
        shown[row["attack"], float(row["eps"])] = float(row["robust_accuracy"])
        assert float(row["low"]) <= float(row["robust_accuracy"]) <= float(row["high"])
    assert shown == pytest.approx(expected, rel=1e-5)
    assert {name for name, _ in shown} == {"fgsm", "pgd", "gnm", "pgd-l2"}


def test_pictures_of_coloured_images(refimpl, coloured, tmp_path):
    result = refimpl("plot", coloured, "--what", "weights,examples", "--format", "png", "--out", tmp_path)
    assert result.stderr == ""
    assert len(numbers(rows_of(tmp_path, "weights")[0], "w")) == 3 * 3 * 3
    assert len(numbers(rows_of(tmp_path, "examples")[0], "p")) == 3 * 12 * 12


def test_what_is_not_there_is_left_out_in_one_line(refimpl, coloured, tmp_path):
    what = "losses,information,fooling,security"
    result = refimpl("plot", coloured, "--what", what, "--out", tmp_path, "--format", "png")
    assert {path.name for path in tmp_path.iterdir()} == {"run-losses.png", "run-losses.csv"}
    (line,) = result.stderr.splitlines()
    for words in ("left out", "information (train with --monitor mi)", "fooling", "security"):
        assert words in line
    nothing = refimpl("plot", coloured, "--what", "fooling", "--out", tmp_path / "none", code=3)
    assert "no picture was drawn" in nothing.stderr
    assert not (tmp_path / "none").exists()


def test_examples_are_left_out_where_the_data_are_gone(refimpl, coloured, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(coloured, copy)
    config = (copy / "config.toml").read_text()
    (copy / "config.toml").write_text(config.replace("own.npz", "gone.npz"))
    result = refimpl("plot", copy, "--what", "losses,examples", "--out", tmp_path / "out", "--format", "png")
    assert "left out: examples (" in result.stderr


def test_runs_of_the_same_name_have_pictures_of_their_own(refimpl, run, coloured, tmp_path):
    refimpl("plot", run, coloured, run, "--what", "losses", "--out", tmp_path, "--format", "png")
    names = {path.name for path in tmp_path.iterdir() if path.suffix == ".png"}
    assert names == {f"{folder.parent.name}-run-losses.png" for folder in (run, coloured)}


def test_a_dollar_in_a_name_is_a_dollar(refimpl, run, tmp_path):
    copy = tmp_path / "a$b$"
    shutil.copytree(run, copy)
    (copy / "config.toml").write_text((copy / "config.toml").read_text().replace("strokes-small", "$\\\\frac$"))
    refimpl("plot", copy, "--what", "losses", "--out", tmp_path / "out", "--format", "png")
    assert (tmp_path / "out" / "a$b$-losses.png").is_file()


@pytest.mark.parametrize(
    ("file", "content", "what"),
    [
        ("history.jsonl", "[\n", "losses"),
        ("history.jsonl", "{}\n", "losses"),
        ("history.jsonl", '{"epoch": 1, "layers": [3]}\n', "rank"),
        ("history.jsonl", '{"epoch": 1, "layers": [{"name": "W1"}]}\n', "rank"),
        ("attacks/pgd-eps0.05.json", "{}", "security"),
        ("config.toml", "epochs = 'two'", "losses"),
    ],
)
def test_a_damaged_file_is_an_error_of_data(refimpl, run, tmp_path, file, content, what):
    copy = tmp_path / "copy"
    shutil.copytree(run, copy)
    (copy / file).write_text(content)
    result = refimpl("plot", copy, "--what", what, "--out", tmp_path / "out", code=3)
    assert len(result.stderr.splitlines()) == 1
    assert str(copy) in result.stderr


def test_unknown_pictures_and_formats_and_what_is_no_run_are_refused(refimpl, run, tmp_path):
    assert "'loss' is none of losses" in refimpl("plot", run, "--what", "loss", code=2).stderr
    assert "'gif' is none of pdf" in refimpl("plot", run, "--format", "gif", code=2).stderr
    assert "is not a run" in refimpl("plot", tmp_path, code=3).stderr
