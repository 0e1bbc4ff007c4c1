"""What is refused at the edge, and what numbers that failed turn into."""

import fakecupy
import numpy as np
import pytest
from backends import FAKE, NUMPY
from numpy.testing import assert_allclose, assert_array_equal

from refimpl import SGD, NumericalError, UsageError, accuracy, cross_entropy, margins
from refimpl.low_rank.factorization import truncated
from refimpl.measures.accuracy import n_correct
from refimpl.networks import FCNN, Gradients
from refimpl.optimizers import Proximal
from refimpl.regularizers import Nuclear, nuclear, singular_value_threshold
from refimpl.training import CrossEntropy, Examples, Schedule, Step, score, train

NET = FCNN((12, 5, 4))
BAD_LABELS = [
    (np.array([0, 1, 4]), "labels must be from 0 to 3, got 0 to 4"),
    (np.array([0, -1, 3]), "labels must be from 0 to 3, got -1 to 3"),
    (np.array([0.0, 1.0, 2.0]), r"expected labels of whole numbers \(3,\), got float64\(3,\)"),
    (np.array([True, False, True]), r"expected labels of whole numbers \(3,\), got bool\(3,\)"),
    (np.array([[0], [1], [2]]), r"expected labels of whole numbers \(3,\), got int64\(3, 1\)"),
    (np.array([0, 1]), r"expected labels of whole numbers \(3,\), got int64\(2,\)"),
]


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(("y", "message"), BAD_LABELS)
def test_what_are_no_labels_is_refused(rng, y, message):
    params, x = NET.init(NUMPY, dtype="float64"), rng.uniform(size=(3, 12))
    at, logits = Gradients(NET, params), rng.normal(size=(3, 4))
    uses = (
        lambda: cross_entropy(logits, y),
        lambda: margins(logits, y),
        lambda: at.loss(y)(x),
        lambda: at.margins(y)(x),
        lambda: at.least_margin(y)(x),
        lambda: at.weights(x, y),
    )
    for use in uses:
        with pytest.raises(UsageError, match=message):
            use()


@pytest.mark.usefixtures("unchecked")
def test_on_a_device_shape_and_type_of_labels_are_looked_at_and_no_value():
    logits = FAKE.asarray(np.zeros((3, 4)))
    fakecupy.SYNCS.clear()
    for y in (np.zeros(3), np.zeros((3, 1), int)):
        for use in (cross_entropy, margins):
            with pytest.raises(UsageError, match="expected labels of whole numbers"):
                use(logits, FAKE.asarray(y))
    cross_entropy(logits, FAKE.asarray(np.arange(3)))
    assert fakecupy.SYNCS == []


def test_training_refuses_labels_that_the_network_does_not_have(rng):
    images = rng.integers(0, 256, (20, 3, 4), np.uint8)
    for train_label, test_label in ((4, 0), (0, 4)):
        data = Examples(images, np.full(20, train_label), images, np.full(20, test_label))
        params = NET.init(NUMPY)
        step = Step(CrossEntropy(NET), SGD(0.1), params, {})
        with pytest.raises(UsageError, match="labels must be from 0 to 3, got 4 to 4"):
            next(train(step, NET, data, Schedule(1, 10, 0)))
        assert step.params is params  # before any step


@pytest.mark.parametrize("bad", [(0, 12), (3, 11)])
def test_inputs_of_another_shape_are_refused(bad):
    with pytest.raises(UsageError, match=r"expected inputs float32\(1 or more, 12\), got float32"):
        NET.forward(NET.init(NUMPY), np.zeros(bad, np.float32))


def test_mixed_types_are_refused(rng):
    params = NET.init(NUMPY)
    with pytest.raises(UsageError, match=r"expected inputs float32.*got float64\(2, 12\)"):
        NET.forward(params, np.zeros((2, 12)))
    with pytest.raises(UsageError, match=r"different dtypes: .*W2 float64"):
        NET.forward(params | {"W2": params["W2"].astype(float)}, np.zeros((2, 12), np.float32))


def test_rows_of_nan_are_counted_as_wrong():
    logits = np.array([[np.nan, 0.0], [1.0, np.nan], [2.0, 1.0], [np.inf, 1.0]])
    assert accuracy(logits[:2], np.zeros(2, int)) == 0
    assert n_correct(logits, np.zeros(4, int)) == 2
    params = NET.init(NUMPY)
    params["W1"][:] = np.nan
    images = np.zeros((5, 3, 4), np.uint8)
    assert score(NET, params, images, np.zeros(5, int))[1] == 0


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_not_decomposed(be, rng, bad):
    W = rng.normal(size=(6, 8))
    W[2, 3] = bad
    assert np.isnan(be.host(singular_value_threshold(be.array(W), 0.1))).all()
    with np.errstate(invalid="ignore"):
        assert np.isnan(be.host(nuclear(be.array(W))[1])).all()
    assert np.isnan(be.host(truncated(be.array(W), 2).S)).all()


def test_what_is_finite_is_decomposed_as_ever(rng):
    W = rng.normal(size=(6, 8))
    U, s, Vh = np.linalg.svd(W, full_matrices=False)
    assert_array_equal(singular_value_threshold(W, 0.5), (U * np.maximum(s - 0.5, 0)) @ Vh)
    found = truncated(W, 2)
    assert_allclose(found.U @ found.S @ found.V.T, (U[:, :2] * s[:2]) @ Vh[:2], rtol=1e-12)


def test_an_infinite_weight_ends_training_by_proximal_steps_with_its_error(rng):
    images = rng.integers(1, 256, (20, 3, 4), np.uint8)
    data = Examples(images, rng.integers(0, 4, 20), images, rng.integers(0, 4, 20))
    params = NET.init(NUMPY)
    params["W1"][0, 0] = np.inf
    step = Step(CrossEntropy(NET), Proximal(SGD(0.1), (Nuclear({"W1": 0.1}),)), params, {})
    with np.errstate(all="ignore"), pytest.raises(NumericalError, match="the loss is nan") as caught:
        list(train(step, NET, data, Schedule(2, 10, 0)))
    assert caught.value.exit_code == 4
