"""`refimpl audit`: what it prints, what it leaves, how it ends; each in a process of its own, as users have it."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from refimpl.audit import AuditSettings
from refimpl.audit.of_run import siblings
from refimpl.runs.folder import Run
from refimpl.runs.schema import AuditFile

pytestmark = pytest.mark.slow

TRAIN = ("train", "--dataset", "strokes-small", "--optimizer", "adam", "--learning-rate", "0.005", "--no-report")
QUICK = ("--examples", "30", "--steps", "40", "--restarts", "1", "--queries", "20", "--draws", "5")


def run_program(*arguments, code=0):
    command = [sys.executable, "-m", "refimpl", *map(str, arguments)]
    environment = os.environ | {"COLUMNS": "80"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == code, done.stdout + done.stderr
    return done


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A natural net, one of another seed, and one tuned against PGD; and a net of another width."""
    folder = tmp_path_factory.mktemp("runs")
    run_program(*TRAIN, "--epochs", 8, "--out", folder / "natural")
    run_program(*TRAIN, "--epochs", 8, "--seed", 1, "--out", folder / "twin")
    tuned = ("--from", folder / "natural", "--method", "pgd", "--clip")
    run_program(*TRAIN, *tuned, "--epochs", 2, "--out", folder / "robust")
    narrow = Path(shutil.copytree(folder / "twin", folder / "narrow")) / "config.toml"
    narrow.write_text(re.sub(r"widths = \[.*?\]", "widths = [784, 8, 10]", narrow.read_text(), flags=re.S))
    return folder


@pytest.fixture(scope="module")
def audited(runs):
    return json.loads(run_program("audit", runs / "robust", *QUICK, "--json").stdout)["audits"][0]


def test_the_result_is_kept_with_what_it_was_made_from(runs, audited):
    run = Run.open(runs / "robust")
    kept = run.result(runs / "robust" / "audit.json", AuditFile)
    assert kept == audited
    assert (
        kept["settings"]
        == AuditSettings(examples=30, steps=40, restarts=1, queries=20, draws=5, eps=run.config.attack.eps).table()
    )
    assert (kept["n"], kept["n_correct"]) == (30, len(kept["examples"]["index"]))
    assert [one["run"] for one in kept["surrogates"]] == ["natural", "twin"]
    assert {one["kind"] for one in kept["surrogates"]} == {"natural"}


def test_counts_of_attacks_and_of_examples_agree(audited):
    examples, eps = audited["examples"], audited["settings"]["eps"]
    left = examples["found_by"].count(None)
    assert audited["robust_accuracy"] == left / audited["n"]
    for one in audited["attacks"]:
        assert one["robust_accuracy"] == pytest.approx((one["n_correct"] - one["n_fooled"]) / one["n"])
        if one["clip"] and one["eps"] == eps:
            assert one["robust_accuracy"] >= audited["robust_accuracy"]
    for name, distance, radius in zip(
        examples["found_by"], examples["smallest_perturbation"], examples["certified_radius"], strict=True
    ):
        assert name is None or distance <= eps * (1 + 1e-6) + 1e-6
        assert distance is None or radius <= distance


def test_the_page_shows_every_check_attack_and_item_of_the_list(runs, audited):
    text = (runs / "robust" / "audit.html").read_text()
    for one in audited["checks"]:
        assert f'<th scope="row">{one["check"]}</th><td><span class="{one["colour"]}">' in text
    assert text.count("<figure>") == 2
    assert len(set(re.findall(r'alt="([^"]+)"', text))) == 2
    attacks = text.partition('<section id="attacks">')[2].partition("</section>")[0]
    assert attacks.count("<tr>") == 1 + len(audited["attacks"])
    listed = text.partition('<section id="checklist">')[2].partition("</section>")[0]
    assert listed.count("<tr>") == 3 + len(audited["checklist"])
    assert "not done" in listed


def test_a_page_fits_its_window(runs, audited, chromium):
    for width in (1280, 400):
        chromium.open(runs / "robust" / "audit.html", width)
        assert chromium.overflowing() == []
    assert chromium.problems == []


def test_a_run_that_cannot_be_written_to_is_audited_and_a_red_check_is_exit_code_5(runs, tmp_path):
    folder = tmp_path / "shared"
    folder.mkdir()
    for name in ("config.toml", "manifest.json", "history.jsonl", "checkpoints"):
        (folder / name).symlink_to(runs / "natural" / name)
    (folder / "audit.json").mkdir()  # which stands for missing permissions
    done = run_program("audit", folder, *QUICK, "--steps", 1, code=5)
    red = re.findall(r"^(\S+) +red ", done.stdout, re.M)
    assert "attack-order" in red
    assert re.search(rf"23 checks: {len(red)} red, .* seconds$", done.stdout.splitlines()[-1])
    assert "the audit could not be saved" in done.stderr
    assert done.stderr.splitlines()[-1] == f"refimpl: red checks of {folder}: {', '.join(red)}"
    assert not (folder / "audit.html").exists()


def test_siblings_are_trained_alike_or_naturally(runs):
    def found(name):
        return [(kind, path.name) for kind, path in siblings(Run.open(runs / name))]

    assert found("robust") == [("natural", "natural"), ("natural", "twin")]
    assert found("natural") == [("seed", "twin")]
    assert found("narrow") == []


def test_a_damaged_sibling_is_named_and_left_out(runs, tmp_path):
    for name in ("natural", "twin"):
        shutil.copytree(runs / name, tmp_path / name)
    for damaged in (tmp_path / "twin" / "checkpoints").glob("*.safetensors"):
        damaged.write_bytes(b"no weights")
    said = []
    assert siblings(Run.open(tmp_path / "natural"), said.append) == []
    assert [message.partition(":")[0] for message in said] == ["twin cannot be a surrogate"]
    assert "checkpoints" in said[0]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("--eps", "2"), 2, "audit eps must be"),
        (("--examples", "0"), 2, "audit examples must be"),
        (("--seed-run", "nowhere"), 3, "nowhere is not a run"),
    ],
)
def test_what_cannot_be_audited_is_said_in_a_line(refimpl, runs, arguments, code, said):
    assert said in refimpl("audit", runs / "natural", *arguments, code=code).stderr


def test_a_surrogate_of_other_data_is_refused(refimpl, runs, tmp_path):
    x, y = np.zeros((20, 28, 28), np.uint8), np.arange(20, dtype=np.uint8) % 10
    np.savez(tmp_path / "own.npz", x_train=x, y_train=y, x_test=x, y_test=y)
    run_program("train", "--dataset", tmp_path / "own.npz", "--epochs", 1, "--no-report", "--out", tmp_path / "other")
    said = refimpl("audit", runs / "natural", "--natural-run", tmp_path / "other", code=2).stderr
    assert "other was trained on other data than natural: it is no surrogate" in said
