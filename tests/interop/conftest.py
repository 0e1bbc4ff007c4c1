"""A run that has learnt the strokes, opened; the networks that every other library is given."""

import numpy as np
import pytest

import refimpl as ri
from refimpl.low_rank import LowRankNetwork
from refimpl.networks import CNN, FCNN, LeNet5

SMALL = {"filters": (4, 5), "hidden_units": 6, "side": 12, "classes": 3}
LENET = LeNet5(filters=(3, 4), hidden_units=7, side=20)

NETWORKS = {
    "fcnn": FCNN((12, 7, 6, 3), image=(3, 2, 2)),
    "cnn": CNN(**SMALL),
    "cnn-same-relu": CNN(padding="same", activation="relu", dense_activation="identity", **SMALL),
    "cnn-identity-channels": CNN(activation="identity", dense_activation="relu", channels=3, **SMALL),
    "lenet5": LENET,
    "fcnn-low-rank": LowRankNetwork(FCNN((12, 7, 6, 3), image=(1, 3, 4)), 0.5),
    "cnn-low-rank": LowRankNetwork(CNN(padding="same", **SMALL), 0.3),
    "lenet5-low-rank": LowRankNetwork(LENET, 0.5),
}


@pytest.fixture(params=NETWORKS)
def network(request):
    return NETWORKS[request.param]


@pytest.fixture
def drawn(network, rng):
    """Weights in double precision, biases that are not zero, and images."""
    params = network.init(ri.backend("numpy"), 0, "float64")
    params = {name: rng.normal(0, 0.1, p.shape) if name.startswith("b") else p for name, p in params.items()}
    shape = network.image_shape(12)
    return params, rng.random((5, *shape))


@pytest.fixture(scope="session")
def folder(refimpl, tmp_path_factory):
    """A folder to work in that has the run of the pages, runs/fcnn-seed0."""
    folder = tmp_path_factory.mktemp("interop")
    options = ("--dataset", "strokes-small", "--optimizer", "adam", "--learning-rate", "0.005", "--epochs", "15")
    refimpl("train", *options, "--no-report", "--out", folder / "runs" / "fcnn-seed0")
    return folder


@pytest.fixture(scope="session")
def run(folder):
    return ri.open_run(folder / "runs" / "fcnn-seed0")


@pytest.fixture
def in_folder(folder, tmp_path, monkeypatch):
    """An empty working folder from which runs/fcnn-seed0 is seen; no real data to be found."""
    (tmp_path / "runs").symlink_to(folder / "runs")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("REFIMPL_DATA", raising=False)
    return tmp_path


@pytest.fixture(params=["float32", "float64"])
def attacked(request, run):
    """Of the run, in two precisions: parameters, images (n, 1, 28, 28), labels, and our PGD's examples in [0, 1]."""
    params = {name: p.astype(request.param) for name, p in run.params.items()}
    x = (run.data.test.images[:100, None] / 255).astype(request.param)
    y = run.data.test.labels[:100].astype(np.int64)
    attack = ri.attacks.PGD(eps=0.05, clip=(0.0, 1.0))
    x_adv = attack.perturb(run.network.gradients(params), x.reshape(len(x), -1), y)
    assert ri.accuracy(run.network.forward(params, x_adv)[0], y) < 0.5  # there is something to be equal
    return params, x, y, x_adv.reshape(x.shape)
