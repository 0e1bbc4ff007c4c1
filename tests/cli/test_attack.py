"""`refimpl attack`: budgets, what is saved and under which name, and runs that nothing can be written to."""

import json
import math
from pathlib import Path

import pytest
from safetensors.numpy import load_file

from refimpl.errors import DataError
from refimpl.runs.folder import Run


def saved(run):
    return {path.stem for path in (run / "attacks").glob("*.json")}


def test_a_list_of_budgets_is_attacked_one_by_one_and_each_example_kept(natural, attacked):
    options = ("--eps", "0.01,0.05", "--steps", "3", "--step-size", "0.02", "--save-images")
    low, high = attacked(natural, "--attack", "pgd", *options)
    assert (low["eps"], high["eps"]) == (0.01, 0.05)
    assert 0 < low["n_fooled"] <= high["n_fooled"]
    assert low["n_correct"] == high["n_correct"]
    tensors = load_file(natural / "attacks" / "pgd-eps0.05-steps3-step-size0.02.safetensors")
    assert tensors["x_adv"].shape == (high["n_correct"], 784)
    assert (tensors["adversarial_label"] != tensors["label"]).sum() == high["n_fooled"]


def test_budgets_may_be_fractions_and_percentages(run, attacked):
    found = attacked(run, "--attack", "fgsm", "--eps", "8/255,5%", "--examples", "20")
    assert [one["eps"] for one in found] == [8 / 255, 0.05]


def test_options_of_attacks(run, attacked):
    base = (run, "--examples", "100")
    (in_l2,) = attacked(*base, "--attack", "gnm", "--norm", "2", "--eps", "1.5")
    assert (in_l2["norm"], in_l2["n"]) == ("2", 100)
    (clipped,) = attacked(*base, "--clip", "--random-start", "--restarts", "2")
    assert (clipped["clip"], clipped["restarts"]) == ([0.0, 1.0], 2)
    tensors = load_file(run / "attacks" / "pgd-eps0.05-random-start-restarts2-clip-examples100.safetensors")
    assert "x_adv" not in tensors


def test_a_result_of_some_examples_does_not_replace_that_of_all(natural, attacked):
    (every,) = attacked(natural)
    (some,) = attacked(natural, "--examples", "100")
    assert (every["n"], some["n"]) == (300, 100)
    assert saved(natural) == {"pgd-eps0.05", "pgd-eps0.05-examples100"}
    assert json.loads((natural / "attacks/pgd-eps0.05.json").read_text()) == every


def test_accuracy_is_the_same_wherever_it_is_said(refimpl, natural, attacked):
    measured = json.loads(refimpl("measure", natural, "--json").stdout)
    (result,) = attacked(natural, "--attack", "fgsm")
    assert measured["accuracy"] == result["accuracy"]
    assert math.isclose(measured["accuracy"], Run.open(natural).history[-1]["accuracy"], rel_tol=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--eps", "0,05"), "at most 1, got 5.0; --eps was read as 0.0 and 5.0"),
        (("--attack", "fgsm", "--steps", "5"), "--steps belongs to apgd, gnm, deepfool, fmn,"),
        (("--norm", "2"), "--norm belongs to apgd, gnm, deepfool, fmn, "),
        (("--attack", "gnm", "--random-start"), "--random-start belongs to pgd, not to gnm"),
        (("--attack", "gnm", "--no-warm-start"), "--warm-start belongs to lora-pgd, not to gnm"),
        (("--attack", "fgsm", "--seed", "1"), "noise, pgd and random-signs, not to fgsm"),
        (("--match-nuclear",), "match-nuclear belongs to lora-pgd, not to pgd"),
        (("--surrogate", "nowhere"), "a surrogate leads a warm start, and only lora-pgd"),
        (("--restarts", "2"), "more than one restart needs a random start"),
    ],
)  # fmt: skip
def test_options_of_other_attacks_are_refused_before_any_work(refimpl, options, message):
    (line,) = refimpl("attack", "nowhere", *options, code=2).stderr.splitlines()
    assert message in line


@pytest.mark.parametrize("command", [("attack", "--eps", "0.01,0.05", "--examples", "20"), ("measure",)])
def test_a_run_that_cannot_be_written_to_still_gives_its_numbers(refimpl, run, command):
    """What blocks the files stands for missing permissions, which the superuser does not miss."""
    (run / "attacks").write_text("a file where the folder would be")
    (run / "measure.json").mkdir()
    name, *options = command
    result = refimpl(name, run, *options)
    (warning,) = [line for line in result.stderr.splitlines() if line.startswith("warning: ")]
    assert "could not be saved" in warning
    assert "results of each example" not in result.stderr
    assert "%" in result.stdout


def test_a_full_disk_is_said_once(refimpl, run, monkeypatch):
    def refuse(path, content):
        raise DataError(f"{path} cannot be written: No space left on device")

    monkeypatch.setattr("refimpl.runs.results.write_bytes", refuse)
    result = refimpl("attack", run, "--eps", "0,0.01,0.05", "--examples", "20", "--json")
    assert len(json.loads(result.stdout)["attacks"]) == 3
    assert result.stderr.count("No space left on device") == 1


def test_a_damaged_checkpoint_and_a_wrong_one_are_data_errors(refimpl, run):
    (checkpoint,) = (run / "checkpoints").iterdir()
    content = checkpoint.read_bytes()
    checkpoint.write_bytes(content[:-5])
    said = refimpl("measure", run, code=3).stderr
    assert "damaged" in said or "can be read" in said
    checkpoint.write_bytes(content)
    config = run / "config.toml"
    config.write_text(config.read_text().replace("    20,\n    20,\n", "    20,\n    30,\n", 1))
    assert "the configuration says" in refimpl("measure", run, code=3).stderr


def test_the_attacked_run_stays_as_it_is(natural, attacked):
    before = {path: path.read_bytes() for path in natural.rglob("*") if path.is_file()}
    attacked(natural, "--examples", "20", "--save-images")
    assert {path: path.read_bytes() for path in before} == before
    assert set(natural.rglob("*")) - set(before) >= {Path("natural/attacks/pgd-eps0.05-examples20.safetensors")}


def test_several_attacks_and_the_worst_case_over_them_input_by_input(refimpl, natural):
    """--steps is of pgd alone; an attack with a smaller budget counts where its perturbation is within the larger."""
    options = ("--attack", "fgsm,pgd,gnm", "--eps", "0.02,0.05", "--clip", "--examples", "60", "--save-images")
    found = json.loads(refimpl("attack", natural, *options, "--json").stdout)
    assert [(one["attack"], one["eps"]) for one in found["attacks"]] == [
        (name, eps) for name in ("fgsm", "pgd", "gnm") for eps in (0.02, 0.05)
    ]
    small, large = found["worst_case"]
    for worst in (small, large):
        stems = [f"{one['attack']}-eps{one['eps']}-clip-examples60" for one in found["attacks"]]
        fooled = []
        for stem in stems:
            tensors = load_file(natural / "attacks" / f"{stem}.safetensors")
            within = tensors["distance"] <= worst["eps"] * 1.00001
            fooled.append((tensors["adversarial_label"] != tensors["label"]) & within)
        assert worst["n_fooled"] == sum(any(column) for column in zip(*fooled, strict=True))
        assert worst["n_fooled"] >= max(one["n_fooled"] for one in found["attacks"] if one["eps"] == worst["eps"])
        assert worst["robust_accuracy"] == (worst["n_correct"] - worst["n_fooled"]) / 60
        assert worst["only_by"] == [
            sum(row[i] and sum(row) == 1 for row in zip(*fooled, strict=True)) for i in range(len(stems))
        ]
    assert small["n_fooled"] < large["n_fooled"]
    shown = refimpl("attack", natural, *options).stdout
    assert shown.count("worst case, by input") == 2


def test_one_attack_has_no_worst_case(refimpl, natural):
    found = json.loads(refimpl("attack", natural, "--eps", "0.01,0.05", "--examples", "20", "--json").stdout)
    assert "worst_case" not in found


def test_examples_are_drawn_at_random_and_a_smaller_draw_is_part_of_a_larger(natural, attacked):
    (few,) = attacked(natural, "--attack", "fgsm", "--eps", "0", "--examples", "40")
    (more,) = attacked(natural, "--attack", "fgsm", "--eps", "0", "--examples", "80")
    (others,) = attacked(natural, "--attack", "fgsm", "--eps", "0", "--examples", "40", "--examples-seed", "3")
    assert (few["examples_seed"], more["examples_seed"], others["examples_seed"]) == (0, 0, 3)
    index = {
        name: set(load_file(natural / f"attacks/fgsm-eps0.0-{name}.safetensors")["index"].tolist())
        for name in ("examples40", "examples80", "examples40-of-seed3")
    }
    assert index["examples40"] <= index["examples80"]
    assert index["examples40"] != index["examples40-of-seed3"]
    assert max(index["examples40"]) > 40
    (every,) = attacked(natural, "--attack", "fgsm", "--eps", "0", "--examples", "300")
    assert "examples_seed" not in every
    assert (natural / "attacks/fgsm-eps0.0.json").is_file()


def test_robust_accuracy_and_budgets_in_grey_levels_are_shown(refimpl, natural):
    shown = refimpl("attack", natural, "--attack", "fgsm", "--eps", "8/255,0.2", "--examples", "40").stdout
    header, first, second = shown.splitlines()
    assert header.split("  ")[-1].strip() == "robust accuracy"
    assert first.split()[:2] == ["fgsm", "8/255"]
    assert second.split()[:2] == ["fgsm", "0.2"]


def test_a_result_of_an_older_program_is_read_under_the_names_of_today(refimpl, natural, attacked):
    (summary,) = attacked(natural, "--attack", "fgsm")
    path = natural / "attacks/fgsm-eps0.05.json"
    path.write_text(path.read_text().replace('"robust_accuracy"', '"adversarial_accuracy"'))
    (run,) = json.loads(refimpl("compare", natural, "--json").stdout)["runs"]
    assert run["attacks"][0]["robust_accuracy"] == summary["robust_accuracy"]


def test_searches_for_the_smallest_perturbation_say_their_median_and_targets_how_many_reach_them(refimpl, natural):
    found = json.loads(refimpl("attack", natural, "--attack", "deepfool", "--examples", "40", "--json").stdout)
    assert 0 < found["attacks"][0]["median_distance"] < 0.3
    result = refimpl("attack", natural, "--attack", "fgsm", "--target-class", "3", "--examples", "40", "--eps", "0.3")
    assert "are given class 3, which was aimed at" in result.stderr


def test_the_seed_of_a_draw_without_a_draw_is_refused(refimpl, natural):
    said = refimpl("attack", natural, "--examples-seed", "1", code=2).stderr
    assert "--examples-seed is that of the draw of --examples: give both" in said
