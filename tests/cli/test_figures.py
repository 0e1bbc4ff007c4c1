"""Figures of what the attacks of the command line found."""

import csv
import json
import re
from pathlib import Path

import pytest


def rows_of(folder, name):
    assert {path.name for path in folder.iterdir()} == {f"{name}.png", f"{name}.csv"}
    return list(csv.DictReader((folder / f"{name}.csv").read_text().splitlines()))


def test_the_surface_of_accuracies_shows_what_the_attack_found(refimpl, natural, attacked):
    *_, both = attacked(natural, "--attack", "input-weight", "--eps", "0,0.05", "--eps-weights", "0,0.01")
    refimpl("figures", "input-weight-surface", "--runs", ".", "--out", "drawn", "--format", "png")
    shown = {
        (row["eps"], row["eps_weights"]): row["accuracy"] for row in rows_of(Path("drawn"), "input-weight-surface")
    }
    assert len(shown) == 4
    assert float(shown["0.05", "0.01"]) == pytest.approx(100 * both["robust_accuracy"], rel=1e-5)


def test_low_rank_attacks_are_shown_by_budget_and_rank(refimpl, natural, attacked):
    lora = attacked(natural, "--attack", "lora-pgd", "--rank", "1,3,100%", "--eps", "0.5,1.5")
    full = attacked(natural, "--attack", "pgd-l2", "--eps", "0.5,1.5")
    (cut,) = attacked(natural, "--attack", "pgd-l2", "--eps", "1.5", "--rank", "3")
    refimpl("figures", "low-rank-attack", "--runs", ".", "--out", "drawn", "--format", "png")
    rows = rows_of(Path("drawn"), "low-rank-attack")
    ratios = {(r["series"], r["eps"], r["rank"]): float(r["mean"]) for r in rows if r["panel"] == "fooling"}
    for key, result in (
        (("lora-pgd", "0.5", "1"), lora[0]), (("lora-pgd", "1.5", "3"), lora[4]),
        (("pgd-l2", "1.5", "28"), full[1]), (("pgd-l2, truncated", "1.5", "3"), cut),
    ):  # fmt: skip
        assert ratios[key] == pytest.approx(100 * result["fooling_ratio"], rel=1e-5)
        of_spectrum = [r for r in rows if (r["panel"], r["series"], r["eps"], r["rank"]) == ("spectrum", *key)]
        spectrum = [float(r["mean"]) for r in of_spectrum]
        if "truncated" not in key[0]:
            assert len(spectrum) == 28
            assert spectrum == pytest.approx(result["spectral_fraction"], rel=1e-5)


def test_runs_that_were_not_attacked_say_how_to_attack_them(refimpl, run):
    result = refimpl("figures", "low-rank-attack", "--runs", run, "--out", "none", code=3)
    assert "--attack lora-pgd --rank 1,3,50%" in re.sub(r"\s+", " ", result.stderr)
    assert "no run under" in refimpl("figures", "input-weight-surface", "--runs", run, "--out", "none", code=3).stderr
    assert "no low-rank net" in refimpl("figures", "low-rank-training", "--runs", "elsewhere", code=3).stderr


def test_low_rank_nets_are_shown_beside_full_and_truncated_ones(refimpl, trained):
    full, low = trained("runs/natural", "--epochs", 1), trained("runs/low", "--epochs", 1, "--low-rank", "50%")
    for options in ((full,), (full, "--truncate", "50%"), (low,), (low, "--clip")):
        for attack in ("fgsm", "pgd"):
            refimpl("attack", *options, "--attack", attack, "--eps", "0,0.1")
    refimpl("figures", "low-rank-training", "--runs", "runs", "--out", "drawn", "--format", "png")
    rows = rows_of(Path("drawn"), "low-rank-training")
    assert len(rows) == 2 * 2 * 3  # what was clipped is left out
    found = {(row["attack"], row["net"], row["eps"]): float(row["mean"]) for row in rows}
    for net, name in (
        ("natural", full / "attacks/pgd-eps0.1.json"),
        ("natural, truncated to 50%", full / "attacks/pgd-eps0.1-truncated0.5.json"),
        ("low rank 50%, tau 0.1", low / "attacks/pgd-eps0.1.json"),
    ):
        expected = 100 * json.loads(name.read_text())["robust_accuracy"]
        assert found["pgd", net, "0.1"] == pytest.approx(expected)
