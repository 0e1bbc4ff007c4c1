"""What the command line does, from Python: training, attacks, measures, comparison; and networks of one's own."""

import os
import re
import subprocess
import sys
import textwrap
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

import refimpl as ri
from refimpl.runs.train import check_network

README = Path(__file__).parents[2] / "refimpl" / "runs" / "README.md"


def arrays(rng, n, classes=3, shape=(8, 8)):
    """Images whose mean grows with the label."""
    y = rng.integers(0, classes, n)
    x = 0.2 * rng.random((n, *shape)) + y.reshape(n, *(1 for _ in shape)) / (classes + 1)
    return x.clip(0, 1), y


@pytest.fixture
def data(rng):
    return ri.Dataset.from_arrays(arrays(rng, 200), arrays(rng, 50))


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


CONFIG = ri.Config(network=ri.FCNN((64, 8, 3)), optimizer=ri.Adam(learning_rate=0.02), epochs=4, checkpoint_every=3)


def program() -> str:
    (code,) = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    return code


def example() -> str:
    """The program in the docstring of `Network`."""
    lines = textwrap.dedent(ri.Network.__doc__.partition("\n")[2]).splitlines()
    return "\n".join(line.removeprefix("    ") for line in lines if line.startswith("    ") or not line)


def write_npz(rng):
    (x_train, y_train), (x_test, y_test) = arrays(rng, 200), arrays(rng, 50)
    np.savez("mine.npz", x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test)


def test_the_program_of_the_readme_runs(rng, capsys):
    write_npz(rng)
    found: dict = {}
    exec(compile(program(), str(README), "exec"), found)
    natural, robust = found["natural"], found["robust"]
    assert (natural.epoch, robust.epoch) == (5, 3)
    assert robust.folder is None
    assert robust.config.start == "runs/natural"
    (file,) = natural.folder.glob("attacks/*.json")
    assert file.name.startswith(f"pgd-eps{8 / 255!r}-")
    assert len(capsys.readouterr().out.splitlines()) == 3 + 2 + 1 + 1


@pytest.mark.slow
def test_the_program_of_the_readme_passes_a_strict_type_checker_that_sees_mistakes(tmp_path):
    pytest.importorskip("mypy", reason="needs mypy, of the extra lint")
    (tmp_path / "program.py").write_text(program())
    (tmp_path / "wrong.py").write_text("import refimpl as ri\n\nri.trian\nri.open_run('run').nonsense\n")
    command = [sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent", "."]
    where = {**os.environ, "MYPYPATH": str(README.parents[2]), "MYPY_CACHE_DIR": str(tmp_path / "cache")}
    checked = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=where)
    found = re.findall(r"^(.*): error: .*\[(.*)\]$", checked.stdout, re.MULTILINE)
    assert found == [("wrong.py:3", "attr-defined"), ("wrong.py:4", "attr-defined")], checked.stdout


def test_the_example_of_a_network_is_attacked_trained_and_measured(capsys):
    found: dict = {}
    exec(compile(example(), "Network.__doc__", "exec"), found)
    fooling_ratio, accuracy = map(float, capsys.readouterr().out.split())
    assert accuracy > 0.5 > 0.1  # of ten classes
    assert fooling_ratio > 0.1
    run = found["run"]
    for attack in ("fgsm", "gnm", "input-weight", "lora-pgd"):
        assert run.attack(attack, examples=10).n == 10
    assert len(run.measure(sigma2=0.1).layers) == 2


def test_the_commands_and_python_leave_the_same_run(refimpl, rng):
    write_npz(rng)
    shared = ("--dataset", "mine.npz", "--widths", "64,8,3", "--optimizer", "adam", "--learning-rate", "0.02")
    refimpl("train", "--arch", "fcnn", *shared, "--epochs", 4, "--checkpoint-every", 3, "--out", "a", "--no-report")
    ri.train(CONFIG, ri.load("mine.npz"), folder="b").result()
    for file in ("config.toml", "history.jsonl", "checkpoints/epoch-00004.safetensors"):
        assert Path("a", file).read_bytes() == Path("b", file).read_bytes()
    refimpl("attack", "a", "--attack", "pgd", "--eps", "0.1")
    refimpl("measure", "a", "--mi")
    run = ri.open_run("b")
    run.attack("pgd", eps=0.1)
    run.measure(sigma2=0.1)
    assert Path("a/attacks/pgd-eps0.1.json").read_bytes() == Path("b/attacks/pgd-eps0.1.json").read_bytes()
    assert Path("a/measure.json").read_text().replace('"a"', '"b"') == Path("b/measure.json").read_text()


def test_a_run_in_memory_is_the_one_in_a_folder(data):
    memory = ri.train(CONFIG, data).result()
    kept = ri.train(CONFIG, data, folder="run").result()
    assert memory.checkpoint_sha256 == kept.checkpoint_sha256
    assert memory.history == kept.history
    assert memory.measure() == kept.measure()
    assert memory.attack("pgd", eps=0.1).summary == kept.attack("pgd", eps=0.1).summary
    assert (memory.folder, kept.folder) == (None, Path("run"))


def test_training_that_is_left_goes_on_to_the_same_bits(data):
    straight = ri.train(CONFIG, data).result()
    left = ri.train(CONFIG, data)
    assert next(left).epoch == 1
    left.close()
    assert [log.epoch for log in left] == [2, 3, 4]
    assert list(left) == []
    assert left.result().checkpoint_sha256 == straight.checkpoint_sha256
    with ri.train(CONFIG, data, folder="run") as training:
        next(training)
    assert ri.open_run("run", data=data).epoch == 1
    assert ri.resume("run", data=data).result().checkpoint_sha256 == straight.checkpoint_sha256


@pytest.mark.parametrize("folder", [None, "run"])
def test_an_interrupt_in_an_epoch_is_gone_on_from(data, folder, monkeypatch):
    straight = ri.train(CONFIG, data).result()
    training = ri.train(CONFIG, data, folder=folder)
    next(training)
    with monkeypatch.context() as patch:

        def interrupted(*arguments):
            raise KeyboardInterrupt

        patch.setattr("refimpl.training.loop.score", interrupted)
        with pytest.raises(KeyboardInterrupt):
            next(training)
    assert [log.epoch for log in training] == [2, 3, 4]
    assert training.result().history == straight.history


def test_training_that_fails_in_a_program_says_why_in_its_run(data):
    def program(training):
        with training:
            for log in training:
                log.epoch / 0

    training = ri.train(CONFIG, data, folder="run")
    with pytest.raises(ZeroDivisionError):
        program(training)
    assert (training.run.status, training.run.manifest["reason"]) == ("failed", "division by zero")


def test_training_in_a_folder_is_locked_until_it_is_closed(data):
    training = ri.train(CONFIG, data, folder="run")
    next(training)
    with pytest.raises(ri.UsageError, match="not closed"):
        ri.resume("run", data=data).result()
    training.close()
    assert ri.resume("run", data=data).result().epoch == 4


def test_weights_to_start_from_are_those_of_a_run_or_of_its_folder(data):
    natural = ri.train(CONFIG, data, folder="natural").result()
    tuned = replace(CONFIG, epochs=1, attack=ri.attacks.PGD(eps=0.1))
    runs = [ri.train(tuned, data, start=start).result() for start in (natural, "natural", Path("natural"))]
    assert len({run.checkpoint_sha256 for run in runs}) == 1
    assert len({run.config.start for run in runs}) == 1
    first = ri.train(tuned, data).result()
    assert first.checkpoint_sha256 != runs[0].checkpoint_sha256


def test_what_was_monitored_is_in_the_logs(data):
    config = replace(CONFIG, attack=ri.attacks.FGSM(), monitor="all", monitor_examples=10, epochs=2)
    logs = list(ri.train(config, data))
    assert [attack["attack"] for attack in logs[0].attacks] == ["fgsm", "pgd", "gnm"]
    assert "mutual_information_lower" in logs[0].layers[0]


def test_results_have_the_words_of_the_paper(data):
    run = ri.train(CONFIG, data).result()
    fooled, weak = run.attack_all([ri.attacks.PGD(eps=0.2), "fgsm"], ri.Evaluation(examples=30))
    for result in (fooled, weak):
        for name in ("attack", "eps", "n", "n_correct", "n_fooled", "accuracy", "fooling_ratio"):
            assert getattr(result, name) == result.summary[name]
        assert list(result.fooling_ratio_interval_95) == result.summary["fooling_ratio_interval_95"]
        assert result.robust_accuracy == (result.n_correct - result.n_fooled) / 30
    assert (weak.attack, weak.eps, weak.n) == ("fgsm", 0.05, 30)
    measured = run.measure()
    assert measured.accuracy == run.history[-1]["accuracy"]
    assert [layer.shape for layer in measured.layers] == [(8, 64), (3, 8)]


def test_attacks_of_weights_and_of_inputs_keep_their_order(data):
    run = ri.train(CONFIG, data).result()
    names = ["pgd", "input-weight", "fgsm"]
    assert [result.attack for result in run.attack_all(names)] == names
    assert run.truncated(0.5).attack("input-weight").summary["truncated"] == 0.5


def test_notebooks_show_tables(data):
    training = ri.train(replace(CONFIG, seed=1), data, folder="<run>")
    assert "0 of 4 epochs" in training._repr_html_()
    run = training.result()
    shown = [thing._repr_html_() for thing in (training, run, run.attack("pgd"), run.measure(sigma2=0.1))]
    shown.append(ri.compare([run])._repr_html_())
    for html in shown:
        assert html.startswith("<table>")
        assert "<run>" not in html
    assert "&lt;run&gt;" in shown[1]
    assert "I(x;t), bits" in shown[3]


def test_runs_in_memory_and_in_folders_are_compared(data):
    runs = [ri.train(replace(CONFIG, seed=seed), data).result() for seed in (0, 1)]
    runs += [ri.train(replace(CONFIG, epochs=2, seed=seed), data, folder=f"short{seed}").result() for seed in (0, 1)]
    for run in runs:
        run.attack("pgd", eps=0.1)
    runs[0].attack("fgsm")
    found = ri.compare([*runs[:3], "short1"], against="short0")
    assert [group.seeds for group in found.groups] == [[0, 1], [0, 1]]
    assert {one.quantity for one in found.differences} >= {"accuracy", "fooling_ratio:pgd-eps0.1", "effective_rank:W1"}
    assert any("fgsm" in note for note in found.notes)
    best, *_ = ri.compare(runs, sort="-accuracy").rows()
    assert best["accuracy"] == max(run.history[-1]["accuracy"] for run in runs)
    with pytest.raises(ri.UsageError, match="a list of runs"):
        ri.compare("short0")


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (lambda data: ri.train(CONFIG, data.train.images), "expected a Config and a Dataset"),
        (lambda data: ri.train(replace(CONFIG, dataset="mnist"), data), "for the data set mnist"),
        (lambda data: ri.train(replace(CONFIG, network=ri.FCNN((784, 10))), data), "from 64 pixels to 3 classes"),
        (lambda data: ri.train(replace(CONFIG, start="run"), data), "give it as start"),
        (lambda data: ri.train(CONFIG, data, start="nowhere"), "not a run"),
        (lambda data: ri.open_run("nowhere"), "not a run"),
        (lambda data: ri.resume("nowhere"), "not a run"),
        (lambda data: ri.Config(network="cnn"), "network cannot be 'cnn'"),
        (lambda data: ri.Config(attack=ri.attacks.InputWeight()), "attack cannot be"),
        (lambda data: ri.Config(regularizers=ri.regularizers.L1({"W1": 0.1})), "regularizers must be a tuple"),
    ],
)
def test_what_cannot_be_trained_is_refused_in_one_line(data, made, words, unchecked):
    with pytest.raises(ri.RefimplError, match=words) as refused:
        made(data)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (lambda run: run.attack("pdg"), "unknown attack 'pdg'"),
        (lambda run: run.attack("pgd", epsilon=0.1), "did you mean 'eps'"),
        (lambda run: run.attack("pgd", exmples=10), "did you mean 'examples'"),
        (lambda run: run.attack("pgd", examples=0), "at least one example"),
        (lambda run: run.attack(ri.attacks.PGD(), eps=0.1), "where it is made"),
        (lambda run: run.attack(0.1), "expected an attack"),
        (lambda run: run.attack("pgd", surrogate=run), "leads a warm start"),
        (lambda run: run.attack("pgd", certify=True), "belongs to input-weight"),
        (lambda run: run.attack_all("pgd"), "expected a list of attacks"),
        (lambda run: run.measure(sigma2=-1.0), "sigma2"),
        (lambda run: ri.open_run(run.folder), "was trained on arrays in memory"),
        (lambda run: ri.resume(run.folder), "was trained on arrays in memory"),
        (lambda run: ri.resume(run.folder, data=run.data, epochs=1).result(), "2 epochs already"),
        (lambda run: ri.train(run.config, run.data, folder=run.folder), "exists"),
        (lambda run: ri.open_run(run.folder, data=ri.load("strokes-small")), "other data"),
    ],
)
def test_what_cannot_be_done_with_a_run_is_refused_in_one_line(data, made, words, unchecked):
    run = ri.train(replace(CONFIG, epochs=2), data, folder="run").result()
    with pytest.raises(ri.RefimplError, match=words) as refused:
        made(run)
    assert "\n" not in str(refused.value)


def test_results_that_cannot_be_saved_are_warned_of(data):
    run = ri.train(replace(CONFIG, epochs=1), data, folder="run").result()
    Path("run/attacks").write_text("a file where the folder would be")
    with pytest.warns(ri.RefimplWarning, match="could not be saved"):
        result = run.attack("fgsm")
    assert result.file is None
    Path("run/measure.json").mkdir()
    with pytest.warns(ri.RefimplWarning, match="could not be saved"):
        run.measure()


@dataclass(frozen=True)
class Mine(ri.Network):
    """A linear net, wrong in the way that is asked for."""

    wrong: str = ""

    def init(self, backend, seed=0, dtype="float32"):
        params = ri.fcnn.init(backend, seed, (64, 3), dtype)
        return {"weight": params["W1"], "bias": params["b1"]} if self.wrong == "names" else params

    def forward(self, params, x):
        tape = []
        names = ("b1", "W1") if self.wrong == "order" else ("W1", "b1")
        z = ri.record(tape, ri.layers.affine(x, params["W1"], params["b1"]), *names)
        if self.wrong == "fails":
            return x @ x, tape
        return z[:, :2] if self.wrong == "classes" else z, tape

    def hidden(self, params, x):
        return [x] if self.wrong == "hidden" else []


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ("names", "expected parameters W1, b1, W2, b2, ..., got weight, bias"),
        ("order", "the gradient of W1"),
        ("classes", r"Mine.forward gives \(2, 2\) for two images, expected logits \(2, 3\)"),
        ("fails", "Mine fails on two images of 64 pixels"),
        ("hidden", "Mine.hidden gives"),
    ],
)
def test_a_network_that_does_not_keep_its_protocol_is_refused(data, wrong, words, unchecked):
    with pytest.raises(ri.UsageError, match=words):
        ri.train(ri.Config(network=Mine(wrong), epochs=1), data)


def test_a_network_without_a_name_is_trained_in_memory_alone(data):
    run = ri.train(ri.Config(network=Mine(), optimizer=ri.Adam(), epochs=1), data).result()
    assert run.attack("pgd").n == 50
    with pytest.raises(ri.UsageError, match="cannot name Mine: register the class as a network"):
        ri.train(run.config, data, folder="run")
    assert not Path("run").exists()


def test_the_check_passes_the_networks_there_are():
    data = ri.load("strokes-small")
    for network in (ri.FCNN(), ri.CNN(), ri.LeNet5()):
        check_network(network, network.init(ri.backend("numpy")), data)


def test_what_is_usual_for_a_network_is_taken_where_nothing_is_said():
    for network in (ri.FCNN(), ri.CNN(), ri.LeNet5()):
        for start in ("", "somewhere"):
            table = {"network": {network.name: {}}, "start": start}
            assert ri.Config(network=network, start=start) == ri.Config.from_table(table)
    assert ri.Config(network=ri.CNN()).batch_size == 64


def test_runs_are_loaded_only_when_they_are_asked_for():
    code = "import sys, refimpl; print([m for m in ('refimpl.runs', 'msgspec', 'filelock') if m in sys.modules])"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert loaded == "[]\n"
    for name in ri.RUNS:
        assert name in ri.__all__
        assert name in dir(ri)
        assert getattr(ri, name).__doc__
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        _ = ri.trian
