"""Subgradients as mathematics: the inequality that defines them, duality, finite differences; proximal optimality."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pytest
from autograd import numpy as anp
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from strategies import matrices, seeds, sizes

from refimpl import UsageError
from refimpl.networks import CNN, FCNN, Network
from refimpl.regularizers import L1, Joint, Nuclear
from refimpl.regularizers.base import in_order
from refimpl.regularizers.joint import joint
from refimpl.regularizers.l1 import l1, soft_threshold
from refimpl.regularizers.nuclear import nuclear, nuclear_by_svd, singular_value_threshold
from refimpl.theory import autograd_reference

PRECISION = {"float32": 2e-5, "float64": 1e-11}
both = st.sampled_from(["float32", "float64"])


@st.composite
def special(draw):
    """Full rank, rank-deficient, zero, with equal singular values; of any size in magnitude."""
    m, n, dtype = draw(sizes), draw(sizes), draw(both)
    rng = np.random.default_rng(draw(seeds))
    rank = draw(st.integers(0, min(m, n)))
    U, V = (np.linalg.qr(rng.normal(size=(k, k)))[0] for k in (m, n))
    values = draw(st.sampled_from([np.ones(rank), rng.uniform(0.1, 1, rank)]))
    scale = draw(st.sampled_from([1e-30, 1e-3, 1.0, 1e3, 1e30]))
    return scale * ((U[:, :rank] * values) @ V[:, :rank].T).astype(dtype), rank, values * scale


def other(W, seed):
    return np.random.default_rng(seed).normal(size=W.shape) * np.abs(W).max()


@given(special(), seeds)
def test_l1_is_dual_to_the_largest_entry(case, seed):
    W = case[0].astype(np.float64)
    value, G = l1(W)
    assert_allclose(np.sum(G * W), value, rtol=1e-12)
    assert np.abs(G).max(initial=0) <= 1
    Z = other(W, seed)
    assert np.abs(Z).sum() >= value + np.sum(G * (Z - W)) - 1e-12 * np.abs(Z).sum()


@given(special(), seeds, st.sampled_from([nuclear, nuclear_by_svd]))
def test_the_nuclear_norm_is_dual_to_the_largest_singular_value(case, seed, norm):
    W, rank, values = case
    value, G = norm(W)
    precision = PRECISION[str(W.dtype)]
    W, G = W.astype(np.float64), G.astype(np.float64)
    assert_allclose(value, values.sum(), rtol=precision)
    assert_allclose(np.sum(G * W), value, rtol=precision)
    assert np.linalg.norm(G, 2) <= 1 + precision
    assert_allclose(np.linalg.norm(G, "nuc"), rank, rtol=precision, atol=precision)  # of least norm: U_r V_rᵀ
    Z = other(W, seed)
    bound = np.linalg.norm(Z, "nuc")
    assert bound >= value + np.sum(G * (Z - W)) - 10 * precision * bound


@given(matrices(), both)
def test_the_fast_nuclear_gradient_is_the_definition_where_singular_values_are_apart(W, dtype):
    s = np.linalg.svd(W, compute_uv=False)
    if s[-1] < 1e-2 * s[0]:
        W = W + 10 * np.eye(*W.shape)
    fast, slow = nuclear(W.astype(dtype)), nuclear_by_svd(W.astype(dtype))
    for ours, theirs in zip(fast, slow, strict=True):
        assert ours.dtype == dtype
        assert_allclose(ours, theirs, rtol=50 * PRECISION[dtype], atol=50 * PRECISION[dtype])


def test_at_the_papers_sizes_the_fast_one_is_the_definition(rng):
    W = rng.uniform(-0.08, 0.08, (20, 784)).astype(np.float32)
    for A in (W, np.ascontiguousarray(W.T)):
        for ours, theirs in zip(nuclear(A), nuclear_by_svd(A), strict=True):
            assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


@given(matrices(), seeds)
def test_gradients_are_the_finite_differences_where_they_exist(W, seed):
    W = W + 3 * np.sign(W) + 5 * np.eye(*W.shape)
    direction = np.random.default_rng(seed).normal(size=W.shape)
    for f in (l1, nuclear):
        slope = autograd_reference.directional_derivative(lambda at, f=f: f(at)[0], W, direction)
        assert_allclose(np.sum(f(W)[1] * direction), slope, rtol=1e-5, atol=1e-5)


@st.composite
def stacks(draw):
    """Matrices that chain, with no entry of the product near zero."""
    widths = draw(st.lists(sizes, min_size=2, max_size=5))
    rng = np.random.default_rng(draw(seeds))
    return [0.5 + rng.uniform(size=(m, n)) for n, m in pairwise(widths)]


@given(stacks(), seeds)
def test_the_joint_gradient_is_autograds_and_the_finite_difference(Ws, seed):
    rng = np.random.default_rng(seed)
    Ws = [W * np.where(rng.uniform(size=(len(W), 1)) < 0.5, -1, 1) for W in Ws]
    value, gradients = joint(Ws)
    product = Ws[0]
    for W in Ws[1:]:
        product = W @ product
    assert_allclose(value, np.abs(product).sum(), rtol=1e-12)

    def norm(*Ws):
        product = Ws[0]
        for W in Ws[1:]:
            product = W @ product
        return anp.sum(anp.abs(product))

    expected = autograd_reference.vjp(norm, tuple(Ws), np.ones(()))
    for ours, theirs in zip(gradients, expected, strict=True):
        assert_allclose(ours, theirs, rtol=1e-9, atol=1e-9)


@given(stacks(), st.floats(0.5, 2))
def test_the_joint_term_is_homogeneous_and_each_gradient_returns_it(Ws, a):
    value, gradients = joint(Ws)
    assert_allclose(joint([a * W for W in Ws])[0], a ** len(Ws) * value, rtol=1e-9)
    for W, G in zip(Ws, gradients, strict=True):
        assert_allclose(np.sum(W * G), value, rtol=1e-9)


def test_one_layer_is_plain_l1_and_the_transposed_product_has_the_same_norm(rng):
    W = rng.normal(size=(3, 4))
    value, (G,) = joint([W])
    assert_allclose(value, l1(W)[0])
    assert_array_equal(G, np.sign(W))
    Ws = [rng.normal(size=(4, 6)), rng.normal(size=(3, 4))]
    assert_allclose(joint(Ws)[0], joint([W.T for W in reversed(Ws)])[0], rtol=1e-12)


def test_layers_that_do_not_chain_are_refused_with_the_reason(rng):
    """The literal order of Eq. (7), and a CNN's reshaped filters."""
    for shapes in (((20, 20), (20, 784)), ((32, 9), (32, 288))):
        with pytest.raises(UsageError, match="dense layers only"):
            joint([rng.normal(size=shape) for shape in shapes])


@given(matrices(), st.floats(0, 2), seeds)
def test_proximal_steps_minimise_what_they_say(W, t, seed):
    rng = np.random.default_rng(seed)
    for step, norm in ((soft_threshold, l1), (singular_value_threshold, nuclear)):

        def objective(Z, norm=norm):
            return 0.5 * np.sum((Z - W) ** 2) + t * norm(Z)[0]

        Z = step(W, t)
        for size in (1e-3, 0.1, 1.0):
            assert objective(Z) <= objective(Z + size * rng.normal(size=W.shape)) + 1e-9


def test_proximal_steps_make_exact_zeros(rng):
    W = rng.normal(size=(6, 8))
    assert (soft_threshold(W, 0.5) == 0).sum() == (np.abs(W) <= 0.5).sum() > 0
    s = np.linalg.svd(W, compute_uv=False)
    assert np.linalg.matrix_rank(singular_value_threshold(W, float(s[2]) + 1e-9)) == 2
    for step in (soft_threshold, singular_value_threshold):
        assert_allclose(step(W, 0.0), W, rtol=1e-12, atol=1e-12)
        with pytest.raises(UsageError, match="threshold"):
            step(W, -1.0)


def test_subgradient_descent_with_the_proximal_step_finds_a_low_rank_target(rng):
    """Half the squared distance to a noisy matrix of rank 1, plus the nuclear norm: rank 1 comes back."""
    target = np.outer(rng.normal(size=8), rng.normal(size=9)) * 3 + 0.05 * rng.normal(size=(8, 9))
    W = rng.normal(size=(8, 9))
    for _ in range(200):
        W = singular_value_threshold(W - 0.3 * (W - target), 0.3 * 0.5)
    assert np.linalg.matrix_rank(W, tol=1e-9) == 1


def test_regularizers_run_on_every_backend(be, rng):
    W, V = rng.normal(size=(4, 6)), rng.normal(size=(3, 4))
    for f in (l1, nuclear, nuclear_by_svd, lambda W: (soft_threshold(W, 0.1), singular_value_threshold(W, 0.1))):
        for ours, expected in zip(f(be.array(W)), f(W), strict=True):
            assert str(be.host(ours).dtype) == be.dtype
            assert_allclose(be.host(ours), expected, rtol=be.tolerance, atol=be.tolerance)
    value, gradients = joint([be.array(W), be.array(V)])
    expected_value, expected = joint([W, V])
    assert_allclose(be.host(value), expected_value, rtol=be.tolerance)
    for ours, theirs in zip(gradients, expected, strict=True):
        assert_allclose(be.host(ours), theirs, rtol=be.tolerance, atol=be.tolerance)


def each(norm, stack):
    """The norm of each matrix of a stack by itself, and its gradient."""
    found = [norm(W) for W in stack]
    return np.stack([value for value, _ in found]), np.stack([gradient for _, gradient in found])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(3, 2, 5), (3, 5, 2), (2, 3, 3), (1, 2, 4)])
@pytest.mark.parametrize("norm", [l1, nuclear, nuclear_by_svd])
def test_norms_of_a_stack_are_those_of_each_matrix(rng, norm, shape, dtype):
    """Also where one is zero, and where one is not finite, which leaves the others alone."""
    stack = rng.normal(size=shape).astype(dtype)
    for last in (1.0, 0.0, np.nan):
        stack[-1] *= last
        for ours, theirs in zip(norm(stack), each(norm, stack), strict=True):
            assert ours.dtype == dtype
            assert_allclose(ours, theirs, rtol=PRECISION[dtype], atol=PRECISION[dtype])
    stack[-1] = 1.0
    stack[-1, 1, 1] = np.inf
    value, gradient = norm(stack)
    assert not np.isfinite(value[-1])
    assert np.isfinite(value[:-1]).all()
    assert np.isfinite(gradient[:-1]).all()
    assert norm is l1 or np.isnan(gradient[-1]).all()


def test_the_proximal_steps_of_a_stack_are_those_of_each_matrix(rng):
    stack = rng.normal(size=(3, 2, 5))
    for step in (soft_threshold, singular_value_threshold):
        assert_allclose(step(stack, 0.5), np.stack([step(W, 0.5) for W in stack]), rtol=1e-12)


def test_the_joint_term_of_stacks_is_that_of_each_model(rng):
    Ws = [rng.normal(size=(2, *shape)) for shape in ((4, 6), (5, 4), (3, 5))]
    value, gradients = joint(Ws)
    for m in range(2):
        alone, expected = joint([W[m] for W in Ws])
        assert_allclose(value[m], alone, rtol=1e-12)
        for ours, theirs in zip(gradients, expected, strict=True):
            assert_allclose(ours[m], theirs, rtol=1e-12)


@pytest.mark.parametrize("models", [1, 50])
def test_what_counts_as_zero_depends_on_no_other_matrix(models):
    """In double precision a singular value of ten roundings of the largest counts for a 2 x 2 matrix, of one not."""
    rounding = np.finfo(np.float64).eps
    stack = np.stack([np.diag([1.0, 10 * rounding]), np.diag([1.0, rounding])] * models)
    gradient = nuclear_by_svd(stack)[1]
    assert_allclose(gradient[::2], np.stack([np.eye(2)] * models), atol=1e-12)
    assert_allclose(gradient[1::2], np.stack([np.diag([1.0, 0.0])] * models), atol=1e-12)


@pytest.mark.parametrize(("small", "kept"), [(1e2, 1.0), (1.0, 0.0), (0.0, 0.0)])
def test_in_single_precision_what_is_below_1e_5_of_the_largest_counts_as_zero(small, kept):
    gradient = nuclear(np.diag([1e6, small]).astype(np.float32))[1]
    assert_allclose(gradient, np.diag([1.0, kept]), atol=1e-6)


def test_of_a_zero_matrix_every_norm_is_zero_and_so_is_its_gradient():
    for dtype in ("float32", "float64"):
        for norm in (l1, nuclear, nuclear_by_svd):
            value, gradient = norm(np.zeros((2, 3), dtype))
            assert value == 0
            assert not gradient.any()


def test_terms_are_added_in_one_order_and_those_of_others_follow_by_name():
    names = ["zeal", "operator-norms", "margin-bound", "awe", "nuclear", "joint", "l1"]
    assert in_order(names) == ["l1", "joint", "nuclear", "margin-bound", "operator-norms", "awe", "zeal"]


def test_what_a_term_does_not_have_is_refused():
    params = {"W1": np.ones((2, 2)), "W2": np.ones((3, 3))}
    for refused, message in (
        (lambda: Joint(0.1).prox(params, 0.1), "^the term joint has no proximal step$"),
        (lambda: Joint(0.1).check(CNN()), "^the joint term supports dense networks only, not cnn: take fcnn$"),
        (
            lambda: joint(list(params.values())),
            r"^the joint term needs layers that chain: W2 \(3, 3\) cannot follow W1 \(2, 2\); it is defined for dense",
        ),
    ):
        with pytest.raises(UsageError, match=message):
            refused()


@dataclass(frozen=True)
class Dense(Network):
    """Of given shapes, of which only the first weights matter here."""

    shapes: tuple[tuple[int, ...], ...] = ()

    def init(self, backend, seed=0, dtype="float32"):
        return {f"W{i}": backend.asarray(np.ones(shape), dtype) for i, shape in enumerate(self.shapes, start=1)}

    def forward(self, params, x):
        raise NotImplementedError

    def hidden(self, params, x):
        raise NotImplementedError


def test_the_joint_term_takes_every_network_whose_layers_are_dense_and_chain():
    for network in (FCNN(), Dense(((3, 4), (2, 3)))):
        Joint(0.1).check(network)
    with pytest.raises(UsageError, match="needs layers that chain"):
        Joint(0.1).check(Dense(((3, 4), (2, 7))))
    with pytest.raises(UsageError, match="supports dense networks only"):
        Joint(0.1).check(Dense(((3, 1, 3, 3), (2, 3))))


def test_layers_and_their_lambdas_are_read_from_a_table():
    table = {"W1": 0.01, "W2": 1}
    for kind in (L1, Nuclear):
        assert kind.from_table(table, "regularizers.x") == kind(table)
        assert kind(table).table() == table
        for wrong, message in (
            (0.01, "must be a table of layers and their lambdas"),
            ({"W1": "much"}, "regularizers.x"),
            ({"W1": -0.1}, "regularizers.x: .*at least 0"),
        ):
            with pytest.raises(UsageError, match=message):
                kind.from_table(wrong, "regularizers.x")
