"""Benchmarks from the command line: what they compute, what their rows say, and how one is added."""

import functools
import json
import math
import os
import re
import subprocess
import sys
import types
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from refimpl.backend import backend, numpy_kernel
from refimpl.bench import BENCHMARKS, Benchmark, interleave, peers, row, stack
from refimpl.bench.attack import ATTACKS
from refimpl.bench.memory import peak_bytes
from refimpl.bench.timing import THREAD_VARIABLES, pinned
from refimpl.bench.train import NAMES, Ours, Task
from refimpl.data import load
from refimpl.networks import CNN, FCNN, LeNet5
from refimpl.optimizers import SGD
from refimpl.runs.config import Config
from refimpl.runs.manifest import kernel_remark
from refimpl.settings import setting

SMALL = ("--dataset", "strokes-small", "--repeats", "1")


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """An empty folder to run in, no real data to be found, and no kernel asked for."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("REFIMPL_DATA", raising=False)
    monkeypatch.delenv("OPENBLAS_CORETYPE", raising=False)


@pytest.fixture
def no_peers(monkeypatch):
    monkeypatch.setattr("refimpl.bench.peers.importlib.util.find_spec", lambda name: None)


@pytest.fixture
def rows_of(refimpl):
    """The rows of a benchmark on the command line."""

    def rows(*arguments):
        return json.loads(refimpl("bench", *arguments, "--json").stdout)["benchmarks"]

    return rows


@BENCHMARKS.register("sorting")
@dataclass(frozen=True, kw_only=True)
class Sorting(Benchmark):
    """Sort numbers, in place and not."""

    name: ClassVar[str] = "sorting"

    size: int = setting(1000, "How many there are.", unit="numbers", at_least=1)
    kinds: tuple[str, ...] = setting(("stable",), "The algorithms.")

    def rows(self, note):
        numbers = np.random.default_rng(0).random(self.size)
        times = interleave({kind: lambda kind=kind: np.sort(numbers, kind=kind) for kind in self.kinds}, self.repeats)
        return [row("sort", times[kind], kind, times[kind], size=self.size, peer_size=self.size) for kind in times]


def test_a_registered_benchmark_is_a_command_with_its_settings_as_options(refimpl, rows_of):
    assert "sorting" in refimpl("bench", "--help").stdout
    said = " ".join(refimpl("bench", "sorting", "--help").stdout.split())
    assert "Sort numbers, in place and not." in said
    assert "--size INTEGER How many there are (numbers). [default: 1000]" in said
    assert "--kinds TEXTS The algorithms. [default: stable]" in said
    found = rows_of("sorting", "--size", "50", "--kinds", "heapsort,stable", "--repeats", "2")
    assert [(one["name"], one["peer"], one["size"], one["repeats"]) for one in found] == [
        ("sort", "heapsort", 50, 2),
        ("sort", "stable", 50, 2),
    ]
    assert "heapsort" in refimpl("bench", "sorting", "--kinds", "heapsort").stdout


def test_the_benchmarks_are_those_of_the_package():
    packaged = {"attack", "cost", "lora", "low-rank", "mi", "nuclear", "stack", "train"}
    assert set(BENCHMARKS.names()) == {*packaged, "sorting"}


def test_looking_for_benchmarks_imports_no_peer():
    code = "import sys; from refimpl.bench import BENCHMARKS; BENCHMARKS.names()\n"
    code += "print([name for name in ('torch', 'jax') if name in sys.modules])"
    printed = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert printed == "[]\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("train", "--repeats", "0"), "train repeats must be finite and at least 1, got 0"),
        (("train", "--arch", "resnet"), "unknown network 'resnet': choose one of"),
        (("train", "--padding", "same"), "network.fcnn: unknown setting 'padding'"),
        (("attack", "--from-run", "r", "--padding", "same"), "the network of r has a padding of its own: give none"),
        (("train", "--against", "tensorflow"), "unknown peer 'tensorflow': choose one of torch, jax"),
        (("attack", "--against", "jax"), "unknown peer 'jax': choose one of torch"),
        (("nuclear", "--against", "jax"), "unknown peer 'jax': choose one of torch"),
        (("low-rank", "--fraction", "0"), "low-rank fraction must be finite and above 0 and at most 1, got 0"),
        (("mi", "--examples", "1"), "mi examples must be finite and at least 2, got 1"),
    ],
)
def test_settings_that_cannot_be_used(refimpl, arguments, message):
    (line,) = refimpl("bench", *arguments, code=2).stderr.splitlines()
    assert message in line


def test_the_nuclear_norm_is_timed_on_numpy_alone(refimpl):
    assert "No such option '--backend'" in refimpl("bench", "nuclear", "--backend", "cupy", code=2).stderr


@pytest.mark.parametrize("finds_gpu", [False, True])
def test_on_a_gpu_peers_are_those_that_compute_there(monkeypatch, finds_gpu):
    monkeypatch.setattr(peers.importlib.util, "find_spec", lambda name: name)
    monkeypatch.setattr(peers, "load", lambda peer: types.SimpleNamespace(finds_gpu=lambda: finds_gpu))
    there, absent = peers.present(("torch", "jax"), FCNN(), "work", "cuda")
    reasons = {one["peer"]: one["absent"] for one in absent}
    assert reasons.pop("jax") == "the jax peer computes on the CPU alone: `--backend numpy` times it"
    if finds_gpu:
        assert (there, reasons) == (["torch"], {})
    else:
        assert there == []
        assert "the torch installed here finds no GPU" in reasons["torch"]
    assert peers.present(("torch", "jax"), FCNN(), "work") == (["torch", "jax"], [])


def test_a_row_compares_medians():
    made = row("work", [1.0, 2.0, 9.0], "peer", [3.0, 4.0, 8.0], answer=42, peer_answer=43)
    assert made == {
        "name": "work", "ours_s": 2.0, "ours_spread_s": [1.0, 9.0], "peer": "peer", "peer_s": 4.0,
        "peer_spread_s": [3.0, 8.0], "ratio": 2.0, "repeats": 3, "answer": 42, "peer_answer": 43,
    }  # fmt: skip


def test_everybody_runs_once_a_round_and_the_first_does_not_count():
    calls = []
    times = interleave({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, 3)
    assert calls == ["a", "b"] * 4
    assert {name: len(taken) for name, taken in times.items()} == {"a": 3, "b": 3}


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="the system pins no process")
def test_pinning_ends_with_the_benchmark(monkeypatch):
    monkeypatch.setenv(THREAD_VARIABLES[0], "7")
    monkeypatch.delenv(THREAD_VARIABLES[1])
    before = os.sched_getaffinity(0)
    with pinned(1):
        assert len(os.sched_getaffinity(0)) == 1
        assert [os.environ[name] for name in THREAD_VARIABLES] == ["1", "1"]
    assert os.sched_getaffinity(0) == before
    assert os.environ[THREAD_VARIABLES[0]] == "7"
    assert THREAD_VARIABLES[1] not in os.environ


def test_train_says_who_is_absent_and_times_the_readable_step(rows_of, no_peers):
    found = rows_of("train", *SMALL, "--against", "torch,jax")
    readable, *absent = found
    assert {"name", "ours_s", "peer", "peer_s", "ratio", "threads", "repeats", "device", "numpy_kernel"} <= set(
        readable
    )
    assert (readable["device"], readable["threads"]) == ("cpu", 1)
    assert math.isclose(readable["ratio"], readable["peer_s"] / readable["ours_s"])
    assert math.isclose(readable["accuracy"], readable["peer_accuracy"], abs_tol=0.005)
    assert [one["absent"] for one in absent] == [f"{peer} is not installed: `pip install {peer}`" for peer in NAMES]
    assert all(one["device"] == "cpu" for one in absent)


def test_a_stack_is_timed_beside_single_models(rows_of, refimpl, no_peers):
    single, more, *absent = rows_of("stack", *SMALL, "--models", "1,3", "--examples", "300")
    assert [one["peer"] for one in (single, more)] == ["single", "single"]
    assert [one["name"].rpartition(", ")[2] for one in (single, more)] == ["1 model", "3 models"]
    assert single["accuracy"] == pytest.approx(single["peer_accuracy"], abs=0.005)
    assert [one["peer"] for one in absent] == ["jax", "torch"]
    assert "at least 1, got (0,)" in refimpl("bench", "stack", *SMALL, "--models", "0", code=2).stderr


def test_seconds_of_a_stack_are_those_of_a_model(rows_of, no_peers, monkeypatch):
    taken = {"refimpl": [6.0], "single": [4.0]}
    monkeypatch.setattr("refimpl.bench.stack.interleave", lambda competitors, repeats: taken)
    (row, *_) = rows_of("stack", *SMALL, "--models", "3", "--examples", "100")
    assert (row["ours_s"], row["peer_s"], row["ratio"]) == (2.0, 4.0, 2.0)


@pytest.mark.parametrize("peer", stack.NAMES)
def test_a_peer_trains_stacks_as_we_do(peer):
    pytest.importorskip(peer, reason=f"{peer} is not installed: nothing to compare with")
    data, order, config = load("strokes-small"), np.arange(300), Config(optimizer=SGD(learning_rate=0.1))
    for name in stack.NAMES[peer]:
        ours = stack.competitor("single" if name in stack.OF_ONE else "refimpl", 3, config, data)
        theirs = stack.competitor(name, 3, config, data)
        for one in (ours, theirs):
            one.epoch(order)
        assert theirs.accuracy() == pytest.approx(ours.accuracy(), abs=0.01)


def test_a_missing_peer_is_a_note_beside_the_table(refimpl, no_peers):
    result = refimpl("bench", "train", *SMALL)
    assert "torch is not installed: `pip install torch`" in result.stderr
    assert "refimpl, readable step" in result.stdout


def test_a_peer_without_the_network_says_so(rows_of):
    found = rows_of("train", *SMALL, "--arch", "cnn", "--examples", "64", "--against", "jax")
    assert found[-1]["absent"] == "the jax peer does not support cnn"


def test_attack_and_the_convolutional_net(rows_of, no_peers):
    ours, absent = rows_of("attack", *SMALL)
    assert ours["ours_spread_s"][0] <= ours["ours_s"] <= ours["ours_spread_s"][1]
    assert 0 <= ours["accuracy"] <= 1
    assert not ours.keys() & {"peer", "peer_s", "ratio"}
    assert absent["absent"] == "torch is not installed: `pip install torch`"
    (readable, _) = rows_of("train", *SMALL, "--arch", "lenet5", "--examples", "64")
    assert readable["name"] == "train lenet5, strokes-small, an epoch of 64"


@pytest.mark.parametrize("kind", ["train", "attack", "low-rank"])
def test_a_network_has_the_settings_asked_for(kind, rows_of, no_peers, monkeypatch):
    made, init = [], CNN.init
    monkeypatch.setattr("refimpl.bench.train.peak_bytes", lambda *arguments: 0)
    monkeypatch.setattr(CNN, "init", lambda network, *given: made.append(network) or init(network, *given))
    settings = ("--arch", "cnn", "--padding", "same", "--activation", "relu", "--filters", "2,3", "--hidden-units", "4")
    (first, *_) = rows_of(kind, *SMALL, "--examples", "20", *settings)
    assert " cnn with padding same, activation relu, filters (2, 3), hidden_units 4" in first["name"]
    assert set(made) == {CNN(padding="same", activation="relu", filters=(2, 3), hidden_units=4)}


def test_mutual_information_has_the_same_bounds(rows_of):
    (found,) = rows_of("mi", "--examples", "300", "--repeats", "1")
    assert found["bounds"] == pytest.approx(found["peer_bounds"], rel=1e-9)
    assert found["peak_bytes"] < found["peer_peak_bytes"]


def test_nuclear_norms_have_the_same_gradient(refimpl, rows_of, no_peers):
    gram, svd, absent, epoch = rows_of("nuclear", *SMALL)
    for found in (gram, svd):
        assert found["error"] < 1e-6
        assert found["peer_error"] < 1e-6
    assert absent["peer"] == "torch"
    assert epoch["peer"] == "the same without the term"
    assert "SVD" in refimpl("bench", "nuclear", *SMALL).stdout


def test_cost_gives_exponents(refimpl, rows_of, monkeypatch):
    monkeypatch.setattr("refimpl.bench.cost.GRID", {"batch": (4, 16), "side": (14, 20)})
    monkeypatch.setattr("refimpl.bench.cost.EVALUATED", (512, 1024))
    found = rows_of("cost", "--repeats", "1")
    fits = {one["name"]: one for one in found if "size" not in one}
    assert set(fits) == {
        "a training step of cnn, batch varied",
        "a training step of cnn, side varied",
        "an evaluation of cnn, images varied",
    }
    assert fits["an evaluation of cnn, images varied"]["peak_bytes_exponent"] < 0.1  # bounded by the chunk
    assert "seconds exponent" in refimpl("bench", "cost", "--repeats", "1").stdout


def test_low_rank_training_is_timed_beside_that_of_the_dense_net(rows_of):
    found = rows_of("low-rank", *SMALL)
    assert [one["peer"] for one in found] == ["dense, readable step", "dense, fast step"]
    assert all((one["weights"], one["peer_weights"]) == (10_540, 17_480) for one in found)


def test_lora_counts_the_bytes_of_the_factors(rows_of):
    found = rows_of("lora", *SMALL, "--examples", "64")
    fractions = {int(re.search(r"rank (\d+)", one["name"])[1]): one["bytes"] / one["peer_bytes"] for one in found}
    assert fractions == {rank: pytest.approx(rank * 2 * 28 / 28**2) for rank in (3, 6, 14, 28)}


def test_peak_memory_is_what_a_fresh_process_needs():
    small, large = (peak_bytes(functools.partial, np.ones, 10**6 * mb // 8) for mb in (10, 110))
    assert 90e6 < large - small < 110e6


def in_fresh_process(code, **variables):
    printed = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **variables}, check=True, capture_output=True, text=True
    )
    return printed.stdout.strip()


def test_the_kernel_is_that_of_numpys_blas_and_not_scipys(monkeypatch):
    site = Path(np.__file__).resolve().parents[1]
    own = {"user_api": "blas", "filepath": f"{site}/numpy.libs/libscipy_openblas64_.so", "architecture": "SkylakeX"}
    scipys = {"user_api": "blas", "filepath": f"{site}/scipy.libs/libscipy_openblas.so", "architecture": "Haswell"}
    openmp = {"user_api": "openmp", "filepath": "/usr/lib/libgomp.so"}
    for pools in ([own, scipys, openmp], [scipys, openmp, own]):
        monkeypatch.setattr(sys.modules["refimpl.backend"], "threadpool_info", lambda pools=pools: pools)
        assert numpy_kernel() == "SkylakeX"
    elsewhere = {**own, "filepath": "/usr/lib/libopenblas.so"}
    monkeypatch.setattr(sys.modules["refimpl.backend"], "threadpool_info", lambda: [elsewhere, openmp])
    assert numpy_kernel() == "SkylakeX"
    monkeypatch.setattr(sys.modules["refimpl.backend"], "threadpool_info", lambda: [elsewhere, scipys])
    assert numpy_kernel() is None


def test_a_kernel_below_the_processors_is_remarked():
    assert kernel_remark() is None
    code = (
        "from refimpl.backend import numpy_kernel; from refimpl.runs.manifest import kernel_remark; "
        "print(numpy_kernel(), kernel_remark())"
    )
    usual, _ = in_fresh_process(code).split(maxsplit=1)
    held, remark = in_fresh_process(code, OPENBLAS_CORETYPE="Prescott").split(maxsplit=1)
    if held == usual:
        pytest.skip("NumPy's BLAS does not heed OPENBLAS_CORETYPE here")
    assert remark == (
        f"OPENBLAS_CORETYPE=Prescott holds NumPy's BLAS to its kernel {held}; without it this processor gets {usual}"
    )
    assert in_fresh_process(code, OPENBLAS_CORETYPE=usual) == f"{usual} None"


NETS = [
    FCNN(widths=(784, 12, 10)),
    CNN(filters=(3, 4), hidden_units=8),
    CNN(filters=(3, 4), hidden_units=8, padding="same", activation="relu", dense_activation="leaky-relu"),
    CNN(filters=(3, 4), hidden_units=8, kernel=5, activation="identity", dense_activation="relu"),
    CNN(filters=(3, 4), hidden_units=8, channels=3, side=14, padding="same", classes=7),
    LeNet5(filters=(3, 4), hidden_units=8),
]


@pytest.mark.parametrize("ours", NETS, ids=str)
def test_the_torch_peer_is_the_same_network(ours, rng):
    torch = pytest.importorskip("torch", reason="torch is not installed: nothing to compare with")
    from refimpl.bench.peers import torch_peer

    params = ours.init(backend("numpy"))
    params = {name: p + rng.normal(size=p.shape).astype(np.float32) / 10 for name, p in params.items()}
    pixels = ours.channels * ours.side**2 if isinstance(ours, CNN) else 784
    x, y = rng.random((5, pixels), np.float32), rng.integers(0, 7, 5)
    gradients = ours.gradients(params)
    theirs = torch_peer.network(ours, params)
    leaf = torch.from_numpy(x).requires_grad_(True)
    logits = theirs(leaf)
    np.testing.assert_allclose(logits.detach().numpy(), gradients.logits(x), rtol=1e-4, atol=1e-5)
    torch.nn.functional.cross_entropy(logits, torch.from_numpy(y), reduction="sum").backward()
    np.testing.assert_allclose(leaf.grad.numpy(), gradients.loss(y)(x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("arch", ["fcnn", "cnn"])
@pytest.mark.parametrize("peer", NAMES)
def test_a_peer_trains_as_we_do(peer, arch):
    pytest.importorskip(peer, reason=f"{peer} is not installed: nothing to compare with")
    from refimpl.bench import peers

    config = Config.from_table({"network": {arch: {}}, "optimizer": {"sgd": {"learning_rate": 0.1}}})
    if not isinstance(config.network, peers.SUPPORTED[peer]):
        pytest.skip(f"the {peer} peer does not support {arch}")
    data, order = load("strokes-small"), np.arange(300)
    ours = Ours(config, data, backend("numpy"))
    ours.epoch(order)
    for name in NAMES[peer]:
        task = Task(config.network, config.init(backend("numpy")), data, 0.1, config.batch_size, 1)
        theirs = peers.load(peer).competitor(name, task)
        theirs.epoch(order)
        assert theirs.accuracy() == pytest.approx(ours.accuracy(), abs=0.01)


def test_the_torch_peer_attacks_as_we_do(rng):
    pytest.importorskip("torch", reason="torch is not installed: nothing to compare with")
    from refimpl.bench.peers import torch_peer
    from refimpl.layers.images import scale

    data, network = load("strokes-small"), FCNN()
    params = network.init(backend("numpy"))
    x, y = scale(data.test.images, np.float32), data.test.labels.astype(np.int64)
    ours = ATTACKS["pgd"].perturb(network.gradients(params), x, y)
    theirs = torch_peer.Attacking(network, params, data, 1).attack(100, ATTACKS["pgd"])
    assert (np.abs(ours - theirs) < 1e-5).mean() > 0.99  # a sign may differ where a gradient is almost zero


def test_attack_against_torch(rows_of):
    pytest.importorskip("torch", reason="torch is not installed: nothing to compare with")
    small, large = rows_of("attack", *SMALL)
    assert (small["peer"], large["peer"]) == ("torch, eager, batches of 256", "torch, eager, batches of 500")
    assert small["accuracy"] == pytest.approx(small["peer_accuracy"], abs=0.01)
