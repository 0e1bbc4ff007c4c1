"""Forward passes and gradients."""

import numpy as np

from ..backend import Backend, Params, like, namespace
from ..errors import NumericalError
from ..layers.images import scale
from ..low_rank import LowRankNetwork
from ..networks import CNN, FCNN, Network
from ..parameters import stacked
from ..regularizers import nuclear
from ..theory import gradcheck
from .check import CHECKS, FLOAT64, NUMPY, compare, data, draw, pixels, put

NETS: dict[str, Network] = {
    "fcnn": FCNN(),
    "cnn": CNN(filters=(4, 4), hidden_units=16),
    "cnn, same padding, relu": CNN(filters=(4, 4), hidden_units=16, padding="same", activation="relu"),
    "fcnn in factors": LowRankNetwork(FCNN(), 0.5),
    "cnn in factors": LowRankNetwork(CNN(filters=(4, 4), hidden_units=16), 0.5),
}


@CHECKS.register("arrays")
def arrays(on: Backend) -> str:
    """Every dtype there and back, whatever the layout; signs and cuts that keep nan; no float32 that widens."""
    kinds = "uint8", "int64", "float32", "float64", "bool"
    host = np.arange(24)
    layouts = host.reshape(2, 3, 4), host.reshape(4, 6).T, host[::3], np.asarray(3), np.zeros((0, 3))
    there = {f"{kind} {i}": x.astype(kind) for kind in kinds for i, x in enumerate(layouts)}
    said = compare(put(on, there), there, 0.0)
    special = np.array([-2.0, -0.0, 0.0, 3.0, np.nan, np.inf, -np.inf], np.float32)
    x, numbers = on.asarray(special), special[:5]
    xp = namespace(x)
    found = {"sign": xp.sign(x), "clip": xp.clip(x, -1.0, 1.0), "product": x[:5] * 2.5}
    found |= {"where": xp.where(x[:5] > 0, x[:5], xp.nan), "like": like(np.ones(2), x)}
    found["scale"] = scale(on.asarray(np.ones((2, 3), np.uint8)), x.dtype)
    expected = {"sign": np.sign(special), "clip": np.clip(special, -1.0, 1.0), "product": numbers * np.float32(2.5)}
    expected |= {"where": np.where(numbers > 0, numbers, np.float32(np.nan)), "like": np.ones(2, np.float32)}
    expected["scale"] = np.full((2, 3), np.float32(1) / np.float32(255))
    compare(found, expected, 1e-6)
    return said


@CHECKS.register("passes")
def passes(on: Backend) -> str:
    """Logits, hidden layers, gradients by all parameters and by the input, margins and theirs, of all nets; float64."""
    y = data().test.labels[:8].astype(np.int64)
    found, expected = (
        {name: _of_net(net, put(where, net.init(NUMPY, 1, "float64")), where, y) for name, net in NETS.items()}
        for where in (on, NUMPY)
    )
    return compare(found, expected, FLOAT64)


def _of_net(network: Network, params: Params, where: Backend, y: np.ndarray) -> dict[str, object]:
    x, labels = where.asarray(pixels(len(y))), where.asarray(y)
    at = network.gradients(params)
    loss, by_weights = at.weights(x, labels)
    return {
        "logits": at.logits(x),
        "hidden": network.hidden(params, x),
        "loss": loss,
        "gradient by": dict(sorted(by_weights.items())),
        "gradient by the input": at.loss(labels)(x),
        "margins": at.margins(labels)(x),
    }


@CHECKS.register("single precision")
def single_precision(on: Backend) -> str:
    """Gradients of both nets, and the nuclear norm by its Gram matrix, in float32, near those in float64 on NumPy."""
    y = data().test.labels[:8].astype(np.int64)
    W = draw(20, 84).astype(np.float32)
    found, expected = {"nuclear": nuclear(on.asarray(W))[1]}, {"nuclear": nuclear(W.astype(np.float64))[1]}
    for name in ("fcnn", "cnn"):
        network, params = NETS[name], NETS[name].init(NUMPY, 1, "float32")
        x = pixels(len(y)).astype(np.float32)
        _, there = network.gradients(put(on, params)).weights(on.asarray(x), on.asarray(y))
        double = {key: p.astype(np.float64) for key, p in params.items()}
        _, here = network.gradients(double).weights(x.astype(np.float64), y)
        found |= {f"{name} {key}": gradient for key, gradient in there.items()}
        expected |= {f"{name} {key}": gradient for key, gradient in here.items()}
    return compare(found, {name: array.astype(np.float32) for name, array in expected.items()}, 1e-4)


@CHECKS.register("stacked passes")
def stacked_passes(on: Backend) -> str:
    """Gradients of four nets on a first axis, each with its own batch, as of each net alone on NumPy; float64."""
    network, y = FCNN(), np.arange(32).reshape(4, 8) % 10
    nets = [network.init(NUMPY, seed, "float64") for seed in range(4)]
    x = draw(4, 8, 784)
    losses, grads = network.gradients(put(on, stacked(nets))).weights(on.asarray(x), on.asarray(y))
    alone = [network.gradients(params).weights(x[m], y[m]) for m, params in enumerate(nets)]
    expected = stacked([grad for _, grad in alone])
    return compare(
        [losses, {name: grads[name] for name in expected}], [np.stack([loss for loss, _ in alone]), expected], FLOAT64
    )


@CHECKS.register("derivatives")
def derivatives(on: Backend) -> str:
    """Every derivative written by hand against difference quotients, computed on the device."""
    rows = gradcheck.compare(on)
    wrong = [row for row in rows if not row.as_expected]
    if wrong or not rows:
        raise NumericalError(f"{len(wrong)} of {len(rows)} derivatives are wrong, the first of them {wrong[0].name}")
    return f"{len(rows)} derivatives"
