"""The loop: it learns, it repeats, it continues, it stops on nonsense, and it waits for the device once an epoch."""

import math
from dataclasses import dataclass, field, replace

import fakecupy
import numpy as np
import pytest
from backends import FAKE, NUMPY
from numpy.testing import assert_allclose, assert_array_equal

from refimpl import SGD, Adam, NumericalError, UsageError, effective_rank, effective_sparsity
from refimpl.attacks import PGD, fgsm, gnm, pgd
from refimpl.backend import to_host
from refimpl.data import Dataset, Split, on
from refimpl.layers.images import scale
from refimpl.networks import FCNN, loss_gradient, margin_gradients
from refimpl.optimizers import Proximal
from refimpl.regularizers import L1, Batch, Joint, MarginBound, Nuclear, Regularizer
from refimpl.runs.config import Config
from refimpl.theory import autograd_reference
from refimpl.training import (
    AdversarialInputs,
    AdversarialWeights,
    CrossEntropy,
    Examples,
    Regularized,
    Schedule,
    Step,
    score,
    train,
)
from refimpl.training.loop import epoch_log, slices, value_on

NETWORK = FCNN((100, 12, 12, 12, 10))


@pytest.fixture
def small(rng) -> Dataset:
    """Ten blurred patterns: 200 examples to train on, 100 to test on."""
    patterns = rng.integers(0, 256, (10, 10, 10))

    def split(n):
        labels = rng.integers(0, 10, n).astype(np.uint8)
        noise = rng.integers(0, 256, (n, 10, 10))
        return Split(((patterns[labels] + noise) // 2).astype(np.uint8), labels)

    return Dataset("small", split(200), split(100), {}, "made here")


def step_of(params, optimizer, terms=()):
    """Terms by subgradients, or by proximal steps where the optimizer has them."""
    objective = CrossEntropy(NETWORK)
    return Step(Regularized(objective, terms) if terms else objective, optimizer, params, optimizer.init(params))


def start(data, backend=NUMPY, optimizer=None, terms=(), dtype="float32", **schedule):
    step = step_of(NETWORK.init(backend, seed=0, dtype=dtype), optimizer or Adam(0.005), terms)
    schedule = Schedule(**{"epochs": 3, "batch_size": 64, "seed": 0, **schedule})
    return train(step, NETWORK, on(backend, data), schedule, terms)


def test_it_learns(small):
    records = list(start(small, optimizer=Adam(0.02), epochs=20))
    assert [record.epoch for record in records] == list(range(1, 21))
    assert records[-1].loss < 0.1 * records[0].loss
    assert records[-1].accuracy > 0.95


def test_it_is_lazy(small):
    assert next(start(small, epochs=10**9)).epoch == 1


def test_the_same_seed_gives_the_same_bits_and_another_seed_others(small):
    first, again, other = (list(start(small, seed=seed))[-1] for seed in (0, 0, 1))
    for name, p in first.params.items():
        assert_array_equal(p, again.params[name])
    assert (first.params["W1"] != other.params["W1"]).any()


def test_the_loss_is_the_mean_over_examples_with_a_short_last_batch(small):
    """With a learning rate of almost nothing, the mean of the epoch is the loss of the initial weights."""
    record = next(start(small, optimizer=SGD(1e-30), dtype="float64", batch_size=64))
    arrays = on(NUMPY, small)
    loss, _ = score(NETWORK, NETWORK.init(NUMPY, dtype="float64"), arrays.train_images, arrays.train_labels)
    assert_allclose(record.loss, loss, rtol=1e-12)


@dataclass(frozen=True)
class Recorder(Examples):
    seen: list = field(default_factory=list)

    def batch(self, index, dtype):
        self.seen.append(index.copy())
        return super().batch(index, dtype)


@dataclass
class RecordingStep(Step):
    seen: list = field(default_factory=list)

    def __call__(self, batch):
        self.seen.append((batch.step, batch.new_epoch))
        return super().__call__(batch)


def test_every_example_is_seen_once_an_epoch_in_an_order_of_its_own(small):
    data = Recorder(**vars(on(NUMPY, small)))
    step = RecordingStep(CrossEntropy(NETWORK), SGD(0.1), NETWORK.init(NUMPY), {})
    list(train(step, NETWORK, data, Schedule(epochs=2, batch_size=64, seed=0)))
    assert step.seen == [(t, t in (1, 5)) for t in range(1, 9)]
    assert [len(index) for index in data.seen] == [64, 64, 64, 8] * 2
    first, second = (np.concatenate(data.seen[i : i + 4]) for i in (0, 4))
    for order in (first, second):
        assert_array_equal(np.sort(order), np.arange(200))
    assert (first != second).any()


@pytest.mark.parametrize(
    ("optimizer", "terms"),
    [(SGD(0.1, 0.9), ()), (Adam(0.01), ()), (SGD(0.01), (Nuclear({"W1": 0.01}),))],
    ids=["momentum", "adam", "nuclear"],
)
def test_it_continues_to_the_same_bits(small, optimizer, terms):
    straight = list(start(small, optimizer=optimizer, terms=terms, epochs=5))
    halfway = list(start(small, optimizer=optimizer, terms=terms, epochs=2))[-1]
    step = step_of(halfway.params, optimizer, terms)
    step.state = halfway.state
    schedule = Schedule(epochs=5, batch_size=64, seed=0, start=2)
    continued = list(train(step, NETWORK, on(NUMPY, small), schedule, terms))
    assert [record.line() for record in continued] == [record.line() for record in straight[2:]]
    for name, p in straight[-1].params.items():
        assert_array_equal(p, continued[-1].params[name])


def test_logs_carry_every_layer_and_every_term_of_the_loss(small):
    terms = (L1({"W1": 0.01}), Nuclear({"W1": 0.02, "W2": 0.03}), Joint(0.1), MarginBound(1e-3, 0.1, 0.001))
    (record,) = start(small, optimizer=SGD(0.01), terms=terms, epochs=1)
    W = [record.params[f"W{i}"] for i in range(1, 5)]
    product = W[3] @ W[2] @ W[1] @ W[0]
    test = Batch(small.test.images.reshape(100, -1).astype(np.float32) / 255, small.test.labels.astype(int))
    expected = {
        "l1": 0.01 * np.abs(W[0]).sum(),
        "nuclear": 0.02 * np.linalg.norm(W[0], "nuc") + 0.03 * np.linalg.norm(W[1], "nuc"),
        "joint": 0.1 * np.abs(product).sum(),
        "margin-bound": terms[-1].value_and_grad(record.params, test)[0],
    }
    assert list(record.terms) == list(expected)
    for name, value in expected.items():
        assert_allclose(record.terms[name], value, rtol=1e-5)
    assert record.line().items() >= record.terms.items()
    assert [layer["name"] for layer in record.layers] == [f"W{i}" for i in range(1, 5)]
    for layer, matrix in zip(record.layers, W, strict=True):
        assert_allclose(layer["effective_rank"], effective_rank(matrix), rtol=1e-6)
        assert_allclose(layer["effective_sparsity"], effective_sparsity(matrix), rtol=1e-6)


@pytest.mark.parametrize(
    ("term", "measure"),
    [(L1({"W1": 0.05}), effective_sparsity), (Nuclear({"W1": 1.0}), effective_rank)],
    ids=["l1", "nuclear"],
)
def test_a_regularizer_lowers_what_it_is_meant_to_lower(small, term, measure):
    def trained(terms):
        return list(start(small, optimizer=SGD(0.05), terms=terms, epochs=8))[-1].params["W1"]

    assert measure(trained((term,))) < 0.9 * measure(trained(()))


@pytest.mark.parametrize("backend", [NUMPY, FAKE], ids=["numpy", "fakecupy"])
def test_proximal_steps_make_zeros_and_lower_the_rank_where_subgradients_do_not(small, backend):
    def trained(*terms, proximal):
        optimizer = Proximal(SGD(0.02), terms) if proximal else SGD(0.02)
        logs = start(small, backend, optimizer, () if proximal else terms, epochs=12)
        return to_host(list(logs)[-1].params["W1"])

    sparse, low_rank = L1({"W1": 0.16}), Nuclear({"W1": 1.5})
    assert (trained(sparse, proximal=True) == 0).mean() > 0.3
    assert (trained(sparse, proximal=False) != 0).all()
    of_low_rank = trained(low_rank, proximal=True)
    assert np.linalg.matrix_rank(of_low_rank) < 12
    assert np.abs(trained(sparse, low_rank, proximal=True)).sum() < np.abs(of_low_rank).sum()


def test_a_proximal_step_has_the_length_of_learning_rate_times_lambda(rng):
    params = {"W1": rng.normal(size=(4, 5)), "b1": rng.normal(size=4)}
    term = L1({"W1": 0.2})
    (name, W), *rest = term.prox(params, 0.5).items()
    assert name == "W1"
    assert not rest
    expected = np.sign(params["W1"]) * np.maximum(np.abs(params["W1"]) - 0.1, 0)
    assert_allclose(W, expected, rtol=1e-12)
    still = {name: np.zeros_like(p) for name, p in params.items()}
    moved, state = Proximal(SGD(0.5), (term,)).update(params, still, {}, 1)
    assert_array_equal(moved["W1"], W)
    assert_array_equal(moved["b1"], params["b1"])
    assert state == {}


def test_terms_act_by_proximal_steps_or_by_subgradients_and_never_by_both():
    terms = (L1({"W1": 0.2}), Joint(0.1))
    smooth, both = (Config(regularizers=terms, proximal=proximal) for proximal in (False, True))
    assert smooth.objective() == Regularized(CrossEntropy(FCNN()), terms)
    assert smooth.updates() == SGD()
    assert both.objective() == Regularized(CrossEntropy(FCNN()), terms[1:])
    assert both.updates() == Proximal(SGD(), terms[:1])


@pytest.mark.parametrize(
    ("optimizer", "term", "message"),
    [
        (Adam(0.1), L1({"W1": 0.1}), "adam's differ from weight to weight"),
        (SGD(0.1), Joint(0.1), "the term joint has no proximal step"),
    ],
)
def test_where_there_is_no_proximal_step_it_is_refused(optimizer, term, message):
    with pytest.raises(UsageError, match=message):
        Proximal(optimizer, (term,))


def test_the_gradient_of_a_regularized_objective_is_that_of_the_loss_and_its_terms(rng):
    params = FCNN((9, 5, 4)).init(NUMPY, dtype="float64")
    terms = (L1({"W1": 0.5}), Nuclear({"W1": 0.7, "W2": 0.9}), Joint(0.3))
    batch = Batch(rng.uniform(size=(6, 9)), rng.integers(0, 4, 6))
    loss, plain = CrossEntropy(NETWORK).value_and_grad(params, batch)
    value, grads = Regularized(CrossEntropy(NETWORK), terms).value_and_grad(params, batch)
    assert value == loss
    for name in ("W1", "W2"):
        added = grads[name] - plain[name]
        direction = rng.normal(size=added.shape)
        slope = autograd_reference.directional_derivative(
            lambda at, name=name: sum(term.value_and_grad({**params, name: at}, batch)[0] for term in terms),
            params[name],
            direction,
        )
        assert_allclose(np.sum(added * direction), slope, rtol=1e-5)
    for name in ("b1", "b2"):
        assert_array_equal(grads[name], plain[name])


@pytest.mark.parametrize("lam", [-0.1, np.nan, np.inf])
@pytest.mark.parametrize("term", [lambda lam: L1({"W1": lam}), lambda lam: Nuclear({"W1": lam}), Joint, MarginBound])
def test_a_lambda_must_make_sense(term, lam):
    with pytest.raises(UsageError, match="must be finite and at least 0"):
        term(float(lam))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_divergence_with_a_nuclear_norm_is_no_crash(small, dtype):
    with pytest.raises(NumericalError, match="the loss is"), np.errstate(all="ignore"):
        list(start(small, optimizer=SGD(1e20), terms=(Nuclear({"W1": 1e20}),), dtype=dtype))


def test_divergence_names_epoch_batch_and_seed(small):
    with pytest.raises(NumericalError, match=r"epoch 1, batch [1-4], seed 7: the loss is"):
        list(start(small, optimizer=SGD(1e12), seed=7))


def test_nan_names_epoch_batch_and_seed(small):
    params = NETWORK.init(NUMPY)
    params["W3"][0, 0] = np.nan
    with pytest.raises(NumericalError, match="epoch 1, batch 1, seed 3: the loss is nan"):
        list(train(step_of(params, SGD(0.1)), NETWORK, on(NUMPY, small), Schedule(1, 64, seed=3)))


def test_a_last_step_that_diverges_is_seen_in_the_test_loss(small):
    with pytest.raises(NumericalError, match="epoch 1, after batch 1, seed 0"):
        next(start(small, optimizer=SGD(1e9), batch_size=200))


@pytest.mark.parametrize("optimizer", [Adam(0.01), Proximal(SGD(0.01), (L1({"W2": 0.1}),))], ids=["adam", "proximal"])
@pytest.mark.parametrize(
    "objective",
    [
        CrossEntropy(NETWORK),
        Regularized(
            AdversarialInputs(CrossEntropy(NETWORK), NETWORK, PGD(steps=2, clip=(0.0, 1.0)), fraction=0.5),
            (L1({"W1": 0.01}), Nuclear({"W1": 0.02}), Joint(0.1), MarginBound(0.1)),
        ),
        AdversarialWeights(CrossEntropy(NETWORK), 0.01),
    ],
    ids=["natural", "attacked and regularized", "adversarial weights"],
)
def test_a_step_makes_no_sync(small, objective, optimizer):
    arrays, params = on(FAKE, small), NETWORK.init(FAKE)
    step = Step(objective, optimizer, params, optimizer.init(params))
    index = FAKE.asarray(np.arange(64))
    fakecupy.SYNCS.clear()
    step(arrays.batch(index, FAKE.dtype("float32")))
    assert fakecupy.SYNCS == []


def test_an_epoch_syncs_once(small):
    records = start(small, backend=FAKE, epochs=2)
    fakecupy.SYNCS.clear()
    next(records)
    assert fakecupy.SYNCS == ["get"]


def test_an_attack_makes_no_sync(small):
    params, y = NETWORK.init(FAKE), FAKE.asarray(small.test.labels, "int64")
    x = scale(FAKE.asarray(small.test.images), FAKE.dtype("float32"))
    fakecupy.SYNCS.clear()
    gradient = loss_gradient(NETWORK, params, y)
    fgsm(gradient, x, eps=0.1, clip=(0.0, 1.0))
    pgd(gradient, x, eps=0.1, step_size=0.01, steps=3)
    attack = PGD(steps=3, random_start=True, restarts=2)
    attack.perturb(NETWORK.gradients(params), x, y, attack.starts())
    gnm(margin_gradients(NETWORK, params, y), x, eps=0.1, clip=(0.0, 1.0))
    assert fakecupy.SYNCS == []


def test_training_runs_on_every_backend_and_agrees(small, be):
    record = list(start(small, backend=be.backend, optimizer=SGD(0.05), dtype=be.dtype))[-1]
    expected = list(start(small, optimizer=SGD(0.05), dtype="float64"))[-1]
    assert_allclose(record.loss, expected.loss, rtol=1e-4 if be.dtype == "float32" else 1e-9)
    assert_allclose(be.host(record.params["W1"]), expected.params["W1"], atol=100 * be.tolerance)


def test_the_fake_device_gives_numpys_bits(small):
    expected, record = (list(start(small, backend, SGD(0.1), epochs=2))[-1] for backend in (NUMPY, FAKE))
    assert record.line() == expected.line()
    for name, p in expected.params.items():
        assert_array_equal(record.params[name].get(), p)


@dataclass(frozen=True)
class Twice(Regularizer):
    """2 for every batch, with a note of its size."""

    seen: list = field(default_factory=list)

    def value_and_grad(self, params, batch):
        self.seen.append(len(batch.y))
        return np.array(2.0), {}


class TwiceOfData(Twice):
    of_weights = False


@pytest.mark.parametrize(("kind", "examples"), [(Twice, 1), (TwiceOfData, 1500)])
def test_a_term_of_the_weights_is_evaluated_once_and_one_of_the_data_on_all(rng, kind, examples):
    images, labels, term = rng.integers(0, 256, (1500, 10, 10), np.uint8), rng.integers(0, 10, 1500), kind()
    assert value_on(term, NETWORK.init(NUMPY), images, labels) == pytest.approx(2)
    assert sum(term.seen) == examples
    assert len(term.seen) == 1 or kind is TwiceOfData


@pytest.mark.parametrize(
    ("losses", "test_loss", "where"),
    [
        ([1.0, 2.0, 4.0], 3.0, None),
        ([1000.0, 1000.0, 1000.0], 1000.0, None),
        ([1000.5, 2.0, 4.0], 3.0, "batch 1, seed 7: the loss is 1000.5"),
        ([1.0, 2.0, 1000.5], 3.0, "batch 3, seed 7: the loss is 1000.5"),
        ([1.0, 2.0, 4.0], 1000.5, "after batch 3, seed 7: the loss is 1000.5"),
        ([1.0, math.inf, 4.0], 3.0, "batch 2, seed 7: the loss is inf"),
    ],
)
def test_the_log_of_an_epoch(losses, test_loss, where):
    """Batches of 4, 4 and 2; a loss above 1,000 nats is a run that is lost."""
    found = {"losses": losses, "test_loss": test_loss, "correct": 3, "terms": {}, "layers": []}
    if where:
        with pytest.raises(NumericalError, match=f"^training failed at epoch 2, {where};"):
            epoch_log(2, found, slices(10, 4), 5, 7, ({}, {}))
        return
    log = epoch_log(2, found, slices(10, 4), 5, 7, ({"W1": np.ones(2)}, {"v.W1": np.ones(2)}))
    assert log.loss == pytest.approx((4 * losses[0] + 4 * losses[1] + 2 * losses[2]) / 10)
    assert (log.epoch, log.test_loss, log.accuracy) == (2, test_loss, 0.6)
    expected = f"EpochLog(epoch=2, loss={log.loss}, test_loss={test_loss}, accuracy=0.6, terms={{}}, attacks=None)"
    assert repr(log) == expected  # no arrays
    assert log in {log}
    assert log != replace(log)


@pytest.mark.parametrize(("fraction", "n"), [(1.0, 10), (0.3, 3), (0.31, 4), (1e-9, 1)])
def test_the_first_part_of_a_batch_is_attacked_with_the_starts_of_the_step_and_the_rest_is_clean(rng, fraction, n):
    attack, at = PGD(eps=0.1, steps=2, random_start=True), NETWORK.gradients(NETWORK.init(NUMPY))
    batch = Batch(rng.uniform(size=(10, 100)).astype("f4"), rng.integers(0, 10, 10), step=3)
    found = AdversarialInputs(CrossEntropy(NETWORK), NETWORK, attack, fraction).perturb(at.params, batch)
    assert_array_equal(found[:n], attack.perturb(at, batch.x[:n], batch.y[:n], attack.starts(3)))
    assert_array_equal(found[n:], batch.x[n:])
    assert (found[:n] != batch.x[:n]).any(axis=1).all()


@pytest.mark.parametrize("fraction", [0.0, -0.1, 1.1, math.nan])
def test_a_fraction_of_a_batch_must_make_sense(fraction):
    assert AdversarialInputs(CrossEntropy(NETWORK), NETWORK, PGD()).fraction == 1
    with pytest.raises(UsageError, match=f"above 0 and at most 1, got {fraction}"):
        AdversarialInputs(CrossEntropy(NETWORK), NETWORK, PGD(), fraction)


def test_the_value_of_a_term_is_its_mean_over_all_examples_whatever_the_chunks(rng):
    images, labels = rng.integers(0, 256, (1500, 10, 10), np.uint8), rng.integers(0, 10, 1500)
    params, term = NETWORK.init(NUMPY, 0, "float64"), MarginBound(1e-3, 0.1, 0.001)
    whole = term.value_and_grad(params, Batch(scale(images, np.float64), labels))[0]
    assert_allclose(value_on(term, params, images, labels), whole, rtol=1e-12)
