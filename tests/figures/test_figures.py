"""The figures: drawn, the same bytes twice, with the numbers they show; and what theory says of those numbers."""

import csv
import json
import math
import re
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete
from legible import check_legible
from matplotlib.figure import Figure
from refimpl_figures import theory_errors, theory_plane
from refimpl_figures.base import FIGURES, RunsFigure
from refimpl_figures.caption import caption
from refimpl_figures.command import figures
from refimpl_figures.drawing import styled, widen

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


@pytest.mark.slow
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
    refimpl("figures", 2, "--runs", reproduction, "--assumption", "adam-clipped", "--out", tmp_path, "--format", "png")
    table = columns(tmp_path / "figure-2-adam-clipped.csv")
    rows = list(zip(*(table[name] for name in ("panel", "method", "epoch", "mean", "seeds")), strict=True))
    assert set(table["method"]) == set(methods_of("fcnn"))
    for method in methods_of("fcnn"):
        before = 0 if method == SOURCE else 2
        for line in Run.open(reproduction / f"fcnn-adam-clipped/{method}-seed0").history:
            rank = f"{line['layers'][1]['effective_rank']:.6g}"
            assert ("r(W2)", method, str(line["epoch"] + before), rank, "1") in rows


RECORDED = [
    *(("literal", str(number)) for number in range(1, 11)),
    *(("adam-clipped", str(number)) for number in range(1, 11)),
    *(
        ("literal", name)
        for name in ("low-rank-attack", "low-rank-training", "input-weight-surface", "sparsity-rank-map")
    ),
]


@pytest.mark.slow
@pytest.mark.parametrize(("assumption", "name"), RECORDED)
def test_a_clone_redraws_what_is_on_record_without_training(assumption, name):
    """The numbers to the byte, and a picture that can be read at the width of a page and says what it is of."""
    with styled():
        (drawing,) = FIGURES[name].drawings(None, assumption)
        assert drawing.csv().encode() == (RECORD / f"{drawing.name}.csv").read_bytes()
        check_legible(drawing.figure)
    text = drawing.figure.get_suptitle().replace("\n", " ")
    counts = set(columns(RECORD / f"{drawing.name}.csv").get("seeds", ()))
    seeds = "(1 seed|seed 0)" if counts <= {"1"} else f"{max(counts)} seeds"
    assert re.search(f"(Fully connected net on mnist|CNN on fashion-mnist), {seeds}[,.]", text)
    if name.isdecimal():
        assert f"Assumption {assumption}: " in text
        assert ("ε = 0.05 (ℓ∞" in text) == (name not in ("8", "9", "10"))
    for kind in ("png", "pdf"):
        assert (RECORD / f"{drawing.name}.{kind}").is_file()


def test_a_clone_redraws_from_the_command_line(refimpl, tmp_path):
    refimpl("figures", 6, "--out", tmp_path, "--format", "png")
    assert (tmp_path / "figure-6-literal.csv").read_bytes() == (RECORD / "figure-6-literal.csv").read_bytes()


@pytest.mark.parametrize("module", [theory_plane, theory_errors])
def test_pictures_of_the_theory_can_be_read(module):
    with styled():
        check_legible(module.draw().figure)


@pytest.mark.parametrize("name", ["1", "6", "7", "8", "9", "10"])
def test_weights_that_are_compared_have_one_scale_or_each_its_own_in_words(name):
    with styled():
        (drawing,) = FIGURES[name].drawings(None, "literal")
    *panels, bar = drawing.figure.axes
    assert bar.get_ylabel().startswith("weight")
    assert len({ax.images[0].get_clim() for ax in panels}) == 1
    own = name in ("8", "10")
    assert all(("±" in ax.get_title()) == own for ax in panels)
    assert ("a scale of its own" in drawing.figure.get_suptitle().replace("\n", " ")) == own


@pytest.mark.parametrize("name", ["3", "4"])
def test_fooling_ratios_have_equal_axes_and_a_marker_for_each_defence(name):
    with styled():
        (drawing,) = FIGURES[name].drawings(None, "literal")
    assert [ax.get_title() for ax in drawing.figure.axes] == ["attack: FGSM", "attack: PGD", "attack: GNM"]
    assert {(ax.get_xlim(), ax.get_ylim()) for ax in drawing.figure.axes} == {
        (drawing.figure.axes[0].get_xlim(), (0, 103))
    }
    (legend,) = drawing.figure.legends
    assert legend.get_title().get_text().startswith("trained by")
    looks = [(line.get_color(), line.get_linestyle(), line.get_marker()) for line in legend.get_lines()]
    assert len(set(looks)) == len(looks)
    markers = [marker for _, _, marker in looks[2:]]
    assert len(set(markers)) == len(markers)


def test_fine_tuning_is_not_squeezed_by_the_epochs_before_it():
    with styled():
        (drawing,) = FIGURES["2"].drawings(None, "literal")
        drawing.figure.draw_without_rendering()
    assert len(drawing.figure.axes) == 12
    for ax in drawing.figure.axes:
        left, switch, right = (ax.transData.transform((epoch, ax.get_ylim()[0]))[0] for epoch in (0, 240, 300))
        assert switch - left < 0.3 * (right - left)


def test_what_hardly_changes_looks_so():
    figure = Figure()
    constant, changing = figure.subplots(1, 2)
    constant.plot([4.0, 4.0000001])
    changing.plot([1.0, 9.0])
    kept = changing.get_ylim()
    widen([constant, changing])
    low, high = constant.get_ylim()
    assert (low + high) / 2 == pytest.approx(4)
    assert high - low == pytest.approx(0.8)
    assert changing.get_ylim() == kept


def test_a_caption_says_what_differs_and_leaves_out_what_is_not_known():
    columns = {"arch": ["fcnn", "lenet5"], "dataset": ["mnist", "mnist"], "images": [100, 2000], "seeds": [3, 1]}
    assert (
        caption(columns) == "Fully connected net, lenet5 on mnist, 1 to 3 seeds, measured on 100 or 2,000 test images."
    )
    columns = {"arch": ["cnn"], "dataset": ["a$b$"], "assumption": ["mine"], "eps": [""], "seed": [4]}
    assert caption(columns) == "CNN on a$b$, seed 4. Assumption mine."


@pytest.fixture(scope="module")
def reported(refimpl, reproduction):
    refimpl("report", reproduction)
    return reproduction / "report.html"


def test_a_report_holds_tables_verdicts_and_figures_and_needs_no_network(reported):
    page = reported.read_text()
    assert "Fully connected net, strokes-small" in page
    assert "Table 1" not in page  # the data are not the paper's
    assert "l1 on W1 alone lowers its effective rank, too" in page
    assert page.count("data:image/png;base64") == 20  # ten figures under two assumptions
    assert "Figure 4: the fooling ratio of each attack for each defence of the CNN. Assumption: adam-clipped" in page
    assert "http" not in page
    assert '<p class="summary">Accuracies: of strokes-small, other data than the paper&#x27;s: not compared.' in page
    for fact in ("seeds</dt><dd>0<", "runs</dt><dd>36, with refimpl ", "machines of the runs</dt><dd>"):
        assert fact in page
    assert page.index("fooling ratio</dt>") < page.index("<table>")


def test_pictures_of_a_report_have_alternative_texts_of_their_own(reported):
    texts = re.findall(r'<img alt="([^"]+)"', reported.read_text())
    assert len(set(texts)) == 20
    assert all("At the end" in text or "Largest weights" in text for text in texts)


@pytest.mark.parametrize("width", [1280, 400])
def test_a_report_scrolls_down_only(chromium, reported, width):
    chromium.open(reported, width)
    assert chromium.overflowing() == []
    assert chromium.evaluate("document.documentElement.scrollWidth") == width
    assert chromium.evaluate("[...document.images].every(image => image.complete && image.naturalWidth > 0)")
    assert chromium.evaluate("[...document.querySelectorAll('th')].every(cell => cell.scope && cell.textContent)")
    assert chromium.evaluate("[...document.querySelectorAll('nav a')].every(a => document.querySelector(a.hash))")
    assert chromium.problems == []


def test_a_printed_report_is_not_cut(chromium, reported):
    chromium.open(reported, 680, media="print")
    assert chromium.overflowing(boxes=False) == []
    assert chromium.pdf().count(b"/Type /Page\n") >= 10


def test_a_report_compares_with_the_paper_what_is_of_its_data(refimpl, tmp_path):
    (tmp_path / "verdict.json").write_text(json.dumps(record()))
    assert "| natural | 95.08 % |" in refimpl("report", tmp_path, "--markdown").stdout
    refimpl("report", tmp_path)
    page = (tmp_path / "report.html").read_text()
    assert "no finished run" in page
    assert "<dt>seeds</dt><dd>0, 1, 2, 3, 4: 1 to 5 of each method</dd>" in page
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
