"""Nets in factors U S Vᵀ: the same function as the dense net, its gradients, and what every step keeps."""

import fakecupy
import numpy as np
import pytest
from backends import FAKE, NUMPY
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from refimpl.networks.architectures import CNN, lenet5
from strategies import seeds

from refimpl import UsageError, cross_entropy, gradients, input_gradient, sgd
from refimpl.backend import to_host
from refimpl.layers.convolution import conv2d
from refimpl.layers.dense import affine
from refimpl.low_rank.factorization import as_columns, product, tangent
from refimpl.low_rank.network import dense, factorised, factors, init, is_low_rank, layer, n_weights, ranks
from refimpl.low_rank.sgd import LowRank, low_rank_sgd
from refimpl.measures.per_layer import layers
from refimpl.networks import cnn, fcnn
from refimpl.networks.gradients import (
    logits,
    loss_gradient,
    margin_gradients,
    taped_loss_gradient,
    taped_margin_gradients,
)
from refimpl.runs.config import Config
from refimpl.theory import autograd_reference as oracle

WIDTHS = (12, 7, 5, 4)
SIDE = 10
NETS = {
    "fcnn": (fcnn, 12),
    "cnn": (CNN(), SIDE * SIDE),
    "cnn, same, relu": (CNN("same", "relu"), SIDE * SIDE),
    "lenet5": (lenet5(), 16 * 16),
}
SMALLER = {"lenet5": {"filters": (3, 4), "kernel": 5, "side": 16}}


def weights(name, backend=NUMPY, dtype="float64"):
    if name == "fcnn":
        return fcnn.init(backend, widths=WIDTHS, dtype=dtype)
    padding = NETS[name][0].padding
    sizes = SMALLER.get(name, {"filters": 3, "side": SIDE})
    return cnn.init(backend, 1, dtype, padding=padding, hidden_units=5, classes=4, **sizes)


def net(name, share=0.5, backend=NUMPY, dtype="float64", seed=0):
    return init(backend, seed, weights(name, backend, dtype), share, dtype)


def batch(name, n=6):
    rng = np.random.default_rng(7)
    return rng.uniform(size=(n, NETS[name][1])), rng.integers(0, 4, n)


def gap(U):
    U = as_columns(to_host(U)).astype(np.float64)
    return np.linalg.norm(U.T @ U - np.eye(U.shape[1]))


def kappa(S):
    s = np.linalg.svd(to_host(S).astype(np.float64))[1]
    return s[0] / s[-1]


@pytest.mark.parametrize("name", NETS)
def test_the_first_factors_are_orthonormal_of_the_rank_asked_for_and_the_seeds(name):
    params, r = net(name), ranks(weights(name), 0.5)
    assert list(params) == [f"{kind}{i}" for i in range(1, len(r) + 1) for kind in "USVb"]
    for i, W in enumerate(r, start=1):
        U, S, V = factors(params, i)
        assert S.shape == (r[W], r[W])
        assert gap(U) < 1e-12
        assert gap(V) < 1e-12
        assert product(U, S, V).shape == weights(name)[W].shape
        assert np.linalg.matrix_rank(product(U, S, V).reshape(len(U), -1)) == r[W]
    assert r[W] == min(4, weights(name)[W].shape[1])  # the last layer's is full
    assert (net(name)["S1"] == params["S1"]).all()
    assert (net(name, seed=1)["S1"] != params["S1"]).any()


def test_lenet_5_has_the_ranks_and_weights_of_the_authors_program():
    """ "Compression 50 %" is of the rank: 5.3 % of the weights; 80 % is 64.9 %."""
    shapes = {"W1": (20, 1, 5, 5), "W2": (50, 20, 5, 5), "W3": (500, 800), "W4": (10, 500)}
    lenet = {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}
    assert n_weights(lenet) == 430_500
    ours = Config(arch="lenet5").init(NUMPY)
    assert {name: p.shape for name, p in ours.items() if name.startswith("W")} == shapes
    for share, expected, saved in ((0.5, [10, 25, 250, 10], 0.053), (1 - 0.8, [4, 10, 100, 10], 0.649)):
        assert list(ranks(lenet, share).values()) == expected
        assert 1 - n_weights(init(NUMPY, 0, lenet, share, "float32")) / 430_500 == pytest.approx(saved, abs=5e-4)


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("share", [0.2, 0.5, 1.0])
def test_forward_is_that_of_the_dense_net_and_so_are_all_that_go_through_it(name, share):
    network, (x, y), params = NETS[name][0], batch(name), net(name, share)
    full = dense(params)
    assert not is_low_rank(full)
    assert_allclose(network.forward(params, x)[0], network.forward(full, x)[0], rtol=1e-9, atol=1e-12)
    assert_allclose(logits(network, params, x), network.forward(full, x)[0], rtol=1e-9, atol=1e-12)
    for ours, theirs in zip(network.hidden(params, x), network.hidden(full, x), strict=True):
        assert_allclose(ours, theirs, rtol=1e-9, atol=1e-12)
    expected = taped_loss_gradient(network, full, y)(x)
    for gradient in (loss_gradient, taped_loss_gradient):
        assert_allclose(gradient(network, params, y)(x), expected, rtol=1e-9, atol=1e-12)
    for of_margins in (margin_gradients, taped_margin_gradients):
        for ours, theirs in zip(of_margins(network, params, y)(x), margin_gradients(network, full, y)(x), strict=True):
            assert_allclose(ours, theirs, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("name", NETS)
def test_a_full_rank_factorisation_is_the_same_net_and_a_lower_one_is_not(name):
    network, (x, _), full = NETS[name][0], batch(name), weights(name)
    assert_allclose(network.forward(factorised(full, 1.0), x)[0], network.forward(full, x)[0], rtol=1e-9, atol=1e-12)
    assert np.abs(network.forward(factorised(full, 0.5), x)[0] - network.forward(full, x)[0]).max() > 1e-4


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("share", [0.2, 0.5, 1.0])
def test_gradients_are_autograds_and_the_finite_differences(name, share, rng):
    """At points off the manifold, too: nothing of the formulas needs U and V to be orthonormal."""
    network, (x, y) = NETS[name][0], batch(name)
    params = {key: p + 0.1 * rng.normal(size=p.shape) for key, p in net(name, share).items()}
    names = list(params)

    def loss(x, *values):
        return cross_entropy(network.forward(dict(zip(names, values, strict=True)), x)[0], y)[0]

    z, tape = network.forward(params, x)
    dz = cross_entropy(z, y)[1].x(1.0)
    found = gradients(tape, dz)
    assert set(found) == set(names)
    arguments = (x, *params.values())
    ours = (input_gradient(tape, dz), *(found[key] for key in names))
    for i, theirs in enumerate(oracle.vjp(loss, arguments, np.ones(()))):
        assert_allclose(ours[i], theirs, rtol=1e-8, atol=1e-12)
        direction = rng.normal(size=theirs.shape)

        def value(at, i=i):
            return loss(*arguments[:i], at, *arguments[i + 1 :])

        assert_allclose(np.sum(ours[i] * direction), oracle.slope(value, arguments[i], direction), rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize(("share", "formed"), [(0.2, False), (1.0, True)])
def test_W_is_formed_only_where_that_is_cheaper(share, formed):
    """r (m + n) against m n: the primitives see the weights V of r rows and U S, or W."""
    seen = []

    def watched(x, W, b):
        seen.append(W.shape)
        return affine(x, W, b)

    full = {"W1": np.zeros((20, 30)), "b1": np.zeros(20), "W2": np.zeros((2, 20)), "b2": np.zeros(2)}
    layer(watched, init(NUMPY, 0, full, share, "float64"), 1, np.ones((3, 30)))
    assert seen == ([(20, 30)] if formed else [(4, 30), (20, 4)])


def test_a_convolution_in_factors_is_two_convolutions(rng):
    full = {"W1": rng.normal(size=(9, 4, 3, 3)), "b1": rng.normal(size=9), "W2": np.ones((2, 3)), "b2": np.ones(2)}
    params, x = factorised(full, 0.3), rng.normal(size=(2, 4, 6, 6))
    y, tape = layer(conv2d, params, 1, x)
    assert [names for names, _ in tape] == [("V1",), ("U1", "S1", "b1")]
    assert_allclose(y, conv2d(x, dense(params)["W1"], full["b1"])[0], rtol=1e-9, atol=1e-12)


def test_an_input_gradient_computes_no_weight_gradient():
    x, _ = batch("fcnn")
    z, tape = fcnn.forward(net("fcnn"), x)

    def forbidden(dy):
        raise AssertionError("a weight gradient was computed")

    tape = [(names, pull._replace(params=forbidden)) for names, pull in tape]
    assert input_gradient(tape, np.ones_like(z)).shape == x.shape


def steps(network, params, optimizer, x, y, n):
    """Parameters after each of n steps on the same batch."""
    state = optimizer.init(params)
    for t in range(1, n + 1):
        z, tape = network.forward(params, x)
        grads = gradients(tape, cross_entropy(z, y)[1].x(1.0))
        params, state = optimizer.update(params, grads, state, t)
        yield params


@given(
    seed=seeds,
    name=st.sampled_from(list(NETS)),
    share=st.sampled_from([0.2, 0.5, 1.0]),
    tau=st.sampled_from([0.01, 0.1, 0.5, 10.0]),
    mode=st.sampled_from(["clamp", "mean"]),
    preconditioner=st.sampled_from(["scalar", "exact", "none"]),
    momentum=st.sampled_from([0.0, 0.3]),
    learning_rate=st.sampled_from([0.01, 0.5]),
    dtype=st.sampled_from(["float32", "float64"]),
)
def test_every_step_keeps_orthonormality_condition_number_and_rank(
    seed, name, share, tau, mode, preconditioner, momentum, learning_rate, dtype
):
    network, (x, y) = NETS[name][0], batch(name)
    params = net(name, share, dtype=dtype, seed=seed)
    optimizer = low_rank_sgd(
        LowRank(share, tau if mode == "clamp" else None, mode, preconditioner), learning_rate, momentum
    )
    most = 1.0 if mode == "mean" else 1 + tau
    for after in steps(network, params, optimizer, x.astype(dtype), y, 3):
        for i, r in enumerate(ranks(weights(name), share).values(), start=1):
            U, S, V = factors(after, i)
            assert U.dtype == S.dtype == V.dtype == dtype
            assert gap(U) < 1e-6
            assert gap(V) < 1e-6
            assert kappa(S) <= most * (1 + 1e-6)
            assert np.linalg.matrix_rank(dense(after)[f"W{i}"].reshape(len(U), -1).astype(float), rtol=1e-4) == r


@pytest.mark.parametrize("preconditioner", ["scalar", "exact", "none"])
@pytest.mark.parametrize("mode", ["clamp", "mean"])
def test_the_momentum_that_is_kept_is_tangent(mode, preconditioner):
    x, y = batch("fcnn")
    params = net("fcnn")
    optimizer = low_rank_sgd(LowRank(0.5, None, mode, preconditioner), 0.1, 0.5)
    state = optimizer.init(params)
    for t in range(1, 4):
        before = params
        z, tape = fcnn.forward(params, x)
        grads = gradients(tape, cross_entropy(z, y)[1].x(1.0))
        params, state = optimizer.update(params, grads, state, t)
        for i in (1, 2, 3):
            for kind in "UV":
                along = before[f"{kind}{i}"].T @ state[f"v.{kind}{i}"]
                assert_allclose(along, 0, atol=1e-12)


@pytest.mark.parametrize("mode", ["clamp", "mean"])
def test_the_preconditioners_are_what_they_say(mode):
    """One step of U from the same net: the tangent gradient times 1, times (S Sᵀ)⁻¹, times the scalar of the mode."""
    x, y = batch("fcnn")
    params = net("fcnn")
    params["S1"] = params["S1"] + np.triu(np.ones_like(params["S1"]), 1)  # so that S Sᵀ is not Sᵀ S
    z, tape = fcnn.forward(params, x)
    grads = gradients(tape, cross_entropy(z, y)[1].x(1.0))
    moved = {}
    for how in ("none", "exact", "scalar"):
        optimizer = low_rank_sgd(LowRank(0.5, None, mode, how), 0.1, 0.5)
        first = optimizer.init(params)
        new, state = optimizer.update(params, grads, first, 1)
        moved[how] = state
        if how == "scalar":
            scalars = first["c.S1"], state["c.S1"], new["S1"]
    U, S, _ = factors(params, 1)
    assert_allclose(moved["none"]["v.U1"], tangent(U, grads["U1"]), atol=1e-15)
    assert_allclose(moved["exact"]["v.U1"] @ (S @ S.T), moved["none"]["v.U1"], rtol=1e-6, atol=1e-12)
    assert_allclose(moved["exact"]["v.V1"] @ (S.T @ S), moved["none"]["v.V1"], rtol=1e-6, atol=1e-12)
    s = np.linalg.svd(S)[1]
    expected = 1 / s.mean() if mode == "mean" else 1.0
    assert_allclose(scalars[0], [expected])
    assert_allclose(moved["scalar"]["v.U1"], expected * moved["none"]["v.U1"], atol=1e-15)
    assert_allclose(scalars[1], [expected if mode == "mean" else kappa(scalars[2]) ** -2])


def test_one_step_of_S_alone_without_constraint_is_plain_sgd_on_S():
    x, y = batch("fcnn")
    params = factorised(weights("fcnn"), 1.0)
    z, tape = fcnn.forward(params, x)
    grads = gradients(tape, cross_entropy(z, y)[1].x(1.0))
    grads = {name: g if name[0] == "S" else 0 * g for name, g in grads.items()}
    free = low_rank_sgd(LowRank(1.0, float("inf"), preconditioner="none"), 0.1)
    found, _ = free.update(params, grads, free.init(params), 1)
    expected, _ = sgd(0.1).update(params, grads, {}, 1)
    for name in params:
        assert_allclose(found[name], expected[name], rtol=1e-12, atol=1e-14)
    assert np.abs(found["S1"] - params["S1"]).max() > 1e-4


def test_biases_are_plain_sgds():
    x, y = batch("fcnn")
    params = net("fcnn")
    z, tape = fcnn.forward(params, x)
    grads = gradients(tape, cross_entropy(z, y)[1].x(1.0))
    optimizer = low_rank_sgd(LowRank(0.5), 0.1, 0.9)
    found, _ = optimizer.update(params, grads, optimizer.init(params), 1)
    assert_allclose(found["b2"], params["b2"] - 0.1 * grads["b2"], rtol=1e-12)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"tau": 0.0}, "tau must be above 0, got 0; a condition number of 1 is the mode mean"),
        ({"tau": -1.0}, "tau must be above 0"),
        ({"tau": float("nan")}, "tau must be above 0"),
        ({"mode": "soft"}, "one of clamp, mean, got 'soft'"),
        ({"preconditioner": "full"}, "one of scalar, exact, none, got 'full'"),
        ({"mode": "mean", "tau": 0.1}, "a tau of 0: it cannot be 0.1"),
        ({"share": 0.0}, "above 0 % and at most 100 % of the full rank, got 0 %"),
        ({"share": 1.2}, "got 120 %"),
    ],
)
def test_settings_that_are_none_are_refused(settings, message):
    with pytest.raises(UsageError, match=message):
        LowRank(**{"share": 0.5} | settings)


@pytest.mark.parametrize("name", ["fcnn", "cnn", "lenet5"])
def test_steps_run_on_every_backend_and_agree(be, name):
    network, (x, y) = NETS[name][0], batch(name)
    optimizer = low_rank_sgd(LowRank(0.5, preconditioner="exact"), 0.1, 0.5)
    *_, found = steps(network, net(name, 0.5, be.backend, be.dtype), optimizer, be.array(x), be.array(y, "int64"), 2)
    *_, expected = steps(network, net(name), optimizer, x, y, 2)
    for key, p in dense(expected).items():
        assert_allclose(be.host(dense(found)[key]), p, rtol=100 * be.tolerance, atol=100 * be.tolerance)


def test_a_step_makes_no_sync():
    (x, y), params = batch("fcnn"), net("fcnn", backend=FAKE, dtype="float32")
    optimizer = low_rank_sgd(LowRank(0.5), 0.1, 0.5)
    x, y = FAKE.asarray(x, "float32"), FAKE.asarray(y, "int64")
    fakecupy.SYNCS.clear()
    list(steps(fcnn, params, optimizer, x, y, 2))
    assert not fakecupy.SYNCS


def test_measures_are_of_the_product_and_the_condition_number_of_S():
    params = net("cnn")
    *_, params = steps(CNN(), params, low_rank_sgd(LowRank(0.5, 0.1), 0.1), *batch("cnn"), 1)
    for ours, theirs in zip(layers(params), layers(dense(params)), strict=True):
        assert ours["condition_number"] <= 1.1 * (1 + 1e-6)
        assert ours["rank"] == params[f"S{ours['name'][1:]}"].shape[0]
        assert "rank" not in theirs
        for key in ("effective_rank", "effective_sparsity", "condition_number"):
            assert_allclose(ours[key], theirs[key], rtol=1e-6)
        assert ours["shape"] == theirs["shape"]


def test_formed_weights_of_a_dense_net_are_its_own():
    full = weights("fcnn")
    for name, p in dense(full).items():
        assert_array_equal(p, full[name])
    assert not is_low_rank(full)
    assert is_low_rank(net("fcnn"))
