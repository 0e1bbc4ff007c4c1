"""Low-rank PGD from the command line: ranks, starts, surrogates, matched budgets, and training against it."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from refimpl.data import load
from refimpl.measures import AttackResult
from refimpl.measures.perturbation_spectrum import nuclear_norm, perturbations, spectral_fraction
from refimpl.runs.folder import Run

LORA = ("--attack", "lora-pgd", "--examples", "100")


def test_ranks_are_numbers_or_fractions_and_each_is_attacked_at_each_budget(natural, attacked):
    found = attacked(natural, *LORA, "--rank", "2,10%,50%", "--eps", "0.5,1")
    assert [(a["eps"], a["rank"]) for a in found] == [(e, r) for e in (0.5, 1.0) for r in (2, 3, 14)]
    assert all(a["mean_distance"] == pytest.approx(a["eps"], rel=1e-6) for a in found)
    (alone,) = attacked(natural, *LORA)
    assert (alone["rank"], alone["eps"], alone["norm"], alone["steps"]) == (3, 0.5, "2", 10)


@pytest.mark.parametrize(
    ("rank", "message"),
    [
        ("0", "rank must be finite and above 0, got 0"),
        ("29", "must be from 1 to 28, the image's full rank, got 29"),
        ("120%", "must be from 1 to 28, the image's full rank, got 34"),
        ("-3", "rank must be finite and above 0, got -3"),
        ("1%", "must be from 1 to 28, the image's full rank, got 0"),
        ("nan%", "rank must be finite"),
        ("abc", "'abc' is not a number like 3 or a percentage like 10%"),
        ("2.5", "'2.5' is not a number like 3 or a percentage like 10%"),
        ("3,", "'' is not a number like 3 or a percentage like 10%"),
    ],
)
def test_a_bad_rank_is_refused_before_anything_is_done(refimpl, natural, rank, message):
    result = refimpl("attack", natural, *LORA, "--rank", rank, code=2)
    assert message in re.sub(r"\s+", " ", result.stderr)
    assert not (natural / "attacks").exists()
    options = ("--dataset", "strokes-small", "--adversarial", "lora-pgd", "--rank", rank, "--out", "x")
    assert "rank" in refimpl("train", *options, code=2).stderr
    assert not Path("x").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--eps", "-1"), "eps must be finite and at least 0"),
        (("--surrogate", "nowhere"), "a surrogate leads a warm start"),
        (("--warm-start", "--surrogate", "nowhere"), "nowhere is not a run"),
        (("--norm", "1"), "ensemble, noise and universal, not to lora-pgd"),
        (("--warm-start", "--restarts", "2"), "needs a random start"),
        (("--eps", "0", "--match-nuclear"), "moves no image"),
    ],
)
def test_what_means_nothing_is_refused(refimpl, natural, options, message):
    code = 3 if "not a run" in message else 2
    result = refimpl("attack", natural, *LORA, *options, code=code)
    assert message in re.sub(r"\s+", " ", result.stderr)


def test_no_budget_is_described_by_nothing(natural, attacked):
    (still,) = attacked(natural, *LORA, "--eps", "0")
    assert still["n_fooled"] == 0
    assert "spectral_fraction" not in still


def test_a_surrogates_start_is_not_that_of_the_net_and_each_result_has_a_file(natural, other, trained, attacked):
    third = trained("third", "--epochs", 2)
    how = (natural, *LORA, "--warm-start", "--steps", "1", "--eps", "2")
    (warm,) = attacked(*how)
    led, itself, elsewhere = (attacked(*how, "--surrogate", run)[0] for run in (other, natural, third))
    assert itself.pop("surrogate") == str(natural)
    assert itself == warm
    assert len({one["nuclear_norm"] for one in (led, warm, elsewhere)}) == 3
    names = [path.name for path in (natural / "attacks").glob("*.json")]
    plain = "lora-pgd-eps2.0-steps1-warm-start"
    patterns = [rf"{plain}-examples100"] + [
        rf"{plain}-surrogate-{run}-[0-9a-f]{{8}}-examples100" for run in ("natural", "other", "third")
    ]
    assert len(names) == 4
    assert all(any(re.fullmatch(rf"{pattern}\.json", name) for name in names) for pattern in patterns)


def test_surrogates_of_one_name_in_two_folders_do_not_replace_each_other(natural, trained, attacked):
    for folder in ("a", "b"):
        Path(folder).mkdir()
        trained(f"{folder}/net", "--epochs", 2)
        attacked(natural, *LORA, "--warm-start", "--steps", "1", "--surrogate", f"{folder}/net")
    assert len(list((natural / "attacks").glob("*-surrogate-net-*.json"))) == 2


def test_more_random_factors_fool_no_fewer(natural, attacked):
    once, often = (attacked(natural, *LORA, "--restarts", n, "--rank", "1", "--eps", "1")[0] for n in (1, 4))
    assert often["n_fooled"] >= once["n_fooled"]


def test_a_matched_budget_has_the_nuclear_norm_of_pgd(natural, attacked):
    """Matched nuclear norm."""
    (full,) = attacked(natural, "--attack", "pgd-l2", "--eps", "0.5", "--examples", "100")
    (matched,) = attacked(natural, *LORA, "--match-nuclear", "--eps", "0.5", "--rank", "1")
    assert matched["matched_eps"] == 0.5 < matched["eps"]
    assert matched["nuclear_norm"] == pytest.approx(full["nuclear_norm"], rel=0.1)  # the net is not linear
    assert len(list((natural / "attacks").glob("lora-pgd-*-matched-examples100.json"))) == 1


def outcome(index, x_adv):
    """Of an attack that moved these images; what else belongs to one is not looked at."""
    n = len(index)
    return AttackResult({}, index, np.zeros(n, int), np.zeros(n, int), np.ones(n), np.zeros(n, bool), x_adv)


def test_the_summary_describes_the_images_saved(natural, attacked):
    images = load("strokes-small").test.images
    common = ("--eps", "1.5", "--examples", "100", "--save-images")
    attacked(natural, "--attack", "lora-pgd", "--rank", "1", *common)
    attacked(natural, "--attack", "pgd-l2", *common)
    attacked(natural, "--attack", "pgd-l2", "--rank", "3", *common)
    for name in ("lora-pgd-eps1.5-rank1", "pgd-l2-eps1.5", "pgd-l2-eps1.5-rank3"):
        tensors = load_file(natural / f"attacks/{name}-examples100.safetensors")
        saved = outcome(tensors["index"], tensors["x_adv"])
        summary = json.loads((natural / f"attacks/{name}-examples100.json").read_text())
        eta = perturbations(images, saved)
        norms = [np.linalg.norm(one, "nuc") for one in eta]
        assert nuclear_norm(eta) == pytest.approx(np.mean(norms))
        assert summary["nuclear_norm"] == pytest.approx(np.mean(norms))
        assert summary["spectral_fraction"] == pytest.approx(spectral_fraction(images, saved))
        assert 1 <= summary["perturbation_rank"] <= (summary["rank"] or 28) ** 0.5 + 1e-6


def test_training_against_it_is_monitored_in_its_own_ball(refimpl, natural):
    refimpl("train", "--from", natural, "--adversarial", "lora-pgd", "--rank", "50%", "--epochs", "1",
            "--monitor-examples", "20", "--out", "robust", "--no-report")  # fmt: skip
    run = Run.open(Path("robust"))
    assert (run.config.attack.rank, run.config.attack.eps, run.config.method) == (14, 0.5, "lora-pgd")
    monitored = {attack["attack"]: attack["eps"] for attack in run.history[-1]["attacks"]}
    assert monitored == {"fgsm": 0.05, "pgd": 0.05, "gnm": 0.05, "lora-pgd": 0.5}
    refimpl("train", "--adversarial", "pgd", "--rank", "5", "--out", "no", code=2)
