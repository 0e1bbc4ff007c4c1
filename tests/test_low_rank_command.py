"""Low-rank PGD from the command line: ranks, starts, budgets, training, the benchmark and the picture."""

import csv
import json
import re

import numpy as np
import pytest
from safetensors.numpy import load_file

from refimpl.data import load
from refimpl.measures.fooling import Outcome
from refimpl.measures.perturbation_spectrum import nuclear_norm, perturbations, spectral_share
from refimpl.runs.folder import Run


@pytest.fixture(scope="module")
def folder(refimpl, tmp_path_factory):
    """Two runs: `natural`, attacked at several ranks, and `other`."""
    folder = tmp_path_factory.mktemp("low-rank")
    for name, seed in (("natural", 0), ("other", 1)):
        refimpl("train", "--dataset", "strokes-small", "--epochs", "20", "--optimizer", "adam", "--seed", seed,
                "--no-report", "--out", folder / name)  # fmt: skip
    refimpl("attack", folder / "natural", "--attack", "lora-pgd", "--rank", "1,3,100%", "--eps", "0.5,1.5")
    refimpl("attack", folder / "natural", "--attack", "pgd-l2", "--eps", "0.5,1.5")
    refimpl("attack", folder / "natural", "--attack", "pgd-l2", "--eps", "1.5", "--rank", "3")
    return folder


def attacked(refimpl, folder, *options):
    result = refimpl("attack", folder / "natural", "--attack", "lora-pgd", "--no-save-images", *options, "--json")
    return json.loads(result.stdout)["attacks"]


def test_ranks_are_numbers_or_shares_and_each_is_attacked_at_each_budget(refimpl, folder):
    attacks = attacked(refimpl, folder, "--rank", "2,10%,50%", "--eps", "0.5,1")
    assert [(a["eps"], a["rank"]) for a in attacks] == [(e, r) for e in (0.5, 1.0) for r in (2, 3, 14)]
    assert all(a["mean_distance"] == pytest.approx(a["eps"], rel=1e-6) for a in attacks)
    (alone,) = attacked(refimpl, folder)
    assert (alone["rank"], alone["eps"], alone["norm"], alone["steps"]) == (3, 0.5, "2", 10)


@pytest.mark.parametrize(
    ("rank", "message"),
    [
        ("0", "is rank 0: it must be from 1 to 28"),
        ("29", "is rank 29: it must be from 1 to 28"),
        ("120%", "is rank 34: it must be from 1 to 28"),
        ("-3", "is rank -3"),
        ("1%", "is rank 0"),
        ("nan%", "neither a number like 3 nor a share like 10%"),
        ("abc", "neither a number like 3 nor a share like 10%"),
        ("2.5", "neither a number like 3 nor a share like 10%"),
        ("3,", "neither a number like 3 nor a share like 10%"),
    ],
)
def test_a_bad_rank_is_refused_before_anything_is_done(refimpl, folder, rank, message):
    before = set((folder / "natural/attacks").iterdir())
    result = refimpl("attack", folder / "natural", "--attack", "lora-pgd", "--rank", rank, code=2)
    assert message in re.sub(r"\s+", " ", result.stderr)
    assert set((folder / "natural/attacks").iterdir()) == before
    assert "rank" in refimpl("train", "--adversarial", "lora-pgd", "--rank", rank, "--out", folder / "x", code=2).stderr
    assert not (folder / "x").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--eps", "-1"), "eps must be finite and at least 0"),
        (("--guide", "nowhere"), "a guide leads a warm start"),
        (("--warm", "--guide", "nowhere"), "nowhere is not a run"),
        (("--norm", "1"), "lora-pgd is an l_2 attack"),
        (("--warm", "--restarts", "2"), "needs a random start"),
        (("--eps", "0", "--match-nuclear"), "moves no image"),
    ],
)
def test_what_means_nothing_is_refused(refimpl, folder, options, message):
    code = 3 if "not a run" in message else 2
    result = refimpl("attack", folder / "natural", "--attack", "lora-pgd", *options, code=code)
    assert message in re.sub(r"\s+", " ", result.stderr)


def test_no_budget_is_described_by_nothing(refimpl, folder):
    (still,) = attacked(refimpl, folder, "--eps", "0")
    assert still["n_fooled"] == 0
    assert "spectral_share" not in still


def test_a_transferred_start_is_not_a_warm_one(refimpl, folder):
    (warm,) = attacked(refimpl, folder, "--warm", "--steps", "1", "--eps", "2")
    (led,) = attacked(refimpl, folder, "--warm", "--steps", "1", "--eps", "2", "--guide", folder / "other")
    (itself,) = attacked(refimpl, folder, "--warm", "--steps", "1", "--eps", "2", "--guide", folder / "natural")
    assert itself.pop("guide") == str(folder / "natural")
    assert itself == warm
    names = {path.name for path in (folder / "natural/attacks").glob("*warm*.json")}
    assert names == {f"lora-pgd-eps2.0-steps1-warm{guided}.json" for guided in ("", "-guided")}
    assert led["nuclear_norm"] != warm["nuclear_norm"]


def test_more_random_factors_fool_no_fewer(refimpl, folder):
    once, often = (attacked(refimpl, folder, "--restarts", n, "--rank", "1", "--eps", "1")[0] for n in (1, 4))
    assert often["n_fooled"] >= once["n_fooled"]


def test_a_matched_budget_has_the_nuclear_norm_of_pgd(refimpl, folder):
    (matched,) = attacked(refimpl, folder, "--match-nuclear", "--eps", "0.5", "--rank", "1")
    full = json.loads((folder / "natural/attacks/pgd-l2-eps0.5.json").read_text())
    assert matched["matched_eps"] == 0.5 < matched["eps"]
    assert matched["nuclear_norm"] == pytest.approx(full["nuclear_norm"], rel=0.1)  # the net is not linear


def outcome(index, x_adv):
    """Of an attack that moved these images; what else belongs to one is not looked at."""
    n = len(index)
    return Outcome({}, index, np.zeros(n, int), np.zeros(n, int), np.ones(n), np.zeros(n, bool), x_adv)


def test_the_summary_describes_the_images_saved(folder):
    images = load("strokes-small").test.images
    for name in ("lora-pgd-eps1.5-rank1", "pgd-l2-eps1.5", "pgd-l2-eps1.5-rank3"):
        tensors = load_file(folder / f"natural/attacks/{name}.safetensors")
        saved = outcome(tensors["index"], tensors["x_adv"])
        summary = json.loads((folder / f"natural/attacks/{name}.json").read_text())
        eta = perturbations(images, saved)
        norms = [np.linalg.norm(one, "nuc") for one in eta]
        assert nuclear_norm(eta) == pytest.approx(np.mean(norms))
        assert summary["nuclear_norm"] == pytest.approx(np.mean(norms))
        assert summary["spectral_share"] == pytest.approx(spectral_share(images, saved))
        assert 1 <= summary["perturbation_rank"] <= (summary["rank"] or 28) ** 0.5 + 1e-6


def test_the_spectral_share_of_a_known_change():
    """Singular values 1, 2/3, 1/3, 0: the second grows by half, the third doubles, the last has no relative change."""
    clean = np.diag([255, 170, 85, 0]).astype(np.uint8)[None]
    moved = np.diag([1.0, 1.0, 2 / 3, 0.1])[None]
    assert spectral_share(clean, outcome(np.array([0]), moved.reshape(1, 16))) == pytest.approx(
        [0.0, 1 / 3, 2 / 3, 0.0]
    )


def test_training_against_it_is_watched_in_its_own_ball(refimpl, folder):
    out = folder / "robust"
    refimpl("train", "--from", folder / "natural", "--adversarial", "lora-pgd", "--rank", "50%", "--epochs", "1",
            "--watch-examples", "50", "--out", out, "--no-report")  # fmt: skip
    run = Run.open(out)
    assert (run.config.adversarial_rank, run.config.eps, run.config.method) == (14, 0.5, "lora-pgd")
    watched = {attack["attack"]: attack["eps"] for attack in run.history[-1]["attacks"]}
    assert watched == {"fgsm": 0.05, "pgd": 0.05, "gnm": 0.05, "lora-pgd": 0.5}
    refimpl("train", "--adversarial", "pgd", "--rank", "5", "--out", folder / "no", code=2)


def test_the_bench_counts_bytes_that_are_there(refimpl, monkeypatch):
    monkeypatch.setattr("refimpl.bench.race.os.sched_setaffinity", lambda pid, cpus: None, raising=False)
    options = ("--dataset", "strokes-small", "--examples", "64", "--repeats", "1", "--json")
    rows = json.loads(refimpl("bench", "lora", *options).stdout)["benchmarks"]
    shares = {int(re.search(r"rank (\d+)", row["name"])[1]): row["bytes"] / row["peer_bytes"] for row in rows}
    assert shares == {rank: pytest.approx(rank * 2 * 28 / 28**2) for rank in (3, 6, 14, 28)}
    assert shares[14] == 1  # no saving at half of the full rank


def test_the_picture_shows_what_the_attacks_found(refimpl, folder):
    refimpl("figures", "low-rank-attack", "--runs", folder, "--out", folder / "drawn", "--format", "png")
    assert {path.name for path in (folder / "drawn").iterdir()} == {"low-rank-attack.png", "low-rank-attack.csv"}
    rows = list(csv.DictReader((folder / "drawn/low-rank-attack.csv").read_text().splitlines()))
    ratios = {(r["series"], r["eps"], r["rank"]): r["mean"] for r in rows if r["panel"] == "fooling"}
    for file, key in (
        ("lora-pgd-eps0.5-rank1", ("lora-pgd", "0.5", "1")),
        ("lora-pgd-eps1.5", ("lora-pgd", "1.5", "3")),
        ("pgd-l2-eps1.5", ("pgd-l2", "1.5", "28")),
        ("pgd-l2-eps1.5-rank3", ("pgd-l2, truncated", "1.5", "3")),
    ):
        found = json.loads((folder / f"natural/attacks/{file}.json").read_text())
        assert float(ratios[key]) == pytest.approx(100 * found["fooling_ratio"], rel=1e-5)
        spectrum = [r for r in rows if (r["panel"], r["series"], r["eps"], r["rank"]) == ("spectrum", *key)]
        if "truncated" not in key[0]:
            assert len(spectrum) == 28
            assert [float(r["mean"]) for r in spectrum] == pytest.approx(found["spectral_share"], rel=1e-5)


def test_a_picture_of_runs_that_were_not_attacked_says_how_to_attack_them(refimpl, folder):
    result = refimpl("figures", "low-rank-attack", "--runs", folder / "other", "--out", folder / "none", code=3)
    assert "--attack lora-pgd --rank 1,3,50%" in re.sub(r"\s+", " ", result.stderr)


def test_a_clone_redraws_it_from_the_record(refimpl, tmp_path):
    refimpl("figures", "low-rank-attack", "--out", tmp_path, "--format", "png")
    assert (tmp_path / "low-rank-attack.png").read_bytes()[:4] == b"\x89PNG"
