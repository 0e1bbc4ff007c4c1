"""Nets in factors U S Vᵀ: the same function as the dense net, its gradients, and what every step keeps."""

import math
from itertools import pairwise

import fakecupy
import numpy as np
import pytest
from backends import FAKE, NUMPY
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.integrate import quad
from strategies import seeds

from refimpl import CNN, FCNN, SGD, Adam, LeNet5, UsageError, cross_entropy, gradients, input_gradient
from refimpl.backend import to_host
from refimpl.layers.convolution import conv2d
from refimpl.layers.dense import affine
from refimpl.low_rank import LowRank, LowRankNetwork, LowRankSGD, dense, factorised, mean_singular_values, n_weights
from refimpl.low_rank.factorization import as_columns, product, tangent
from refimpl.low_rank.network import factored, factors, init, is_low_rank, ranks
from refimpl.measures.per_layer import layers
from refimpl.networks import Network
from refimpl.rng import stream
from refimpl.runs.config import Config
from refimpl.theory import autograd_reference

SMALL = {"filters": (3, 3), "side": 10, "hidden_units": 5, "classes": 4}
NETS = {
    "fcnn": FCNN((12, 7, 5, 4)),
    "cnn": CNN(**SMALL),
    "cnn, same, relu": CNN("same", "relu", **SMALL),
    "lenet5": LeNet5(**SMALL | {"filters": (3, 4), "side": 16}),
}


def weights(name, backend=NUMPY, dtype="float64"):
    return NETS[name].init(backend, 1, dtype)


def low_rank(name, fraction=0.5):
    return LowRankNetwork(NETS[name], fraction)


def net(name, fraction=0.5, backend=NUMPY, dtype="float64", seed=0):
    return low_rank(name, fraction).init(backend, seed, dtype)


def batch(name, n=6):
    rng, network = np.random.default_rng(7), NETS[name]
    pixels = network.widths[0] if name == "fcnn" else network.side**2
    return rng.uniform(size=(n, pixels)), rng.integers(0, 4, n)


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
    assert (low_rank(name).init(NUMPY, dtype="float64")["S1"] == params["S1"]).all()  # the seed 0
    assert low_rank(name).first_means() == low_rank(name).first_means(0)
    assert (net(name, seed=1)["S1"] != params["S1"]).any()


def test_lenet_5_has_the_ranks_and_weights_of_the_authors_program():
    """ "Compression 50 %" is of the rank: 5.3 % of the weights; 80 % is 64.9 %."""
    shapes = {"W1": (20, 1, 5, 5), "W2": (50, 20, 5, 5), "W3": (500, 800), "W4": (10, 500)}
    lenet = {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}
    assert n_weights(lenet) == 430_500
    ours = Config(network=LeNet5()).init(NUMPY)
    assert {name: p.shape for name, p in ours.items() if name.startswith("W")} == shapes
    for fraction, expected, saved in ((0.5, [10, 25, 250, 10], 0.053), (1 - 0.8, [4, 10, 100, 10], 0.649)):
        assert list(ranks(lenet, fraction).values()) == expected
        assert 1 - n_weights(init(NUMPY, 0, lenet, fraction, "float32")) / 430_500 == pytest.approx(saved, abs=5e-4)


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("fraction", [0.2, 0.5, 1.0])
def test_forward_is_that_of_the_dense_net_and_so_are_all_that_go_through_it(name, fraction):
    network, (x, y), params = low_rank(name, fraction), batch(name), net(name, fraction)
    full, whole = dense(params), NETS[name]
    assert not is_low_rank(full)
    ours, theirs = network.gradients(params), whole.gradients(full)
    assert_allclose(network.forward(params, x)[0], whole.forward(full, x)[0], rtol=1e-9, atol=1e-12)
    assert_allclose(ours.logits(x), whole.forward(full, x)[0], rtol=1e-9, atol=1e-12)
    for h, expected in zip(network.hidden(params, x), whole.hidden(full, x), strict=True):
        assert_allclose(h, expected, rtol=1e-9, atol=1e-12)
    assert_allclose(ours.loss(y)(x), theirs.loss(y)(x), rtol=1e-9, atol=1e-12)
    for found, expected in zip(ours.margins(y)(x), theirs.margins(y)(x), strict=True):
        assert_allclose(found, expected, rtol=1e-9, atol=1e-11)
    assert_allclose(ours.least_margin(y)(x), theirs.least_margin(y)(x), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", NETS)
def test_a_full_rank_factorisation_is_the_same_net_and_a_lower_one_is_not(name):
    (x, _), full = batch(name), weights(name)
    expected = NETS[name].forward(full, x)[0]
    same, other = (low_rank(name, part).forward(factorised(full, part), x)[0] for part in (1.0, 0.5))
    assert_allclose(same, expected, rtol=1e-9, atol=1e-12)
    assert np.abs(other - expected).max() > 1e-4


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("fraction", [0.2, 0.5, 1.0])
def test_gradients_are_autograds_and_the_finite_differences(name, fraction, rng):
    """At points off the manifold, too: nothing of the formulas needs U and V to be orthonormal."""
    network, (x, y) = low_rank(name, fraction), batch(name)
    params = {key: p + 0.1 * rng.normal(size=p.shape) for key, p in net(name, fraction).items()}
    names = list(params)

    def loss(x, *values):
        return cross_entropy(network.forward(dict(zip(names, values, strict=True)), x)[0], y)[0]

    z, tape = network.forward(params, x)
    dz = cross_entropy(z, y)[1].x(1.0)
    found = gradients(tape, dz)
    assert set(found) == set(names)
    arguments = (x, *params.values())
    ours = (input_gradient(tape, dz), *(found[key] for key in names))
    for i, theirs in enumerate(autograd_reference.vjp(loss, arguments, np.ones(()))):
        assert_allclose(ours[i], theirs, rtol=1e-8, atol=1e-12)
        direction = rng.normal(size=theirs.shape)

        def value(at, i=i):
            return loss(*arguments[:i], at, *arguments[i + 1 :])

        assert_allclose(
            np.sum(ours[i] * direction),
            autograd_reference.directional_derivative(value, arguments[i], direction),
            rtol=1e-4,
            atol=1e-7,
        )


@pytest.mark.parametrize(("fraction", "formed"), [(0.2, False), (0.55, False), (0.6, True), (1.0, True)])
def test_W_is_formed_only_where_that_is_cheaper(fraction, formed):
    """r (m + n) against m n = 600: the primitives see the weights V of r rows and U S, or W."""
    seen = []

    def watched(x, W, b):
        seen.append(W.shape)
        return affine(x, W, b)

    full = {"W1": np.zeros((20, 30)), "b1": np.zeros(20), "W2": np.zeros((2, 20)), "b2": np.zeros(2)}
    factored(init(NUMPY, 0, full, fraction, "float64"))([], watched, 1, np.ones((3, 30)))
    r = round(20 * fraction)
    assert seen == ([(20, 30)] if formed else [(r, 30), (20, r)])


def test_a_convolution_in_factors_is_two_convolutions(rng):
    full = {"W1": rng.normal(size=(9, 4, 3, 3)), "b1": rng.normal(size=9), "W2": np.ones((2, 3)), "b2": np.ones(2)}
    params, x, tape = factorised(full, 0.3), rng.normal(size=(2, 4, 6, 6)), []
    y = factored(params)(tape, conv2d, 1, x)
    assert [names for names, _ in tape] == [("V1",), ("U1", "S1", "b1")]
    assert_allclose(y, conv2d(x, dense(params)["W1"], full["b1"])[0], rtol=1e-9, atol=1e-12)


def test_an_input_gradient_computes_no_weight_gradient():
    x, _ = batch("fcnn")
    z, tape = low_rank("fcnn").forward(net("fcnn"), x)

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
    fraction=st.sampled_from([0.2, 0.5, 1.0]),
    how=st.tuples(
        st.sampled_from([0.01, 0.1, 0.5, 10.0]),
        st.sampled_from(["clamp", "mean"]),
        st.sampled_from(["scalar", "exact", "none"]),
    ),
    optimizer=st.tuples(st.sampled_from([0.01, 0.5]), st.sampled_from([0.0, 0.3])),
    dtype=st.sampled_from(["float32", "float64"]),
)
def test_every_step_keeps_orthonormality_condition_number_and_rank(seed, name, fraction, how, optimizer, dtype):
    (tau, mode, preconditioner), (learning_rate, momentum) = how, optimizer
    network, (x, y) = low_rank(name, fraction), batch(name)
    params = net(name, fraction, dtype=dtype, seed=seed)
    how = LowRank(fraction, tau if mode == "clamp" else None, mode, preconditioner)
    optimizer = LowRankSGD(SGD(learning_rate, momentum), how)
    most = 1.0 if mode == "mean" else 1 + tau
    for after in steps(network, params, optimizer, x.astype(dtype), y, 3):
        for i, r in enumerate(ranks(weights(name), fraction).values(), start=1):
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
    optimizer = LowRankSGD(SGD(0.1, 0.5), LowRank(0.5, None, mode, preconditioner))
    state = optimizer.init(params)
    for t in range(1, 4):
        before = params
        z, tape = low_rank("fcnn").forward(params, x)
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
    z, tape = low_rank("fcnn").forward(params, x)
    grads = gradients(tape, cross_entropy(z, y)[1].x(1.0))
    moved = {}
    for how in ("none", "exact", "scalar"):
        optimizer = LowRankSGD(SGD(0.1, 0.5), LowRank(0.5, None, mode, how))
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
    z, tape = low_rank("fcnn").forward(params, x)
    grads = gradients(tape, cross_entropy(z, y)[1].x(1.0))
    grads = {name: g if name[0] == "S" else 0 * g for name, g in grads.items()}
    free = LowRankSGD(SGD(0.1), LowRank(1.0, float("inf"), preconditioner="none"))
    found, _ = free.update(params, grads, free.init(params), 1)
    expected, _ = SGD(0.1).update(params, grads, {}, 1)
    for name in params:
        assert_allclose(found[name], expected[name], rtol=1e-12, atol=1e-14)
    assert np.abs(found["S1"] - params["S1"]).max() > 1e-4


def test_biases_are_plain_sgds():
    x, y = batch("fcnn")
    params = net("fcnn")
    z, tape = low_rank("fcnn").forward(params, x)
    grads = gradients(tape, cross_entropy(z, y)[1].x(1.0))
    optimizer = LowRankSGD(SGD(0.1, 0.9), LowRank(0.5))
    found, _ = optimizer.update(params, grads, optimizer.init(params), 1)
    assert_allclose(found["b2"], params["b2"] - 0.1 * grads["b2"], rtol=1e-12)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"tau": 0.0}, "tau must be above 0, got 0; a condition number of 1 is the mode mean"),
        ({"tau": -1.0}, "tau must be at least 0, got -1"),
        ({"tau": float("nan")}, "tau must be at least 0, got nan"),
        ({"mode": "soft"}, "one of clamp, mean, got 'soft'"),
        ({"preconditioner": "full"}, "one of scalar, exact, none, got 'full'"),
        ({"mode": "mean", "tau": 0.1}, "a tau of 0: it cannot be 0.1"),
        ({"mode": "mean", "tau": 1.0}, "a tau of 0: it cannot be 1"),
        ({"fraction": 0.0}, "fraction must be finite and above 0 and at most 1, got 0.0"),
        ({"fraction": 1.2}, "fraction must be finite and above 0 and at most 1, got 1.2"),
    ],
)
def test_settings_that_are_none_are_refused(settings, message):
    with pytest.raises(UsageError, match=message):
        LowRank(**{"fraction": 0.5} | settings)


def test_a_tau_is_what_the_mode_says_unless_given():
    assert LowRank(0.5) == LowRank(0.5, 0.1, "clamp")
    assert LowRank(0.5, mode="mean") == LowRank(0.5, 0.0, "mean")


@pytest.mark.parametrize("name", ["fcnn", "cnn", "lenet5"])
def test_steps_run_on_every_backend_and_agree(be, name):
    network, (x, y) = low_rank(name), batch(name)
    optimizer = LowRankSGD(SGD(0.1, 0.5), LowRank(0.5, preconditioner="exact"))
    *_, found = steps(network, net(name, 0.5, be.backend, be.dtype), optimizer, be.array(x), be.array(y, "int64"), 2)
    *_, expected = steps(network, net(name), optimizer, x, y, 2)
    for key, p in dense(expected).items():
        assert_allclose(be.host(dense(found)[key]), p, rtol=100 * be.tolerance, atol=100 * be.tolerance)


def test_a_step_makes_no_sync():
    (x, y), params = batch("fcnn"), net("fcnn", backend=FAKE, dtype="float32")
    optimizer = LowRankSGD(SGD(0.1, 0.5), LowRank(0.5))
    x, y = FAKE.asarray(x, "float32"), FAKE.asarray(y, "int64")
    fakecupy.SYNCS.clear()
    list(steps(low_rank("fcnn"), params, optimizer, x, y, 2))
    assert not fakecupy.SYNCS


def test_measures_are_of_the_product_and_the_condition_number_of_S():
    network, params = low_rank("cnn"), net("cnn")
    *_, params = steps(network, params, LowRankSGD(SGD(0.1), LowRank(0.5, 0.1)), *batch("cnn"), 1)
    for ours, theirs in zip(layers(network, params), layers(NETS["cnn"], dense(params)), strict=True):
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


def test_the_layer_that_keeps_its_full_rank_is_the_last_by_number(rng):
    """A file has W1, W10, W2, ..., W9: by name the last would be W9."""
    network = FCNN((20,) + (12,) * 9 + (4,))
    params = network.init(NUMPY)
    assert ranks(params, 0.5) == {f"W{i}": 6 for i in range(1, 10)} | {"W10": 4}
    by_name = dict(sorted(params.items()))
    assert list(by_name)[:2] == ["W1", "W10"]
    assert ranks(by_name, 0.5) == ranks(params, 0.5)
    shapes = {name: S.shape for name, S in factorised(by_name, 0.5).items() if name[0] == "S"}
    assert shapes["S9"] == (6, 6)
    assert shapes["S10"] == (4, 4)


def qf(A):
    Q, R = np.linalg.qr(A)
    return Q * np.where(np.diag(R) < 0, -1, 1)


@pytest.mark.parametrize("fraction", [0.3, 0.5, 1.0])
def test_training_in_the_mode_mean_is_the_authors_algorithm(fraction):
    """Written down anew for dense layers: the scalar is the mean over all singular values of the weight drawn."""
    learning_rate, mu, seed = 0.1, 0.3, 5
    network, (x, y) = low_rank("fcnn", fraction), batch("fcnn")
    optimizer = LowRankSGD(SGD(learning_rate, mu), LowRank(fraction, mode="mean"))
    params = network.init(NUMPY, seed, "float64")
    state = optimizer.init(params, network.first_means(seed))

    theirs, a, b = dict(params), {}, dict.fromkeys(params, 0.0)
    drawn = stream(seed, "init")
    for i, (n, m) in enumerate(pairwise(NETS["fcnn"].widths), start=1):
        U, s, Vt = np.linalg.svd(drawn.uniform(-1 / math.sqrt(n), 1 / math.sqrt(n), (m, n)), full_matrices=False)
        r = math.ceil(fraction * min(m, n)) if i < 3 else min(m, n)
        a[i] = s.mean()
        theirs |= {f"U{i}": U[:, :r], f"S{i}": np.diag(s[:r]), f"V{i}": Vt[:r].T}
    for t in range(1, 6):
        params, state = optimizer.update(params, network.gradients(params).weights(x, y)[1], state, t)
        g = network.gradients(theirs).weights(x, y)[1]
        b = {name: mu * b[name] + g[name] for name in g}
        for i in a:
            for name in (f"U{i}", f"V{i}"):
                Q = theirs[name]
                b[name] = (b[name] - Q @ (Q.T @ b[name])) / a[i]
                theirs[name] = qf(Q - learning_rate * b[name])
            S = theirs[f"S{i}"] - learning_rate * b[f"S{i}"]
            theirs[f"S{i}"] = math.sqrt((S**2).sum() / len(S)) * qf(S)
            theirs[f"b{i}"] = theirs[f"b{i}"] - learning_rate * b[f"b{i}"]
    for name, p in params.items():
        assert_allclose(p, theirs[name], rtol=0, atol=2e-14)


def test_the_scalar_of_a_large_layer_is_the_mean_that_theory_gives():
    """Of 500 x 800 uniform entries the singular values follow Marchenko and Pastur; the 100 largest do not."""
    ratio = 500 / 800
    low, high = (1 - math.sqrt(ratio)) ** 2, (1 + math.sqrt(ratio)) ** 2

    def of_singular_values(x):
        return math.sqrt(x) * math.sqrt((high - x) * (x - low)) / (2 * math.pi * ratio * x)

    expected = quad(of_singular_values, low, high)[0] / math.sqrt(3)  # U(-1, 1) has the variance 1/3
    network = LowRankNetwork(FCNN((800, 500, 10)), 0.2)
    assert_allclose(network.first_means(0)["W1"], expected, rtol=5e-3)
    kept = np.diag(network.init(NUMPY, 0, "float64")["S1"])
    assert len(kept) == 100
    assert kept.mean() > 1.5 * expected


def test_a_run_in_the_mode_mean_starts_from_the_mean_of_the_full_weights():
    """Of those drawn with its seed, or of those given to start from."""
    config = Config(
        network=NETS["fcnn"], low_rank=LowRank(0.3, mode="mean"), optimizer=SGD(0.1), seed=3, dtype="float64"
    )
    means = config.trained().first_means(3)
    params = config.init(NUMPY)
    given = weights("fcnn")
    for state, expected in (
        (config.state(params), means),
        (config.state(factorised(given, 0.3), given), mean_singular_values(given)),
    ):
        for i in (1, 2, 3):
            assert_allclose(state[f"c.S{i}"], [1 / expected[f"W{i}"]], rtol=1e-12)
    s = np.linalg.svd(given["W1"], compute_uv=False)
    assert_allclose(mean_singular_values(given)["W1"], s.mean(), rtol=1e-12)
    assert means["W1"] < np.diag(params["S1"]).mean()


def test_filters_are_drawn_in_factors_and_their_mean_is_that_of_S():
    network, params = low_rank("lenet5"), net("lenet5", seed=4)
    means = network.first_means(4)
    for i in (1, 2):
        s = np.diag(params[f"S{i}"])
        assert_allclose(means[f"W{i}"], s.mean(), rtol=1e-12)
        assert_array_equal(s, np.sort(np.abs(s))[::-1])


def test_networks_and_optimizers_without_factors_are_refused():
    with pytest.raises(UsageError, match="low-rank training has sgd's steps, with momentum if you like; not adam's"):
        LowRankSGD(Adam(), LowRank(0.5))
    with pytest.raises(UsageError, match="above 0 % and at most 100 % of the full rank, got 0 %"):
        LowRankNetwork(FCNN(), 0.0)
    with pytest.raises(UsageError, match="low-rank training supports fcnn, cnn and lenet5, not other"):
        LowRankNetwork(Other(), 0.5)
    with pytest.raises(UsageError, match="not straight"):
        LowRankNetwork(Straight(), 0.5)


class Straight(FCNN):
    """A dense net without activations, whose factors would be those of another net."""

    name = "straight"

    def forward(self, params, x):
        raise NotImplementedError


class Other(Network):
    name = "other"
    init = forward = hidden = None


@pytest.mark.parametrize(("name", "pixels"), [("fcnn", 12), ("cnn", 100)])
def test_inputs_of_another_size_or_type_are_refused(name, pixels):
    for bad in (np.zeros((2, pixels + 1)), np.zeros((0, pixels)), np.zeros((2, pixels), np.float32)):
        with pytest.raises(UsageError, match=rf"expected inputs float64\(1 or more, {pixels}\), got {bad.dtype}"):
            low_rank(name).forward(net(name), bad)
