"""Results of several runs are of one method, a seed each, or they are refused by name."""

import csv
import json
from dataclasses import replace

import pytest
from refimpl_figures.base import FIGURES

from refimpl.attacks import FGSM, PGD, PGDL2, InputWeight, LoraPGD
from refimpl.data import load
from refimpl.low_rank import LowRank
from refimpl.networks import FCNN
from refimpl.regularizers import L1, Nuclear
from refimpl.runs.config import Config
from refimpl.runs.folder import Run

NATURAL = Config(dataset="strokes-small", epochs=3, network=FCNN((784, 8, 10)))
LOW = replace(NATURAL, low_rank=LowRank(fraction=0.5))
SURFACE = [InputWeight(eps=0.05, eps_weights=radius) for radius in (0.0, 0.01)]


@pytest.fixture(scope="module")
def data():
    return load("strokes-small")


COUNTS = {
    **{"accuracy": 1.0, "n_correct": 300, "n_fooled": 150, "zero_gradients": 0, "mean_distance": 0.05},
    **{"fooling_ratio_interval_95": [0.4, 0.6], "epoch": 3, "checkpoint_sha256": "0" * 64, "data_sha256": {}},
}
"""What the results hold besides, the same in all of them."""


@pytest.fixture
def attacked(tmp_path, data):
    """Writes the folder of a run, and what `refimpl attack` writes of attacks on it."""

    def write(name, config, attacks, accuracy=0.5, **more):
        folder = tmp_path / "runs" / name
        if not folder.exists():
            Run.create(folder, config, data)
            (folder / "attacks").mkdir()
        for attack in attacks:
            numbers = {"n": 300, "robust_accuracy": accuracy, "fooling_ratio": 1 - accuracy} | COUNTS
            (folder / "attacks" / f"{attack}{more.get('called', '')}.json").write_text(
                json.dumps(attack.describe() | numbers | {k: v for k, v in more.items() if k != "called"})
            )

    return write


@pytest.fixture
def drawn(refimpl, tmp_path):
    """Draws a figure from the runs written: its rows, or what is said where that fails."""

    def draw(name, code=0):
        said = refimpl("figures", name, "--runs", tmp_path / "runs", "--out", tmp_path, "--format", "png", code=code)
        if code:
            (line,) = said.stderr.splitlines()
            return line
        return list(csv.DictReader((tmp_path / f"{name}.csv").read_text().splitlines()))

    return draw


def test_the_surface_pools_runs_that_differ_in_their_seeds_alone(attacked, drawn):
    for seed, accuracy in enumerate((0.4, 0.5, 0.6)):
        start = f"runs/source-{seed}"
        attacked(f"run-{seed}", replace(NATURAL, seed=seed, start=start), SURFACE, accuracy)
    rows = drawn("input-weight-surface")
    assert [(row["eps_weights"], row["seeds"]) for row in rows] == [("0.0", "3"), ("0.01", "3")]
    assert [float(rows[0][name]) for name in ("accuracy", "low", "high")] == pytest.approx([50, 40, 60])


@pytest.mark.parametrize(
    ("config", "more", "words"),
    [
        (replace(NATURAL, epochs=4), {}, "differ in epochs"),
        (replace(NATURAL, network=FCNN((784, 9, 10))), {}, "differ in network"),
        (replace(NATURAL, batch_size=64), {}, "differ in batch_size"),
        (NATURAL, {"n": 100}, "differ in number of images"),
        (NATURAL, {"epoch": 2}, "differ in epoch attacked"),
        (NATURAL, {"seed": 0}, "of seed 0: keep one of them"),
    ],
)
def test_unlike_runs_of_one_method_are_refused_by_name(attacked, drawn, config, more, words):
    attacked("first", NATURAL, SURFACE)
    attacked("other", replace(config, seed=more.get("seed", 1)), SURFACE, **more)
    said = drawn("input-weight-surface", code=3)
    assert words in said
    assert "runs/first" in said
    assert "runs/other" in said


def test_other_data_are_refused(attacked, drawn, data, tmp_path):
    attacked("first", NATURAL, SURFACE)
    attacked("other", replace(NATURAL, seed=1), SURFACE)
    run = Run.open(tmp_path / "runs" / "other")
    run.write_manifest(run.manifest | {"data": run.manifest["data"] | {"sha256": {"train_images": "0" * 64}}})
    assert "differ in data" in drawn("input-weight-surface", code=3)


def test_low_rank_training_pools_by_net_and_refuses_the_unlike(attacked, drawn):
    attacks = [FGSM(eps=0.1), PGD(eps=0.1)]
    for seed, accuracy in enumerate((0.3, 0.5)):
        attacked(f"natural-{seed}", replace(NATURAL, seed=seed), attacks, accuracy)
        attacked(f"low-{seed}", replace(LOW, seed=seed), attacks, accuracy)
        attacked(f"natural-{seed}", NATURAL, attacks, 0.2, truncated=0.5, called="-truncated0.5")
        attacked(f"natural-{seed}", NATURAL, [PGD(eps=0.1, steps=40)], 0.1)  # another attack than the usual one
    rows = {(row["attack"], row["net"]): row for row in drawn("low-rank-training")}
    nets = ("low rank 50%, tau 0.1", "natural", "natural, truncated to 50%")
    assert rows.keys() == {(attack, net) for attack in ("fgsm", "pgd") for net in nets}
    assert [float(rows["pgd", "natural"][name]) for name in ("mean", "low", "high")] == pytest.approx([40, 30, 50])
    assert {row["seeds"] for row in rows.values()} == {"2"}
    attacked("low-other", replace(LOW, seed=2, low_rank=LowRank(fraction=0.502)), attacks)
    said = drawn("low-rank-training", code=3)
    assert "low-other" in said
    assert "are both 'low rank 50%, tau 0.1', but differ in low_rank" in said


def test_low_rank_attack_pools_one_net_and_refuses_another(attacked, drawn):
    attacks = [PGDL2(), LoraPGD(rank=3), LoraPGD(rank=3, warm_start=True)]
    spectrum = [0.5, 0.3, 0.15, 0.05]
    for seed, accuracy in enumerate((0.3, 0.5)):
        attacked(f"natural-{seed}", replace(NATURAL, seed=seed), attacks, accuracy, spectral_fraction=spectrum)
    rows = [row for row in drawn("low-rank-attack") if row["panel"] == "fooling"]
    assert [(row["series"], row["rank"], row["seeds"]) for row in rows] == [
        ("lora-pgd", "3", "2"), ("lora-pgd, warm", "3", "2"), ("pgd-l2", "4", "2")
    ]  # fmt: skip
    attacked("natural-2", replace(NATURAL, seed=2), [LoraPGD(rank=3, restarts=5)], spectral_fraction=spectrum)
    assert "but differ in restarts" in drawn("low-rank-attack", code=3)
    attacked("wider", replace(NATURAL, network=FCNN((784, 9, 10))), attacks, spectral_fraction=spectrum)
    assert "differ in" in drawn("low-rank-attack", code=3)


def regularized(l1, nuclear, **settings):
    terms = [term({"W1": lam}) for term, lam in ((L1, l1), (Nuclear, nuclear)) if lam]
    return replace(NATURAL, regularizers=tuple(terms), **settings)


def with_history(tmp_path, name, rank):
    layers = [{"name": "W1", "effective_rank": rank, "effective_sparsity": 10 * rank}]
    log = {"epoch": 1, "loss": 0.1, "test_loss": 0.1, "accuracy": 0.9, "layers": layers}
    (tmp_path / "runs" / name / "history.jsonl").write_text(json.dumps(log) + "\n")


def test_a_map_is_drawn_of_a_whole_grid_of_lambdas(attacked, drawn, tmp_path):
    grid = [(l1, nuclear) for l1 in (0.0, 0.01, 0.1) for nuclear in (0.0, 0.03)]
    for i, (l1, nuclear) in enumerate(grid):
        if i == len(grid) - 1:
            assert "make no whole grid of the lambdas of l1 and nuclear of W1: 5 of 3 x 2" in drawn(
                "sparsity-rank-map", code=3
            )
        for seed in (0, 1):
            attacked(f"{i}-{seed}", regularized(l1, nuclear, seed=seed), [PGD(clip=(0.0, 1.0))], 0.5 - 0.01 * i)
            with_history(tmp_path, f"{i}-{seed}", 4 - 0.1 * i + 0.02 * seed)
    attacked("other", replace(NATURAL, regularizers=(L1({"W2": 0.1}),)), [PGD(clip=(0.0, 1.0))])
    attacked("unclipped", regularized(0.5, 0.5), [PGD()])
    rows = drawn("sparsity-rank-map")
    assert [(float(row["l1"]), float(row["nuclear"])) for row in rows] == grid
    assert [float(row["pgd"]) for row in rows] == pytest.approx([50 + i for i in range(6)])
    assert [float(row["rank"]) for row in rows] == pytest.approx([4.01 - 0.1 * i for i in range(6)])
    assert {row["seeds"] for row in rows} == {"2"}
    attacked("longer", regularized(0.1, 0.5, epochs=7), [PGD(clip=(0.0, 1.0))])
    with_history(tmp_path, "longer", 3)
    assert "differ in epochs: draw them apart" in drawn("sparsity-rank-map", code=3)


def test_a_figure_without_a_record_is_drawn_only_from_runs():
    on_record = {name for name, figure in FIGURES.items() if figure.on_record}
    assert {"1", "low-rank-training", "theory"} <= on_record
