"""One of each kind of thing in one file: on the command line they are as refimpl's own."""

import importlib
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from refimpl_figures.base import FIGURES

from refimpl.attacks import ATTACKS
from refimpl.bench import BENCHMARKS
from refimpl.networks import NETWORKS
from refimpl.optimizers import OPTIMIZERS
from refimpl.regularizers import REGULARIZERS
from refimpl.runs.toml import read_table

REGISTRIES = {
    registry.package: registry for registry in (ATTACKS, NETWORKS, REGULARIZERS, OPTIMIZERS, BENCHMARKS, FIGURES)
}

MODULE = '''
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from matplotlib.figure import Figure

from refimpl.attacks.base import ATTACKS, InputAttack, WeightAttack
from refimpl.bench.base import BENCHMARKS, Benchmark
from refimpl.bench.timing import row
from refimpl.backend import namespace
from refimpl.layers import affine
from refimpl.networks import NETWORKS, Network
from refimpl.optimizers import OPTIMIZERS, Optimizer
from refimpl.regularizers import REGULARIZERS, Regularizer
from refimpl.rng import stream
from refimpl.settings import setting
from refimpl.runs.folder import list_runs
from refimpl.tape import record
from refimpl_figures.base import FIGURES, RunsFigure


@ATTACKS.register("mine")
@dataclass(frozen=True, kw_only=True)
class Mine(InputAttack):
    name: ClassVar[str] = "mine"
    turns: int = setting(1, "Number of turns.", at_least=1)
    momentum: float = setting(0.0, "Weight of the gradients before.", at_least=0)

    def perturb(self, target, x, y, starts=(), surrogate=None):
        gradient, v = target.loss(y), 0.0
        for _ in range(self.turns):
            v = self.momentum * v + gradient(x)
            x = x + self.eps / self.turns * namespace(x).sign(v)
        return x


@ATTACKS.register("mine-weights")
@dataclass(frozen=True, kw_only=True)
class AgainstTheGradient(WeightAttack):
    name: ClassVar[str] = "mine-weights"
    radius: float = setting(0.0, "How much each weight of the first layer may change.", at_least=0)

    def radii(self, params):
        return {"W1": self.radius}

    def perturb_all(self, at, params, x, y, chunk=None):
        _, grads = at(params).weights(x, y)
        return x, params | {"W1": params["W1"] + self.radius * namespace(x).sign(grads["W1"])}


@NETWORKS.register("mine")
@dataclass(frozen=True)
class Linear(Network):
    name: ClassVar[str] = "mine"
    spread: float = setting(0.01, "Standard deviation of the first weights.", above=0)

    def init(self, backend, seed=0, dtype="float32"):
        W = stream(seed, "init").normal(0, self.spread, (10, 784))
        return {"W1": backend.asarray(W, dtype), "b1": backend.asarray(np.zeros(10), dtype)}

    def forward(self, params, x):
        tape = []
        return record(tape, affine(x, params["W1"], params["b1"]), "W1", "b1"), tape

    def hidden(self, params, x):
        return []


@REGULARIZERS.register("mine-term")
@dataclass(frozen=True)
class Decay(Regularizer):
    name: ClassVar[str] = "mine-term"
    lam: float = setting(0.0, "Weight decay.", at_least=0)
    centre: float = setting(0.0, "What weights decay to.")

    def value_and_grad(self, params, batch):
        W = params["W1"] - self.centre
        return self.lam * namespace(W).sum(W * W) / 2, {"W1": self.lam * W}


@OPTIMIZERS.register("mine")
@dataclass(frozen=True)
class SignDescent(Optimizer):
    name: ClassVar[str] = "mine"
    eps: float = setting(0.0, "Gradients this small count as zero.", at_least=0)

    def init(self, params):
        return {}

    def update(self, params, grads, state, t):
        xp = namespace(params["W1"])
        moved = {n: xp.sign(g) * xp.astype(xp.abs(g) > self.eps, g.dtype) for n, g in grads.items()}
        return {n: p - self.learning_rate * moved[n] for n, p in params.items()}, state


@BENCHMARKS.register("mine")
@dataclass(frozen=True, kw_only=True)
class Nothing(Benchmark):
    """Do nothing, in turn."""

    name: ClassVar[str] = "mine"
    hours: float = setting(0.0, "How long.", at_least=0)

    def rows(self, note):
        times = [1.0 + self.hours] * self.repeats
        return [row("nothing", times, "nothing else", times)]


class Epochs(RunsFigure):
    name = "mine"

    def collect(self, runs, assumption):
        return {"run": [0], "epochs": [len(list_runs(runs)[0].history)]}

    def draw(self, columns):
        figure = Figure()
        figure.subplots().plot(columns["run"], columns["epochs"], "o")
        return figure


FIGURES.register("mine")(Epochs())
'''

TRAIN = (
    *("train", "--dataset", "strokes-small", "--epochs", "2", "--out", "run", "--no-report"),
    *("--arch", "mine", "--spread", "0.02", "--optimizer", "mine", "--optimizer-eps", "1e-9"),
    *("--mine-term", "0.1", "--mine-term-centre", "0.5", "--adversarial", "mine", "--turns", "2", "--eps", "0.01"),
    *("--attack-momentum", "0.5", "--monitor-examples", "20"),
)
TABLES = {
    "network": {"mine": {"spread": 0.02}},
    "optimizer": {"mine": {"learning_rate": 0.001, "eps": 1e-9}},
    "regularizer": {"mine-term": {"lam": 0.1, "centre": 0.5}},
    "attack": {"mine": {"eps": 0.01, "turns": 2, "momentum": 0.5}},
}


@pytest.fixture
def registered(refimpl, tmp_path, monkeypatch):
    """The module, imported after the command line has been used, and forgotten after the test."""
    refimpl("train", "--help")
    for registry in REGISTRIES.values():
        monkeypatch.setattr(registry, "_found", dict(registry.items()))
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "one_file.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path / "modules")
    yield importlib.import_module("one_file")
    del sys.modules["one_file"]


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """A package with entry points, as pip would leave it, and a process of its own for each command."""
    site = tmp_path / "site"
    (site / "third_party").mkdir(parents=True)
    (site / "third_party" / "__init__.py").write_text(MODULE)
    about = site / "third_party-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: third-party\nVersion: 1.0\n")
    points = "".join(f"[{group}]\nmine = third_party\n" for group in REGISTRIES)
    (about / "entry_points.txt").write_text(points)
    monkeypatch.setenv("PYTHONPATH", str(site))

    def run(*arguments, code=0):
        command = [sys.executable, "-m", "refimpl", *arguments]
        result = subprocess.run(command, capture_output=True, text=True)
        assert result.returncode == code, result.stderr
        return result

    return run


def test_what_is_registered_is_trained_attacked_and_measured(refimpl, registered, attacked):
    refimpl(*TRAIN)
    table = read_table(Path("run/config.toml").read_text(), "")
    assert {name: table[name] for name in TABLES} == TABLES
    first, last = (json.loads(line) for line in Path("run/history.jsonl").read_text().splitlines())
    assert first["mine-term"] > last["mine-term"] > 0
    assert {found["attack"] for found in last["attacks"]} == {"fgsm", "pgd", "gnm", "mine"}
    found = attacked("run", "--attack", "mine", "--turns", "1,3", "--momentum", "0.1", "--eps", "0,0.05")
    assert [(one["eps"], one["turns"], one["momentum"]) for one in found] == [
        (0, 1, 0.1), (0, 3, 0.1), (0.05, 1, 0.1), (0.05, 3, 0.1),
    ]  # fmt: skip
    assert found[0]["n_fooled"] == 0 < found[2]["n_fooled"]
    assert Path("run/attacks/mine-eps0.05-turns3-momentum0.1.json").is_file()
    found = attacked("run", "--attack", "mine-weights", "--radius", "0,0.1", "--eps", "0")
    assert [one["weights_moved"]["W1"] for one in found] == pytest.approx([0, 0.1])
    assert found[0]["n_fooled"] == 0 < found[1]["n_fooled"]
    assert "10 x 784" in refimpl("measure", "run").stdout
    refimpl("figures", "mine", "--runs", "run", "--out", "pictures", "--format", "png")
    assert Path("pictures/mine.csv").read_text() == "run,epochs\n0,2\n"
    (timed,) = json.loads(refimpl("bench", "mine", "--hours", "2", "--repeats", "3", "--json").stdout)["benchmarks"]
    assert (timed["name"], timed["ours_s"], timed["repeats"]) == ("nothing", 3.0, 3)
    refimpl("train", "--config", "run/config.toml", "--out", "again", "--no-report")
    assert Path("again/history.jsonl").read_bytes() == Path("run/history.jsonl").read_bytes()


def test_its_options_are_in_the_help_and_take_no_name_from_refimpls_own(refimpl, registered):
    shown = re.sub(r"\s+", " ", refimpl("train", "--help").stdout)
    assert "--turns INTEGER Number of turns. For mine. [default: 1]" in shown
    assert "--optimizer-eps NUMBER Gradients this small count as zero. For mine. [default: 0]" in shown
    assert "--attack-momentum NUMBER Weight of the gradients before. For mine. [default: 0]" in shown
    assert "--momentum NUMBER Momentum. For sgd." in shown
    assert re.search(r"One of apgd, [a-z0-9, -]*pgd-l2, lora-pgd, [a-z0-9, -]*mine, [a-z0-9, -]*none\.", shown)
    said = refimpl("train", "--optimizer", "mine", "--momentum", "0.5", code=2).stderr
    assert "--momentum belongs to sgd, not to mine" in said
    said = refimpl("train", "--adversarial", "pgd", "--attack-momentum", "0.5", code=2).stderr
    assert "--attack-momentum belongs to mine, not to pgd" in said


@pytest.mark.slow
def test_what_a_package_adds_by_entry_points_is_there_in_every_process(installed):
    installed(*TRAIN)
    table = read_table(Path("run/config.toml").read_text(), "")
    assert {name: table[name] for name in TABLES} == TABLES
    (found,) = json.loads(installed("attack", "run", "--attack", "mine", "--eps", "0.05", "--json").stdout)["attacks"]
    assert (found["attack"], found["n"]) == ("mine", 300)
    assert "--mine-term-centre" in installed("train", "--help").stdout
    assert "--hours" in installed("bench", "mine", "--help").stdout
    installed("figures", "mine", "--runs", "run", "--out", "pictures", "--format", "png")
    assert Path("pictures/mine.png").is_file()
