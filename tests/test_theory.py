"""Linear classifiers, convolutions as matrices, the certificate: against brute force, closed cases, loops."""

import math
import subprocess
import sys

import naive
import numpy as np
import pytest
from backends import NUMPY
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from strategies import seeds

from refimpl.errors import NumericalError, UsageError
from refimpl.measures.certificates import margin_bound
from refimpl.networks import FCNN, fcnn
from refimpl.theory.convolution_matrix import componentwise, convolution_matrix, kron, patchwise
from refimpl.theory.linear import adversarial_error, error, gaussian_error, linear_net, projection, sparsity, subspace


def signs(values):
    return np.array(values, float)


def test_a_tie_is_no_error_and_not_correct_either():
    w, x = np.array([1.0, 0.0]), np.array([[0.0, 5.0], [1.0, 0.0], [-1.0, 0.0], [2.0, 0.0]])
    assert error(w, x, signs([1, 1, 1, 1])) == 1 / 4
    assert adversarial_error(w, x, signs([1, 1, 1, 1]), 1.0) == 2 / 4  # the margin that is 1 is a tie now


def test_one_perturbation_for_all_cannot_push_two_classes_at_once():
    """Two points on one line, each 1 from the boundary: each can be pushed over, not both."""
    w, x, y = np.array([1.0]), np.array([[1.0], [-1.0]]), signs([1, -1])
    assert adversarial_error(w, x, y, 2.0, "sample") == 1
    assert adversarial_error(w, x, y, 2.0, "universal") == 1 / 2


@given(seeds, st.integers(1, 8), st.floats(0, 2))
def test_the_universal_adversary_is_the_best_of_many_perturbations_and_attained(seed, N, eps):
    rng = np.random.default_rng(seed)
    w, x, y = rng.normal(size=3), rng.normal(size=(N, 3)), rng.choice([-1.0, 1.0], N)
    found = adversarial_error(w, x, y, eps, "universal")
    etas = np.linspace(-eps, eps, 2001)[:, None] * np.sign(w)
    tried = np.mean(y * ((x + etas[:, None, :]) @ w) < 0, axis=-1)
    assert tried.max() <= found
    assert found - tried.max() <= 1 / N + 1e-12  # at most one example between two points of the grid


@given(seeds, st.integers(1, 5), st.integers(1, 5))
def test_a_basis_is_orthonormal_and_spans(seed, n, k):
    A = np.random.default_rng(seed).normal(size=(n, k))
    V = subspace(A)
    assert_allclose(V.T @ V, np.eye(min(n, k)), atol=1e-12)
    assert_allclose(projection(V) @ A, A, atol=1e-12)


def test_a_basis_of_dependent_columns_and_of_none():
    A = np.array([[1.0, 2.0], [2.0, 4.0]])
    assert_allclose(projection(subspace(A)), np.array([[1, 2], [2, 4]]) / 5, atol=1e-15)
    assert_array_equal(projection(subspace(np.zeros((3, 2)))), np.zeros((3, 3)))


def test_sparsity_of_vectors():
    assert sparsity(np.array([0.0, 3.0])) == 1
    assert sparsity(np.array([1e-300, 1e-300])) == pytest.approx(math.sqrt(2))
    assert sparsity(np.array([1e300] * 4)) == pytest.approx(2)
    assert math.isnan(sparsity(np.zeros(3)))


def test_gaussian_errors_in_closed_cases():
    w, mean, eye = np.array([1.0, 1.0]), np.array([1.0, 0.0]), np.eye(2)
    assert gaussian_error(w, np.zeros(2), eye) == 0.5
    one = 0.5 * math.erfc(1 / 2)  # Phi(-1 / sqrt 2): m = 1, sigma = sqrt 2
    assert gaussian_error(w, mean, eye) == pytest.approx(one)
    assert gaussian_error(w, mean, eye, eps=0.5) == pytest.approx(0.5)  # the reach 0.5 * 2 is the mean margin
    assert gaussian_error(w, mean, 0 * eye, eps=0.4) == 0
    assert gaussian_error(w, mean, 0 * eye, eps=0.6) == 1
    only = gaussian_error(w, mean, eye, 0.5, "universal", positive=1.0)
    assert only == pytest.approx(gaussian_error(w, mean, eye, 0.5))  # with one class a universal attack is as good


@given(seeds, st.floats(0.01, 0.99), st.floats(0, 3))
def test_no_shift_is_worse_than_the_closed_form_says(seed, positive, eps):
    rng = np.random.default_rng(seed)
    w, mean, root = rng.normal(size=2), rng.normal(size=2), rng.normal(size=(2, 2))
    best = gaussian_error(w, mean, root @ root.T, eps, "universal", positive)
    m, sigma = w @ mean, math.sqrt(w @ root @ root.T @ w)
    for t in np.linspace(-1, 1, 201) * eps * np.abs(w).sum():
        p, q = (0.5 * math.erfc((m + s) / sigma / math.sqrt(2)) for s in (t, -t))
        assert positive * p + (1 - positive) * q <= best + 1e-12


def test_bad_input_is_refused():
    w, x, y = np.ones(2), np.ones((3, 2)), np.ones(3)
    for bad, message in (
        (lambda: adversarial_error(w, x, y, -0.1), "eps must be finite"),
        (lambda: adversarial_error(w, x, y, 0.1, "both"), "unknown adversary 'both'"),
        (lambda: error(w, x[:0], y[:0]), "at least one example"),
        (lambda: gaussian_error(w, w, np.eye(2), math.inf), "eps must be finite"),
        (lambda: gaussian_error(w, w, np.eye(2), 0.1, "both"), "unknown adversary"),
        (lambda: gaussian_error(w, w, np.eye(2), positive=1.5), "between 0 and 1"),
        (lambda: convolution_matrix(np.ones((1, 1, 3, 3)), 2, 5), "do not fit"),
        (
            lambda: margin_bound(FCNN(), fcnn.init(NUMPY, 0, (2, 2)), np.ones((1, 2), "f4"), -1.0, {}),
            "eps must be finite",
        ),
    ):
        with pytest.raises(UsageError, match=message):
            bad()


def test_what_is_not_finite_is_refused_and_not_counted_as_correct():
    w, x, y = np.ones(2), np.ones((3, 2)), np.ones(3)
    for bad in (math.nan, math.inf, -math.inf):
        broken = np.array([[1.0, 1.0], [bad, 1.0], [1.0, 1.0]])
        for refused, error_type, message in (
            (lambda broken=broken: error(w, broken, y), UsageError, "x must be finite"),
            (lambda broken=broken: error(broken[1], x, y), UsageError, "w must be finite"),
            (lambda broken=broken: gaussian_error(w, broken[1], np.eye(2)), UsageError, "the mean must be finite"),
            (lambda broken=broken: subspace(broken), NumericalError, "A must be finite"),
            (lambda broken=broken: componentwise(broken, 2), UsageError, "A must be finite"),
            (lambda bad=bad: convolution_matrix(np.full((1, 1, 1, 1), bad), 2, 2), UsageError, "filters must be"),
        ):
            with pytest.raises(error_type, match=message):
                refused()
    with pytest.raises(UsageError, match="labels must be -1 or 1"):
        error(w, x, np.array([1.0, 0.0, -1.0]))
    with pytest.raises(UsageError, match="labels must be -1 or 1"):
        error(w, x, np.array([1.0, math.nan, -1.0]))


def test_what_is_empty_is_refused():
    for refused, message in (
        (lambda: sparsity(np.zeros(0)), "w must be a vector with at least one entry"),
        (lambda: subspace(np.zeros((0, 2))), "A must be a matrix with at least one row"),
        (lambda: error(np.zeros(0), np.zeros((2, 0)), np.ones(2)), "w must be a vector with at least one entry"),
        (lambda: patchwise(np.ones((1, 1)), 0), "at least 1"),
        (lambda: kron(np.ones((0, 1)), np.ones((1, 1))), "A must be a matrix with at least one row"),
        (lambda: convolution_matrix(np.ones((0, 1, 2, 2)), 3, 3), r"got shape \(0, 1, 2, 2\)"),
    ):
        with pytest.raises(UsageError, match=message):
            refused()
    assert subspace(np.zeros((3, 0))).shape == (3, 0)  # no vectors span {0}


def test_shapes_that_do_not_fit_are_refused():
    """In a process of its own, without the annotations that the test run enforces."""
    code = """
import numpy as np
from refimpl.errors import UsageError
from refimpl.theory.convolution_matrix import convolution_matrix
from refimpl.theory.linear import error, gaussian_error, subspace
for bad in (
    lambda: error(np.ones(2), np.ones((3, 2)), np.ones(4)),
    lambda: error(np.ones(2), np.ones((3, 4)), np.ones(3)),
    lambda: error(np.ones(2), np.ones(2), np.ones(2)),
    lambda: error(np.ones((2, 2)), np.ones((3, 2)), np.ones(3)),
    lambda: gaussian_error(np.ones(2), np.ones(3), np.eye(2)),
    lambda: gaussian_error(np.ones(2), np.ones(2), np.ones(2)),
    lambda: subspace(np.ones(3)),
    lambda: convolution_matrix(np.ones((1, 1, 2, 3)), 4, 4),
    lambda: convolution_matrix(np.ones((2, 3)), 4, 4),
):
    try:
        bad()
    except UsageError as error_message:
        print(error_message)
"""
    lines = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.splitlines()
    assert len(lines) == 9
    assert lines[0] == "w (2,), x (3, 2) and y (4,) do not fit: they must be (n,), (N, n) and (N,)"


def test_a_linear_net_is_the_product_of_its_layers(rng):
    Ws, w = [rng.normal(size=(3, 4)), rng.normal(size=(4, 2))], rng.normal(size=2)
    assert_allclose(linear_net(Ws, w), Ws[0] @ Ws[1] @ w)
    assert_array_equal(linear_net([], w), w)


def test_kronecker_products_are_numpys_on_every_backend(be, rng):
    A, B = rng.normal(size=(2, 3)), rng.normal(size=(4, 1))
    for ours, theirs in (
        (kron(be.array(A), be.array(B)), np.kron(A, B)),
        (componentwise(be.array(A), 3), np.kron(A, np.eye(3))),
        (patchwise(be.array(A), 3), np.kron(np.eye(3), A)),
    ):
        assert type(ours) is type(be.array(A))
        assert_allclose(be.host(ours), theirs, rtol=be.tolerance)


@given(seeds, st.integers(1, 3), st.integers(1, 3), st.integers(1, 3), st.integers(0, 3), st.integers(0, 2))
def test_the_matrix_of_a_convolution_is_that_of_the_loops(seed, filters, C, k, height, width):
    W = np.random.default_rng(seed).normal(size=(filters, C, k, k))
    ours = convolution_matrix(W, k + height, k + width)
    assert_allclose(ours, naive.convolution_matrix(W, k + height, k + width), rtol=1e-12, atol=1e-12)


def test_the_certificate_of_two_layers_by_hand():
    """d1 = |W1| eps + e1 (|x|_1 + 2 eps); B = |W2_0 - W2_1| d1 + 2 e2 (|t|_1 + |d1|_1)."""
    W1, W2, x = np.array([[1.0, -2.0]]), np.array([[3.0], [-1.0]]), np.array([[0.5, 0.25]])
    params = {"W1": W1, "b1": np.zeros(1), "W2": W2, "b2": np.zeros(2)}
    B = margin_bound(FCNN(), params, x, 0.1, {"W1": 0.01, "W2": 0.02})
    d1 = 3 * 0.1 + 0.01 * (0.75 + 0.2)
    t = abs(math.tanh(0.5 - 0.5))
    assert_allclose(B[0, 0, 1], 4 * d1 + 2 * 0.02 * (t + d1))
    assert not margin_bound(FCNN(), params, x, 0.0, {}).any()
