"""Attacks on inputs and weights together: both boxes, the bound, the net left as it was, and training against them."""

import hashlib

import fakecupy
import numpy as np
import pytest
from backends import FAKE, NUMPY
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from strategies import seeds

from refimpl import (
    CNN,
    FCNN,
    SGD,
    LabelledImages,
    NumericalError,
    UsageError,
    cross_entropy,
    fooling_weights,
    margin_bound,
)
from refimpl.attacks import InputWeight, input_weight, pgd
from refimpl.attacks.input_weight import MODES
from refimpl.attacks.verify import verify_weights
from refimpl.layers.images import scale
from refimpl.measures.certificates import label_bound
from refimpl.networks import fcnn, loss_gradient
from refimpl.regularizers import Batch, MarginBound, OperatorNorms
from refimpl.runs.results import to_json
from refimpl.training import AdversarialWeights, CrossEntropy, Regularized, Step

radii = st.sampled_from([0.0, 0.01, 0.2])
NETWORK, SMALL = FCNN(), FCNN((6, 5, 4))


@st.composite
def problems(draw):
    """A net, inputs, labels, and an attack on both."""
    widths = [draw(st.integers(1, 5)) for _ in range(draw(st.integers(1, 3)))] + [draw(st.integers(2, 4))]
    rng = np.random.default_rng(draw(seeds))
    network = FCNN(tuple(widths))
    params = {name: rng.normal(size=p.shape) for name, p in network.init(NUMPY).items()}
    x = rng.normal(size=(draw(st.integers(1, 6)), widths[0]))
    y = rng.integers(0, widths[-1], len(x))
    named = {f"W{i}": draw(radii) for i in range(1, len(widths))}
    attack = InputWeight(
        eps=draw(radii),
        eps_weights=draw(st.sampled_from([named, 0.05])),
        mode=draw(st.sampled_from(MODES)),
        steps=draw(st.integers(1, 12)),
        clip=draw(st.sampled_from([None, (-0.5, 0.5)])),
    )
    if attack.clip:
        x = np.clip(x, *attack.clip)
    return network, params, x, y, attack


def digest(params):
    return hashlib.sha256(b"".join(name.encode() + p.tobytes() for name, p in params.items())).hexdigest()


@given(problems())
def test_the_attack_stays_in_both_boxes_and_leaves_the_net_as_it_was(problem):
    network, params, x, y, attack = problem
    before = digest(params | {"x": x})
    x_adv, moved = attack.perturb_all(network.gradients, params, x, y, chunk=4)
    assert digest(params | {"x": x}) == before
    assert np.abs(x_adv - x).max() <= attack.eps * (1 + 1e-12)
    if attack.clip:
        assert -0.5 <= x_adv.min() <= x_adv.max() <= 0.5
    for name, p in params.items():
        radius = attack.radii(params).get(name, 0.0)
        assert np.abs(moved[name] - p).max() <= radius * (1 + 1e-12)
        assert name.startswith("W") or moved[name] is p
    assert verify_weights(params, moved, attack.radii(params)).keys() == attack.radii(params).keys()


@given(problems())
def test_no_margin_moves_by_more_than_its_bound_nor_does_the_loss(problem):
    network, params, x, y, attack = problem
    x_adv, moved = attack.perturb_all(network.gradients, params, x, y)
    z, z2 = fcnn.forward(params, x)[0], fcnn.forward(moved, x_adv)[0]
    radius = attack.radii(params)
    change = np.abs((z2 - z)[:, :, None] - (z2 - z)[:, None, :])
    assert (change <= margin_bound(network, params, x, attack.eps, radius) + 1e-9).all()
    t = [x, *network.hidden(params, x)]
    worst = label_bound(params, t, y, attack.eps, radius).max(axis=-1)
    for i in range(len(x)):
        losses = [float(cross_entropy(logits[i : i + 1], y[i : i + 1])[0]) for logits in (z, z2)]
        assert abs(losses[1] - losses[0]) <= worst[i] + 1e-9


@given(problems())
def test_inputs_alone_are_pgd_and_weights_alone_leave_the_inputs(problem):
    network, params, x, y, attack = problem
    inputs = InputWeight(eps=attack.eps, eps_weights=0.0, mode=attack.mode, steps=attack.steps, clip=attack.clip)
    x_adv, moved = inputs.perturb_all(network.gradients, params, x, y)
    gradient = loss_gradient(network, params, y)
    alone = pgd(gradient, x, eps=attack.eps, step_size=attack.eps / 10, steps=attack.steps, clip=attack.clip)
    assert_array_equal(x_adv, alone)
    assert moved is params
    weights = InputWeight(eps=0.0, eps_weights=attack.eps_weights, steps=attack.steps)
    assert weights.perturb_all(network.gradients, params, x, y)[0] is x


def quadratic(target_x, target_W):
    """The gradients of a loss that is largest at the targets, and knows no network."""
    return lambda x, params: target_x - x, lambda x, params: {"W1": target_W - params["W1"], "b1": params["b1"]}


def test_a_step_is_a_tenth_of_each_radius(rng):
    x, params = rng.normal(size=(3, 4)), {"W1": rng.normal(size=(2, 4)), "W2": np.ones((2, 2)), "b1": np.ones(2)}
    by_inputs, _ = quadratic(x + 9, params["W1"])
    budget = InputWeight(eps=0.5, eps_weights={"W1": 0.1, "W2": 0.4}, steps=1)
    x_adv, moved = input_weight(
        by_inputs, lambda x, params: {name: -p for name, p in params.items()}, x, params, budget
    )
    assert_allclose(x_adv, x + 0.05)
    assert_allclose(moved["W1"], params["W1"] - 0.01 * np.sign(params["W1"]))
    assert_allclose(moved["W2"], np.full((2, 2), 0.96))


@pytest.mark.parametrize("mode", MODES)
def test_far_maxima_are_approached_to_the_corner_of_the_boxes(rng, mode):
    x, params = rng.normal(size=(3, 4)), {"W1": rng.normal(size=(2, 4)), "b1": np.ones(2)}
    signs = rng.choice([-1.0, 1.0], x.shape), rng.choice([-1.0, 1.0], params["W1"].shape)
    by_inputs, by_weights = quadratic(x + 9 * signs[0], params["W1"] + 9 * signs[1])
    budget = InputWeight(eps=0.5, eps_weights={"W1": 0.1}, steps=12, mode=mode)
    x_adv, moved = input_weight(by_inputs, by_weights, x, params, budget)
    assert_allclose(x_adv, x + 0.5 * signs[0])
    assert_allclose(moved["W1"], params["W1"] + 0.1 * signs[1])
    assert moved["b1"] is params["b1"]


@pytest.mark.parametrize(("mode", "seen"), [("simultaneous", 0.0), ("alternating", 0.1)])
def test_the_modes_differ_in_where_the_weights_see_the_inputs(mode, seen):
    places = []

    def by_weights(x, params):
        places.append(float(x[0, 0]))
        return {"W1": np.ones((1, 1))}

    x, params = np.zeros((1, 1)), {"W1": np.zeros((1, 1)), "b1": np.zeros(1)}
    budget = InputWeight(eps=1.0, eps_weights={"W1": 1.0}, steps=2, mode=mode)
    input_weight(lambda x, params: np.ones_like(x), by_weights, x, params, budget)
    assert_allclose(places, [seen, seen + 0.1])


def test_the_gradient_by_the_weights_is_that_of_the_mean_over_all_chunks(rng):
    """So is the whole attack: chunks change rounding, and no sign of these gradients hangs on it."""
    params = SMALL.init(NUMPY, 1, "float64")
    x, y = rng.normal(size=(23, 6)), rng.integers(0, 4, 23)
    attack = InputWeight(eps=0.1, eps_weights=0.05, steps=8)
    whole, pieces = (attack.perturb_all(SMALL.gradients, params, x, y, chunk=chunk) for chunk in (23, 5))
    assert_allclose(whole[0], pieces[0], rtol=1e-12)
    for name, p in whole[1].items():
        assert_allclose(p, pieces[1][name], rtol=1e-12)
    loss = [float(cross_entropy(fcnn.forward(w, at)[0], y)[0]) for w, at in ((params, x), whole[::-1])]
    assert loss[1] > loss[0]


def test_on_every_backend(be, rng):
    """The first step, so that no sign hangs on rounding."""
    host = SMALL.init(NUMPY, 1, "float64")
    x, y = rng.normal(size=(9, 6)), rng.integers(0, 4, 9)
    attack = InputWeight(eps=0.1, eps_weights={"W1": 0.02, "W2": 0.01}, steps=1)
    expected = attack.perturb_all(SMALL.gradients, host, x, y)
    params = {name: be.array(p) for name, p in host.items()}
    x_adv, moved = attack.perturb_all(SMALL.gradients, params, be.array(x), be.array(y, "int64"), chunk=4)
    assert_allclose(be.host(x_adv), expected[0], atol=be.tolerance)
    for name, p in moved.items():
        assert be.host(p).dtype == be.dtype
        assert_allclose(be.host(p), expected[1][name], atol=be.tolerance)


def test_the_attack_makes_no_sync(rng):
    params, y = SMALL.init(FAKE, 1), FAKE.asarray(rng.integers(0, 4, 9), "int64")
    x = FAKE.asarray(rng.normal(size=(9, 6)), "float32")
    fakecupy.SYNCS.clear()
    InputWeight(eps=0.1, eps_weights=0.01, steps=3).perturb_all(SMALL.gradients, params, x, y, chunk=4)
    AdversarialWeights(CrossEntropy(SMALL), 0.01).value_and_grad(params, Batch(x, y))
    assert fakecupy.SYNCS == []


@given(problems())
def test_adversarial_weights_lie_on_the_surface_of_their_box(problem):
    network, params, x, y, _ = problem
    grads = network.gradients(params).weights(x, y)[1]
    moved = AdversarialWeights(CrossEntropy(network), 0.125).perturb(params, grads)
    for name, p in params.items():
        change = 0.125 * np.sign(grads[name]) if name.startswith("W") else 0.0
        clear = np.abs(grads[name]) > 1e-12
        assert_allclose((moved[name] - p)[clear], np.broadcast_to(change, p.shape)[clear], atol=1e-12)


def test_the_step_is_the_gradient_at_the_perturbed_weights_from_the_unperturbed_ones(rng):
    images, labels = rng.integers(0, 256, (20, 2, 3), np.uint8), rng.integers(0, 4, 20)
    params, x = SMALL.init(NUMPY, 2, "float64"), scale(images, np.float64)
    step = Step(AdversarialWeights(CrossEntropy(SMALL), 0.1), SGD(0.5), params, {})
    loss = step(Batch(x, labels))
    grads = SMALL.gradients(params).weights(x, labels)[1]
    moved = {name: p + 0.1 * np.sign(grads[name]) * name.startswith("W") for name, p in params.items()}
    assert_allclose(loss, cross_entropy(fcnn.forward(moved, x)[0], labels)[0], rtol=1e-12)
    for name, gradient in SMALL.gradients(moved).weights(x, labels)[1].items():
        assert_allclose(step.params[name], params[name] - 0.5 * gradient, rtol=1e-12)


def test_no_training_step_waits_for_the_device(rng):
    params, x = SMALL.init(FAKE, 2), FAKE.asarray(rng.random((20, 6)), "float32")
    terms = MarginBound(0.1, 0.01, 0.01), OperatorNorms(0.1)
    step = Step(Regularized(AdversarialWeights(CrossEntropy(SMALL), 0.1), terms), SGD(0.5), params, {})
    batch = Batch(x, FAKE.asarray(rng.integers(0, 4, 20), "int64"))
    fakecupy.SYNCS.clear()
    step(batch)
    assert fakecupy.SYNCS == []


@pytest.fixture
def net():
    return NETWORK.init(NUMPY, seed=4)


@pytest.fixture
def images(rng):
    return rng.integers(0, 256, (300, 28, 28), np.uint8)


def predictions(net, images):
    return fcnn.forward(net, scale(images, np.float32))[0].argmax(axis=-1).astype(np.uint8)


def evaluated(net, images, labels, *attacks, network=NETWORK, chunk=256, **options):
    return fooling_weights(network, net, LabelledImages(images, labels, NUMPY, chunk=chunk), attacks, **options)


def test_the_result_is_that_of_the_saved_weights_on_the_saved_images(net, images):
    labels, before = predictions(net, images), digest(net)
    labels[:60] = (labels[:60] + 1) % 10
    (result,) = evaluated(net, images, labels, InputWeight(eps=0.02, eps_weights=0.01), chunk=64)
    assert digest(net) == before
    summary = result.summary
    assert (summary["n"], summary["n_correct"], summary["accuracy"]) == (300, 240, 0.8)
    z, _ = fcnn.forward(net | result.weights, result.x_adv)
    assert_array_equal(z.argmax(axis=-1), result.adversarial_label)
    assert summary["n_fooled"] == result.fooled.sum() > 0
    assert summary["robust_accuracy"] == (240 - summary["n_fooled"]) / 300
    assert set(summary["weights_moved"]) == set(result.weights) == {f"W{i}" for i in range(1, 7)}
    assert '"eps_weights": 0.01' in to_json(summary)


def test_no_budget_fools_nobody_and_every_other_somebody(net, images):
    labels = predictions(net, images)
    budgets = [(0.0, 0.0), (0.05, 0.0), (0.0, 0.02), (0.05, 0.02)]
    attacks = [InputWeight(eps=eps, eps_weights=radius) for eps, radius in budgets]
    nothing, *others = (result.summary["n_fooled"] for result in evaluated(net, images, labels, *attacks))
    assert nothing == 0 < min(others)


def test_what_is_certified_is_not_fooled_and_is_everything_without_a_budget(net, images):
    labels = predictions(net, images)
    attacks = [InputWeight(eps=eps, eps_weights=eps) for eps in (0.0, 1e-6, 0.1)]
    sure = [result.summary["n_certified"] for result in evaluated(net, images, labels, *attacks, certify=True)]
    assert sure == sorted(sure, reverse=True)
    assert sure[0] == 300 > sure[1] > sure[2] == 0


def test_nobody_correct_nobody_attacked(net, images):
    (result,) = evaluated(net, images, (predictions(net, images) + 1) % 10, InputWeight())
    assert result.summary["n_correct"] == 0
    assert_array_equal(result.weights["W1"], net["W1"])


def test_the_cnn_is_attacked_by_the_same_code(images):
    network = CNN(filters=(4, 4))
    params = network.init(NUMPY)
    labels = network.forward(params, scale(images, np.float32))[0].argmax(axis=-1).astype(np.uint8)
    attack = InputWeight(eps=0.02, eps_weights=0.01, steps=5)
    (result,) = evaluated(params, images, labels, attack, network=network)
    assert result.summary["n_fooled"] > 0
    assert result.weights["W1"].shape == (4, 1, 3, 3)
    with pytest.raises(
        UsageError, match="supports dense networks of 1-Lipschitz activations, and cnn is none: take fcnn"
    ):
        evaluated(params, images, labels, attack, network=network, certify=True)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"eps": -0.1}, "eps must be finite"),
        ({"eps_weights": -0.1}, "eps_weights must be finite and at least 0, got -0.1"),
        ({"eps_weights": float("nan")}, "eps_weights must be finite"),
        ({"eps_weights": {"W2": float("inf")}}, "eps_weights W2 must be finite"),
        ({"mode": "both"}, "mode must be one of simultaneous, alternating, got 'both'"),
        ({"steps": 0}, "steps must be finite and at least 1, got 0"),
    ],
)
def test_attacks_that_mean_nothing_are_refused(settings, message):
    with pytest.raises(UsageError, match=message):
        InputWeight(**settings)


def test_layers_that_are_not_there_are_named_before_any_work(net, images):
    for params, message in ((net, "no layer is called W7"), ({"U1": net["W1"]}, "no weight matrices W1, W2, ... to")):
        with pytest.raises(UsageError, match=message):
            evaluated(params, images, images[:, 0, 0], InputWeight(eps_weights={"W7": 0.1}))
    for radius in (0.0, -0.1, np.inf):
        with pytest.raises(UsageError, match="must be finite and above 0"):
            AdversarialWeights(CrossEntropy(SMALL), float(radius))


def test_a_perturbation_outside_its_box_is_not_counted(net):
    moved = net | {"W1": net["W1"] + np.float32(0.011)}
    assert verify_weights(net, moved, {"W1": 0.0111})["W1"] == pytest.approx(0.011, rel=1e-4)
    for wrong, message in (
        (moved, "W1 left their box: moved by 0.011"),
        (net | {"b1": net["b1"] + 1}, "b1 left their box"),
        (net | {"W1": net["W1"] * np.nan}, "W1 are not finite"),
    ):
        with pytest.raises(NumericalError, match=message):
            verify_weights(net, wrong, {"W1": 0.01})


def test_the_box_of_the_weights_is_left_by_rounding_and_no_more():
    """By a millionth of the radius and a unit in the last place; where there is no radius, by nothing."""
    net, unit, box = {"W1": np.full((2, 2), 0.5), "b1": np.full(2, 0.5)}, 2.0**-52, {"W1": 2.0**-52}
    assert verify_weights(net, net | {"W1": net["W1"] + 2 * unit}, box) == {"W1": 2 * unit}
    zero = {"W1": np.zeros((2, 2))}
    verify_weights(zero, {"W1": zero["W1"] + 1 + 0.9e-6}, {"W1": 1.0})
    for before, after, name in (
        (net, net | {"W1": net["W1"] + 2.5 * unit}, "W1"),
        (zero, {"W1": zero["W1"] + 1 + 1.1e-6}, "W1"),
        (net, net | {"b1": np.array([0.5, 0.5 + unit])}, "b1"),
    ):
        with pytest.raises(NumericalError, match=f"the weights {name} left their box"):
            verify_weights(before, after, {"W1": 1.0} if before is zero else box)


def test_every_setting_has_a_name():
    names = [
        str(InputWeight(eps=0.05, eps_weights=0.01)),
        str(InputWeight(eps=0.0, eps_weights={"W1": 0.01, "W3": 0.02}, mode="alternating", steps=40, clip=(0.0, 1.0))),
    ]
    assert names == [
        "input-weight-eps0.05-weights-0.01",
        "input-weight-eps0.0-weights-W1-0.01-weights-W3-0.02-alternating-steps40-clip",
    ]
