"""Certificates hold for every network of dense layers and 1-Lipschitz activations that says so, and no other."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
from backends import NUMPY
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from strategies import seeds

from refimpl import CNN, FCNN, LabelledImages, LeNet5, UsageError, fooling_weights, margin_bound
from refimpl.attacks import InputWeight
from refimpl.layers.activations import relu
from refimpl.layers.dense import affine
from refimpl.measures import certified
from refimpl.networks import Network, fcnn
from refimpl.parameters import depth
from refimpl.tape import record


@dataclass(frozen=True)
class ReLUNet(Network):
    """Dense layers with ReLU between them."""

    name: ClassVar[str] = "relu-net"
    widths: tuple[int, ...] = (6, 5, 4, 3)
    certifiable: ClassVar[bool] = True

    def init(self, backend, seed=0, dtype="float32"):
        return fcnn.init(backend, seed, self.widths, dtype)

    def forward(self, params, x):
        tape = []
        for i in range(1, depth(params) + 1):
            x = record(tape, affine(x, params[f"W{i}"], params[f"b{i}"]), f"W{i}", f"b{i}")
            if i < depth(params):
                x = record(tape, relu(x))
        return x, tape

    def hidden(self, params, x):
        outputs = []
        for i in range(1, depth(params)):
            x = relu(affine(x, params[f"W{i}"], params[f"b{i}"])[0])[0]
            outputs.append(x)
        return outputs


@st.composite
def problems(draw, scale=1.0):
    """A net, inputs, and radii; biases are not zero, so that half of the units are off."""
    rng = np.random.default_rng(draw(seeds))
    widths = [draw(st.integers(1, 6)) for _ in range(draw(st.integers(1, 4)))] + [draw(st.integers(2, 4))]
    network = ReLUNet(tuple(widths))
    params = {name: rng.normal(size=p.shape) for name, p in network.init(NUMPY).items()}
    x = rng.normal(size=(draw(st.integers(1, 5)), widths[0]))
    names = [f"W{i}" for i in range(1, len(widths))]
    eps_weights = draw(st.sampled_from([0.0, 0.3, {names[0]: 0.2}, {names[-1]: 0.2}]))
    return network, params, x, scale * draw(st.sampled_from([0.0, 0.05, 0.5])), eps_weights, rng


def perturbed(params, x, eps, eps_weights, rng):
    """A random point of the boxes: a corner, or inside."""
    radii = eps_weights if isinstance(eps_weights, dict) else {name: eps_weights for name in params if name[0] == "W"}
    draw = rng.choice([lambda shape: rng.choice([-1.0, 1.0], shape), lambda shape: rng.uniform(-1, 1, shape)])
    moved = {name: p + radii.get(name, 0.0) * draw(p.shape) for name, p in params.items()}
    return moved, x + eps * draw(x.shape)


@given(problems())
def test_no_perturbation_of_a_relu_net_moves_a_margin_by_more_than_its_bound(problem):
    network, params, x, eps, eps_weights, rng = problem
    bound = margin_bound(network, params, x, eps, eps_weights)
    z = network.forward(params, x)[0]
    for _ in range(30):
        moved, x_adv = perturbed(params, x, eps, eps_weights, rng)
        change = network.forward(moved, x_adv)[0] - z
        assert (np.abs(change[:, :, None] - change[:, None, :]) <= bound + 1e-9).all()


@given(problems())
def test_no_label_that_is_certified_changes_in_a_relu_net(problem):
    network, params, x, eps, eps_weights, rng = problem
    small = {name: 0.02 * radius for name, radius in eps_weights.items()} if isinstance(eps_weights, dict) else 0.01
    y = network.forward(params, x)[0].argmax(axis=-1)
    sure = certified(network, params, x, y, 0.02 * eps, small)
    for _ in range(30):
        moved, x_adv = perturbed(params, x, 0.02 * eps, small, rng)
        assert (network.forward(moved, x_adv)[0].argmax(axis=-1) == y)[sure].all()


def test_the_bound_of_a_relu_net_is_of_its_own_hidden_layers_and_attained(rng):
    """All units on, weights positive, one layer perturbed: the bound is the change; that of a tanh net is another."""
    network = ReLUNet((3, 4, 2))
    params = {"W1": rng.uniform(1, 2, (4, 3)), "b1": np.ones(4), "W2": np.zeros((2, 4)), "b2": np.zeros(2)}
    params["W2"][0] = rng.uniform(1, 2, 4)
    x, radius = rng.uniform(1, 2, (5, 3)), 0.1
    bound = margin_bound(network, params, x, 0.2, {"W2": radius})
    moved = params | {"W2": params["W2"] + radius * np.array([[1.0], [-1.0]])}
    change = network.forward(moved, x + 0.2)[0] - network.forward(params, x)[0]
    assert_allclose(bound[:, 0, 1], change[:, 0] - change[:, 1], rtol=1e-12)
    other = margin_bound(FCNN((3, 4, 2)), params, x, 0.2, {"W2": radius})
    assert (other[:, 0, 1] < bound[:, 0, 1] - 1).all()


def test_a_relu_net_is_counted_as_certified(rng):
    network = ReLUNet((4, 5, 3))
    params, images = network.init(NUMPY), rng.integers(0, 256, (40, 2, 2), np.uint8)
    params["b2"] = np.array([0.3, 0.1, -0.2], "f4")  # so that no logits are equal where all units are off
    labels = network.forward(params, (images.reshape(40, 4) / 255).astype("f4"))[0].argmax(axis=-1)
    attacks = [InputWeight(eps=eps, eps_weights=eps) for eps in (0.0, 1e-3, 0.5)]
    sure = [
        result.summary["n_certified"]
        for result in fooling_weights(network, params, LabelledImages(images, labels, NUMPY), attacks, certify=True)
    ]
    assert sure[0] == 40 > sure[1] > sure[2] == 0


@pytest.mark.parametrize("network", [CNN(filters=(2, 2), hidden_units=3), LeNet5(filters=(2, 2), hidden_units=3)])
def test_a_convolutional_net_has_no_certificate(network):
    params, x, y = network.init(NUMPY), np.zeros((2, 784), "f4"), np.zeros(2, int)
    for ask in (
        lambda: margin_bound(network, params, x, 0.1, 0.1),
        lambda: certified(network, params, x, y, 0.1, 0.1),
        lambda: fooling_weights(
            network, params, LabelledImages(np.zeros((2, 784), np.uint8), y, NUMPY), [InputWeight()], certify=True
        ),
    ):
        with pytest.raises(UsageError, match=f"dense networks of 1-Lipschitz activations, and {network.name} is none"):
            ask()
