"""What is measured in training: when, on what, that it is what the commands would say, and the alarm."""

import numpy as np
import pytest

from refimpl import LabelledImages, fooling
from refimpl.attacks import FGSM, GNM, PGD
from refimpl.backend import backend
from refimpl.data import strokes
from refimpl.measures.per_layer import layer_information
from refimpl.networks import FCNN, fcnn
from refimpl.runs.config import Config
from refimpl.runs.fit import fit
from refimpl.runs.folder import Run
from refimpl.settings import PIXELS
from refimpl.training import Monitor, catastrophic_overfitting
from refimpl.training.monitor import due, unmonitored

SMALL = strokes(seed=1, n_train=640, n_test=100)


def test_epochs_are_dense_early_and_sparse_late():
    epochs = [epoch for epoch in range(1, 10_001) if due(epoch)]
    assert epochs[:18] == [1, 2, 3, 4, 5, 6, 8, 10, 13, 16, 20, 25, 32, 40, 50, 63, 79, 100]
    assert {10, 100, 1000, 10_000} <= set(epochs)
    later = [epoch for epoch in epochs if epoch >= 10]
    ratios = np.divide(later[1:], later[:-1])
    assert ratios.min() > 1.2
    assert ratios.max() < 1.31  # a tenth of a decade is 1.26


def first(n):
    return LabelledImages(SMALL.test.images[:n], SMALL.test.labels[:n], backend("numpy"))


def test_a_log_says_what_the_evaluation_says_of_the_first_examples():
    params = fcnn.init(backend("numpy"))
    attacks = [kind(eps=0.1, clip=(0.0, 1.0)) for kind in (FGSM, PGD, GNM)]
    monitor = Monitor(FCNN(), first(40), attacks, mutual_information=True, last=4)
    line = monitor({"epoch": 1, "layers": [{"name": f"W{i}"} for i in range(1, 7)]}, params)
    results = fooling(FCNN(), params, first(40), attacks)
    for found, result in zip(line["attacks"], results, strict=True):
        kept = ("attack", "eps", "n", "n_correct", "fooling_ratio", "robust_accuracy")
        assert found == {key: result.summary[key] for key in kept}
        assert found["n"] == 40
    known = layer_information(FCNN(), params, SMALL.test.images[:40])
    for layer, more in zip(line["layers"], known, strict=False):
        assert more.items() <= layer.items()
    assert line["layers"][-1] == {"name": "W6"}


@pytest.mark.parametrize(
    ("attacks", "mutual_information", "keys"),
    [
        ((FGSM(),), False, {"attacks"}),
        ((), False, set()),
        ((), True, {"layers"}),
        ((GNM(),), True, {"attacks", "layers"}),
    ],
)
def test_what_is_monitored(attacks, mutual_information, keys):
    params = fcnn.init(backend("numpy"))
    monitor = Monitor(FCNN(), first(10), attacks, mutual_information, last=9)
    before = {"epoch": 1, "layers": [{} for _ in range(6)]}
    line = monitor(before | {}, params)
    assert {key for key in line if line[key] != before.get(key)} == keys
    assert monitor({"epoch": 7}, params) == {"epoch": 7}
    last = monitor({"epoch": 9, "layers": [{} for _ in range(6)]}, params)
    assert last | {"epoch": 1} == line
    assert unmonitored(last, last=9) == last
    assert unmonitored(last, last=12) == before | {"epoch": 9}
    assert unmonitored(line, last=12) == line


@pytest.mark.parametrize(
    ("settings", "names", "mutual_information"),
    [
        ({}, [], False),
        ({"attack": FGSM(eps=0.1)}, ["fgsm", "pgd", "gnm"], False),
        ({"monitor": "none", "attack": FGSM()}, [], False),
        ({"monitor": "mi", "attack": FGSM()}, [], True),
        ({"monitor": "all"}, ["fgsm", "pgd", "gnm"], True),
    ],
)
def test_what_a_run_monitors(settings, names, mutual_information):
    config = Config(**settings)
    attacks = config.monitored_attacks()
    assert [attack.name for attack in attacks] == names
    assert ("mi" in config.monitored) == mutual_information
    if config.attack:
        assert all(attack.eps == config.attack.eps for attack in attacks)


@pytest.mark.parametrize(
    ("settings", "clip"),
    [
        ({}, None),
        ({"monitor_clip": PIXELS}, PIXELS),
        ({"attack": PGD()}, None),
        ({"attack": PGD(clip=PIXELS)}, PIXELS),
        ({"attack": PGD(), "monitor_clip": PIXELS}, PIXELS),
    ],
)
def test_where_monitored_attacks_keep_their_pixels(settings, clip):
    config = Config(monitor="fooling", **settings)
    assert {attack.clip for attack in config.monitored_attacks()} == {clip}
    assert config.attack == settings.get("attack")


def ratio(attack, value):
    return {"attack": attack, "eps": 0.05, "n": 100, "n_correct": 90, "fooling_ratio": value}


def records(*ratios):
    return [
        {"epoch": epoch, "attacks": [ratio("fgsm", f), ratio("pgd", p)]} for epoch, (f, p) in enumerate(ratios, start=1)
    ]


@pytest.mark.parametrize(
    ("history", "epoch"),
    [
        (records((0.8, 0.9), (0.5, 0.6), (0.4, 0.5)), None),  # both fall
        (records((0.8, 0.9), (0.5, 0.6), (0.1, 0.9)), 3),
        (records((0.5, 0.6), (0.4, 0.65), (0.3, 0.72)), 3),  # slowly: ten points in two steps
        (records((0.5, 0.6), (0.7, 0.8)), None),  # both rise
        (records((0.5, 0.6), (0.4, 0.65)), None),  # by less than the noise
        (records((None, None), (0.5, 0.6), (0.1, 0.9)), 3),  # nothing was classified correctly yet
        (records((0.5, 0.5), (0.4, 0.6)), None),  # by a tenth, and not by more
        (records((0.5, 0.6), (0.5, 0.9)), None),  # FGSM fools as many
        ([{"epoch": 1}, *records((0.5, 0.6)), {"epoch": 3}], None),
    ],
)
def test_catastrophic_overfitting_is_fgsm_down_and_pgd_up(history, epoch):
    assert catastrophic_overfitting(history) == epoch


def test_it_is_reported_once_and_stays_on_record(tmp_path, monkeypatch):
    """With ratios put in by hand; the run is real, interrupted and continued."""
    ratios = {1: (0.6, 0.7), 2: (0.2, 0.9), 3: (0.1, 0.95), 4: (0.1, 0.95)}

    def put(self, line, params):
        return line | records(*ratios.values())[line["epoch"] - 1]

    monkeypatch.setattr(Monitor, "__call__", put)
    warnings = []

    def stop_after_3(log):
        if log.epoch == 3:
            raise KeyboardInterrupt

    for name, attack, expected in (("attacked", FGSM(), 2), ("natural", None, None)):
        config = Config(network=FCNN((784, 8, 10)), attack=attack, dataset="strokes", epochs=4)
        run = Run.create(tmp_path / name, config, SMALL)
        with pytest.raises(KeyboardInterrupt):
            fit(run, SMALL, backend("numpy"), stop_after_3, warnings.append)
        fit(run, SMALL, backend("numpy"), lambda log: None, warnings.append)
        assert run.manifest["catastrophic_overfitting"] == expected
    (warning,) = warnings
    assert "catastrophic overfitting at epoch 2" in warning
