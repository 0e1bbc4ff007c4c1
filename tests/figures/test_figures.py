"""The figures: drawn, the same bytes twice, with the numbers they show; and what theory says of those numbers."""

import csv
import json
import math
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete
from matplotlib.figure import Figure
from refimpl_figures.base import FIGURES, RunsFigure
from refimpl_figures.command import figures

from refimpl.experiments import SOURCE, methods_of, record
from refimpl.runs.folder import Run

RECORD = Path(__file__).parents[2] / "figures" / "record"


@pytest.fixture(scope="module")
def drawn(refimpl, tmp_path_factory):
    folder = tmp_path_factory.mktemp("drawn")
    refimpl("figures", "theory", "--out", folder, "--format", "png", "--format", "pdf")
    return folder


def columns(path):
    rows = list(csv.DictReader(path.read_text().splitlines()))
    return {name: [row[name] for row in rows] for name in rows[0]}


def test_theory_draws_three_pictures_each_with_its_numbers(refimpl, drawn, tmp_path):
    names = {f"theory-{name}.{kind}" for name in ("plane", "errors", "ratios") for kind in ("png", "pdf", "csv")}
    assert {path.name for path in drawn.iterdir()} == names
    for path in drawn.iterdir():
        assert path.read_bytes()[:4] in (b"\x89PNG", b"%PDF") or path.suffix == ".csv"
    again = tmp_path / "again"
    refimpl("figures", "theory", "--out", again)
    for name in names:
        assert (again / name).read_bytes() == (drawn / name).read_bytes()


def test_the_error_of_the_projected_classifier_lies_below_and_both_start_alike(drawn):
    table = {name: list(map(float, values)) for name, values in columns(drawn / "theory-errors.csv").items()}
    for adversary in ("per example", "universal"):
        before, after = table[f"p_eps(w), {adversary}"], table[f"p_eps(Qw), {adversary}"]
        assert before[0] == pytest.approx(after[0])
        assert all(q <= p + 1e-12 for p, q in zip(before, after, strict=True))
        assert before == sorted(before)
    assert all(a >= b for a, b in zip(table["p_eps(w), per example"], table["p_eps(w), universal"], strict=True))


def test_no_ratio_exceeds_its_bound_and_a_sparse_classifier_loses_more_often(drawn):
    table = {name: list(map(float, values)) for name, values in columns(drawn / "theory-ratios.csv").items()}
    assert len(table) == 8
    assert all(max(values) <= (1 + 64**0.5) / 2 for values in table.values())
    for k in (1, 4, 16, 48):
        dense, sparse = (table[f"{kind}, k={k}"] for kind in ("Gaussian w", "w with one nonzero entry"))
        assert sum(ratio > 1 for ratio in dense) < sum(ratio > 1 for ratio in sparse)


def test_the_plane_shows_fewer_fooled_where_the_premise_holds_and_more_where_it_fails(drawn):
    table = columns(drawn / "theory-plane.csv")
    fooled = {}
    for panel, hit in zip(table["panel"], table["fooled"], strict=True):
        fooled[panel] = fooled.get(panel, 0) + int(hit)
    assert fooled["the premise holds: Qw"] < fooled["the premise holds: w"]
    assert fooled["the premise fails: Qw"] > fooled["the premise fails: w"]


@pytest.mark.parametrize("number", range(1, 11))
def test_each_figure_of_the_paper_is_drawn_from_runs_with_its_numbers(refimpl, reproduction, tmp_path, number):
    """Figures 1 to 10."""
    refimpl("figures", number, "--runs", reproduction, "--out", tmp_path)
    name = f"figure-{number}-literal"
    assert {path.name for path in tmp_path.iterdir()} == {f"{name}.pdf", f"{name}.png", f"{name}.csv"}
    assert (tmp_path / f"{name}.png").read_bytes()[:4] == b"\x89PNG"
    table = columns(tmp_path / f"{name}.csv")
    assert len(set(table["method"])) >= 3
    numbers = table["mean"] if "mean" in table else table["w0"]
    assert all(math.isfinite(float(value)) for value in numbers)


def test_a_curve_is_what_the_logs_say(refimpl, reproduction, tmp_path):
    """Figure 2."""
    refimpl("figures", 2, "--runs", reproduction, "--assumption", "adam-long", "--out", tmp_path, "--format", "png")
    table = columns(tmp_path / "figure-2-adam-long.csv")
    rows = list(zip(*(table[name] for name in ("panel", "method", "epoch", "mean", "seeds")), strict=True))
    assert set(table["method"]) == set(methods_of("fcnn"))
    for method in methods_of("fcnn"):
        before = 0 if method == SOURCE else 2
        for line in Run.open(reproduction / f"fcnn-adam-long/{method}-seed0").history:
            rank = f"{line['layers'][1]['effective_rank']:.6g}"
            assert ("r(W2)", method, str(line["epoch"] + before), rank, "1") in rows


@pytest.mark.parametrize(
    ("assumption", "numbers"), [("literal", range(1, 11)), ("adam-long", (1, 2, 3, 8)), ("half-clean", (4, 5, 6, 7))]
)
def test_a_clone_redraws_the_paper_without_training(refimpl, tmp_path, assumption, numbers):
    """What is drawn of Figures 1 to 10 is what is on record, to the byte."""
    refimpl("figures", *numbers, "--assumption", assumption, "--out", tmp_path, "--format", "png")
    for number in numbers:
        name = f"figure-{number}-{assumption}.csv"
        assert (tmp_path / name).read_bytes() == (RECORD / name).read_bytes()


@pytest.mark.parametrize("name", ["low-rank-attack", "low-rank-training", "input-weight-surface"])
def test_a_clone_redraws_the_figures_of_other_papers(refimpl, tmp_path, name):
    refimpl("figures", name, "--out", tmp_path, "--format", "png")
    assert (tmp_path / f"{name}.csv").read_bytes() == (RECORD / f"{name}.csv").read_bytes()


def test_a_report_holds_tables_verdicts_and_figures_and_needs_no_network(refimpl, reproduction):
    refimpl("report", reproduction)
    page = (reproduction / "report.html").read_text()
    assert "Fully connected net, strokes-small" in page
    assert "Table 1" not in page  # the data are not the paper's
    assert "l1 on W1 alone lowers its effective rank, too" in page
    assert page.count("data:image/png;base64") == 20  # ten figures under two assumptions
    assert "Figure 4: the fooling ratio of each attack for each defence of the CNN. Assumption: half-clean" in page
    assert "http" not in page


def test_a_report_compares_with_the_paper_what_is_of_its_data(refimpl, tmp_path):
    (tmp_path / "verdict.json").write_text(json.dumps(record()))
    assert "| natural | 95.08 % |" in refimpl("report", tmp_path, "--markdown").stdout
    refimpl("report", tmp_path)
    page = (tmp_path / "report.html").read_text()
    assert "Table 1, fully connected net, MNIST" in page
    assert "Assumptions against Table 2, CNN, Fashion-MNIST" in page


def test_what_is_missing_is_named(refimpl, tmp_path):
    assert "no finished run" in refimpl("figures", 3, "--runs", tmp_path, "--out", tmp_path / "o", code=3).stderr
    assert "verdict.json is not there" in refimpl("report", tmp_path, code=3).stderr


def test_an_unknown_figure_is_refused(refimpl):
    assert "unknown figure '11': choose one of " in refimpl("figures", "11", code=2).stderr
    assert "'early' is not one of" in refimpl("figures", "1", "--assumption", "early", code=2).stderr


class Squares(RunsFigure):
    name = "squares"

    def collect(self, runs, assumption):
        return {"x": [1, 2, 3], "y": [1, 4, 9]}

    def draw(self, columns):
        figure = Figure()
        figure.subplots().plot(columns["x"], columns["y"])
        return figure


def test_a_figure_registers_itself_and_is_drawn_and_completed_by_name(refimpl, tmp_path, monkeypatch):
    monkeypatch.setattr(FIGURES, "_found", dict(FIGURES.items()))
    FIGURES.register("squares")(Squares())
    refimpl("figures", "squares", "--runs", tmp_path, "--out", tmp_path, "--format", "png")
    assert columns(tmp_path / "squares.csv") == {"x": ["1", "2", "3"], "y": ["1", "4", "9"]}
    assert "no record of squares: name --runs" in refimpl("figures", "squares", "--out", tmp_path, code=3).stderr
    completed = ShellComplete(figures, {}, "figures", "_FIGURES_COMPLETE").get_completions([], "squ")
    assert [item.value for item in completed] == ["squares"]
    names = ShellComplete(figures, {}, "figures", "_FIGURES_COMPLETE").get_completions([], "")
    assert [item.value for item in names][:11] == [*map(str, range(1, 11)), "input-weight-surface"]
