"""Help: sections, units, defaults in words, whole names; and what the shell completes."""

import importlib
import re
import subprocess
import sys

import click
import pytest
from click.shell_completion import ShellComplete

from refimpl.bench import BENCHMARKS
from refimpl.runs.config import Config
from refimpl.settings import kinds


@pytest.fixture
def main(refimpl):
    return importlib.import_module("refimpl_cli.main").main


@pytest.fixture
def text(refimpl, monkeypatch):
    """The help of a command on a terminal of 80 columns."""
    monkeypatch.setenv("COLUMNS", "80")
    return lambda *command: refimpl(*command, "--help").stdout


def words(text):
    return re.sub(r"\s+", " ", text)


COMMANDS = (
    "train",
    "sweep",
    "attack",
    "measure",
    "audit",
    "verify",
    "reproduce",
    "runs",
    "compare",
    "export",
    "zoo",
    "data",
    "bench",
    "exercise",
    "doctor",
    "docs",
    "figures",
    "plot",
    "report",
)
SUBCOMMANDS = (*(("bench", name) for name in BENCHMARKS.names()), ("data", "fetch"), ("data", "list"))


def test_no_command_is_forgotten_here(main):
    assert set(main.list_commands(click.Context(main))) == set(COMMANDS)


@pytest.mark.parametrize("command", [(), *((name,) for name in COMMANDS), *SUBCOMMANDS], ids=" ".join)
def test_every_command_has_help_of_at_most_80_columns(text, command):
    assert max(map(len, text(*command).splitlines())) <= 80


def test_help_shows_units_and_defaults_in_words(text):
    attack, train = words(text("attack")), words(text("train"))
    assert "Budget (pixels in [0, 1]; pixels in [0, 1], l2 norm for pgd-l2 and lora-pgd)." in attack
    assert "[default: 0.05; 1 for deepfool and fmn; 0.5 for pgd-l2 and lora-pgd]" in attack
    assert "[default: the run's]" in attack
    assert "[default: 0.001; cnn 0.01, tuned 0.001; lenet5 0.1]" in train
    assert "[default: no term]" in train
    assert "[default: layers are full]" in train
    assert "[default: 784,20,20,20,20,20,10]" in train
    assert "[default: 0.0]" not in train


def test_options_stand_in_sections(text):
    def headings(command):
        return [line[:-1] for line in text(command).splitlines() if re.fullmatch(r"\w[\w -]+:", line)]

    assert headings("train") == [
        "Run", "Method of the paper", "Network", "Optimizer", "Regularizers", "Adversarial training",
        "Low-rank training", "Monitoring", "Files", "At the end", "Other options",
    ]  # fmt: skip
    assert headings("attack") == ["Attack", "Evaluation", "Data and machine", "Output", "Other options"]
    assert headings("measure") == ["Mutual information", "Data and machine", "Output", "Other options"]


@pytest.mark.parametrize("command", ["train", "sweep"])
def test_every_setting_of_a_run_is_an_option(main, command):
    ctx = click.Context(main, info_name="refimpl")
    options = {one.name for one in main.get_command(ctx, command).get_params(ctx)}
    assert {one.name for one, _ in kinds(Config)} - {"start"} <= options


@pytest.mark.parametrize("command", ["train", "attack", "measure"])
def test_no_name_is_broken_and_choices_are_listed(main, text, command):
    shown = {word.strip(".,;:()[]`") for word in text(command).split()}
    ctx = click.Context(main, info_name="refimpl")
    options = [one for one in main.get_command(ctx, command).get_params(ctx) if isinstance(one, click.Option)]
    assert len(options) > 5
    for option in options:
        assert set(option.opts + option.secondary_opts) <= shown
        if isinstance(option.type, click.Choice):
            assert all(choice in shown or f"|{choice}" in text(command) or f"[{choice}|" in text(command)
                       for choice in option.type.choices)  # fmt: skip


@pytest.mark.parametrize(
    ("group", "summary"),
    [
        ((), "Measure the net in RUN: test accuracy, effective rank and effective sparsity of every layer"),
        (("bench",), "One epoch of plain SGD at the network's usual sizes, shuffling and gathering included."),
        (("data",), "Download NAME, check its SHA-256, and install it."),
    ],
)
def test_the_commands_are_listed_with_whole_summaries(text, group, summary):
    shown = words(text(*group))
    assert summary in shown
    assert "..." not in shown.partition("Commands:")[2]


def test_refimpl_is_a_module_too():
    command = [sys.executable, "-m", "refimpl", "--version"]
    assert subprocess.run(command, check=True, capture_output=True, text=True).stdout.startswith("refimpl, version")


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (("train", "--dataset", "stro"), {"strokes", "strokes-small"}),
        (("train", "--dataset", ""), {"auto", "mnist", "fashion-mnist", "strokes", "strokes-small"}),
        (("bench", "train", "--dataset", "strokes-"), {"strokes-small"}),
        (("bench", "attack", "--arch", "l"), {"lenet5"}),
        (("sweep", "--dataset", "mn"), {"mnist"}),
        (("data", "path", "fash"), {"fashion-mnist"}),
        (("train", "--method", "joint"), {"joint-0.001"}),
        (("train", "--adversarial", "pgd"), {"pgd", "pgd-l2"}),
        (("train", "--margin-bound-"), {"--margin-bound-eps", "--margin-bound-eps-weights"}),
        (("attack", "run", "--attack", "lora"), {"lora-pgd"}),
        (("verify", "eq-7"), {"eq-7-order"}),
        (("verify", "gr"), {"gradients"}),
        (("exercise", "nu"), {"nuclear-norm"}),
        (("figures", "low-rank-"), {"low-rank-attack", "low-rank-training"}),
        (("plot", "run", "--what", "rank,s"), {"rank,sparsity", "rank,singular-values", "rank,security"}),
        (("figures", "--assumption", "lit"), {"literal", "literal-clipped"}),
        (("reproduce", "--assumption", "half"), {"half-clean", "half-clean-clipped"}),
    ],
)
def test_the_shell_completes_names(main, words, found):
    *arguments, incomplete = words
    completed = ShellComplete(main, {}, "refimpl", "_REFIMPL_COMPLETE").get_completions(arguments, incomplete)
    assert {item.value for item in completed} == found
