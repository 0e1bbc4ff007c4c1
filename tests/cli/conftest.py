"""Trained runs, each trained once and copied for the test that looks at it; an empty folder to work in."""

import json
import shutil
from pathlib import Path

import pytest

from refimpl.data import BUILT_IN

SMALL = ("--dataset", "strokes-small", "--no-report")


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """An empty folder to run in, and no real data to be found."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("REFIMPL_DATA", raising=False)


@pytest.fixture(scope="session")
def trained(refimpl, tmp_path_factory):
    """A copy of a run trained with these options, under this name in the working folder."""
    runs: dict[tuple, Path] = {}

    def copied(name, *options):
        if options not in runs:
            runs[options] = tmp_path_factory.mktemp("trained") / "run"
            refimpl("train", *SMALL, *options, "--out", runs[options])
        return Path(shutil.copytree(runs[options], name))

    return copied


@pytest.fixture
def run(trained):
    """The paper's net after two epochs."""
    return trained("run", "--epochs", 2)


@pytest.fixture
def natural(trained):
    """A net that has learnt the strokes."""
    return trained("natural", "--optimizer", "adam", "--epochs", 15, "--learning-rate", 0.005)


@pytest.fixture
def other(trained):
    """Another one."""
    return trained("other", "--optimizer", "adam", "--epochs", 15, "--learning-rate", 0.005, "--seed", 1)


@pytest.fixture(scope="session")
def attacked(refimpl):
    """The summaries of `refimpl attack`."""
    return lambda *arguments: json.loads(refimpl("attack", *arguments, "--json").stdout)["attacks"]


@pytest.fixture
def few_images(monkeypatch):
    """128 images to train on and 40 to test on, for convolutional nets."""
    monkeypatch.setitem(BUILT_IN, "strokes-small", {"n_train": 128, "n_test": 40})
