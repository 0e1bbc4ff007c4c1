"""The loop: it learns, it repeats, it continues, it stops on nonsense, and it waits for the device once an epoch."""

import fakecupy
import numpy as np
import pytest
from backends import FAKE, NUMPY
from numpy.testing import assert_allclose, assert_array_equal
from refimpl.fast.step import FusedStep
from refimpl.regularizers.penalty import NO_PENALTY, Penalty

from refimpl import Attack, NumericalError, UsageError, adam, effective_rank, effective_sparsity, sgd
from refimpl.backend import to_host
from refimpl.data import Dataset, Split
from refimpl.networks import fcnn
from refimpl.networks.gradients import loss_gradient
from refimpl.theory import autograd_reference as oracle
from refimpl.training.adversarial import Adversary
from refimpl.training.loop import examples, make_step, score, train
from refimpl.training.step import Step


@pytest.fixture
def small(rng) -> Dataset:
    """Ten blurred patterns: 200 examples to train on, 100 to test on."""
    patterns = rng.integers(0, 256, (10, 28, 28))

    def split(n):
        labels = rng.integers(0, 10, n).astype(np.uint8)
        noise = rng.integers(0, 256, (n, 28, 28))
        return Split(((patterns[labels] + noise) // 2).astype(np.uint8), labels)

    return Dataset("small", split(200), split(100), {}, "made here")


def start(data, backend=NUMPY, optimizer=None, penalty=NO_PENALTY, **options):
    optimizer = optimizer or adam(0.005)
    params = fcnn.init(backend, seed=0, dtype=options.pop("dtype", "float32"))
    arrays = examples(data, backend)
    step = make_step(fcnn, params, optimizer.init(params), optimizer, arrays.train_images, arrays.train_labels, penalty)
    return train(fcnn, step, arrays, **{"epochs": 3, "batch_size": 64, "seed": 0, **options})


def test_it_learns(small):
    records = list(start(small, epochs=40))
    assert [record.epoch for record in records] == list(range(1, 41))
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
    record = next(start(small, optimizer=sgd(1e-30), dtype="float64", batch_size=64))
    params = fcnn.init(NUMPY, dtype="float64")
    arrays = examples(small, NUMPY)
    loss, _ = score(fcnn, params, arrays.train_images, arrays.train_labels)
    assert_allclose(record.loss, loss, rtol=1e-12)


def test_every_example_is_seen_once_an_epoch_in_an_order_of_its_own(small):
    arrays, seen = examples(small, NUMPY), []

    class Recorder(Step):
        def __call__(self, index, t):
            seen.append((t, index.copy()))
            return super().__call__(index, t)

    recorder = Recorder(fcnn, fcnn.init(NUMPY), {}, sgd(0.1), arrays.train_images, arrays.train_labels)
    list(train(fcnn, recorder, arrays, epochs=2, batch_size=64, seed=0))
    assert [t for t, _ in seen] == list(range(1, 9))
    assert [len(index) for _, index in seen] == [64, 64, 64, 8] * 2
    first, second = (np.concatenate([index for _, index in seen[i : i + 4]]) for i in (0, 4))
    for order in (first, second):
        assert_array_equal(np.sort(order), np.arange(200))
    assert (first != second).any()


@pytest.mark.parametrize(
    ("optimizer", "penalty"),
    [(sgd(0.1, 0.9), Penalty()), (adam(0.01), Penalty()), (sgd(0.01), Penalty(nuclear={"W1": 0.01}))],
    ids=["momentum", "adam", "nuclear"],
)
def test_it_continues_to_the_same_bits(small, optimizer, penalty):
    straight = list(start(small, optimizer=optimizer, penalty=penalty, epochs=5))
    halfway = list(start(small, optimizer=optimizer, penalty=penalty, epochs=2))[-1]
    arrays = examples(small, NUMPY)
    step = make_step(fcnn, halfway.params, halfway.state, optimizer, arrays.train_images, arrays.train_labels, penalty)
    continued = list(train(fcnn, step, arrays, epochs=5, batch_size=64, seed=0, start=2))
    assert [record.line() for record in continued] == [record.line() for record in straight[2:]]
    for name, p in straight[-1].params.items():
        assert_array_equal(p, continued[-1].params[name])


def test_records_carry_every_layer_and_every_term_of_the_loss(small):
    arrays, penalty = examples(small, NUMPY), Penalty(l1={"W1": 0.01}, nuclear={"W1": 0.02, "W2": 0.03}, joint=0.1)
    step = make_step(fcnn, fcnn.init(NUMPY), {}, sgd(0.01), arrays.train_images, arrays.train_labels, penalty)
    (record,) = train(fcnn, step, arrays, epochs=1, batch_size=64, seed=0)
    W = [record.params[f"W{i}"] for i in range(1, 7)]
    product = W[5] @ W[4] @ W[3] @ W[2] @ W[1] @ W[0]
    expected = {
        "l1": 0.01 * np.abs(W[0]).sum(),
        "nuclear": 0.02 * np.linalg.norm(W[0], "nuc") + 0.03 * np.linalg.norm(W[1], "nuc"),
        "joint": 0.1 * np.abs(product).sum(),
    }
    assert list(record.penalties) == list(expected)
    for name, value in expected.items():
        assert_allclose(record.penalties[name], value, rtol=1e-5)
    assert [layer["name"] for layer in record.layers] == [f"W{i}" for i in range(1, 7)]
    for layer, matrix in zip(record.layers, W, strict=True):
        assert_allclose(layer["effective_rank"], effective_rank(matrix), rtol=1e-6)
        assert_allclose(layer["effective_sparsity"], effective_sparsity(matrix), rtol=1e-6)


@pytest.mark.parametrize(
    ("penalty", "measure"),
    [(Penalty(l1={"W1": 0.02}), effective_sparsity), (Penalty(nuclear={"W1": 0.5}), effective_rank)],
)
def test_a_regularizer_lowers_what_it_is_meant_to_lower(small, penalty, measure):
    def trained(penalty):
        arrays = examples(small, NUMPY)
        step = make_step(fcnn, fcnn.init(NUMPY), {}, sgd(0.02), arrays.train_images, arrays.train_labels, penalty)
        return list(train(fcnn, step, arrays, epochs=30, batch_size=64, seed=0))[-1].params["W1"]

    assert measure(trained(penalty)) < 0.9 * measure(trained(Penalty()))


@pytest.mark.parametrize("backend", [NUMPY, FAKE], ids=["numpy", "fakecupy"])
def test_proximal_steps_make_zeros_and_lower_the_rank_where_subgradients_do_not(small, backend):
    def trained(**lambdas):
        arrays = examples(small, backend)
        params = fcnn.init(backend)
        step = make_step(fcnn, params, {}, sgd(0.02), arrays.train_images, arrays.train_labels, Penalty(**lambdas))
        return to_host(list(train(fcnn, step, arrays, epochs=12, batch_size=64, seed=0))[-1].params["W1"])

    sparse = {"l1": {"W1": 0.06}}
    assert (trained(**sparse, proximal=0.02) == 0).mean() > 0.3
    assert (trained(**sparse) != 0).all()
    low_rank = {"nuclear": {"W1": 1.5}}
    assert np.linalg.matrix_rank(trained(**low_rank, proximal=0.02)) < 20
    both = trained(**sparse, **low_rank, proximal=0.02)
    assert np.abs(both).sum() < np.abs(trained(**low_rank, proximal=0.02)).sum()


def test_a_proximal_step_has_the_length_of_learning_rate_times_lambda(rng):
    params = {"W1": rng.normal(size=(4, 5)), "b1": rng.normal(size=4)}
    penalty = Penalty(l1={"W1": 0.2}, proximal=0.5)
    assert penalty.gradients(params) == []
    (name, W), *rest = penalty.shrunk(params).items()
    assert name == "W1"
    assert not rest
    assert_allclose(W, np.sign(params["W1"]) * np.maximum(np.abs(params["W1"]) - 0.1, 0), rtol=1e-12)
    assert Penalty(l1={"W1": 0.2}).shrunk(params) == {}


def test_the_gradient_of_the_penalty_is_that_of_its_terms():
    params = fcnn.init(NUMPY, widths=(9, 5, 4), dtype="float64")
    penalty = Penalty(l1={"W1": 0.5}, nuclear={"W1": 0.7, "W2": 0.9}, joint=0.3)
    for name in ("W1", "W2"):
        gradient = sum(share for layer, share in penalty.gradients(params) if layer == name)
        direction = np.random.default_rng(0).normal(size=gradient.shape)
        slope = oracle.slope(
            lambda at, name=name: sum(penalty.terms({**params, name: at}).values()), params[name], direction
        )
        assert_allclose(np.sum(gradient * direction), slope, rtol=1e-5)


@pytest.mark.parametrize("lam", [-0.1, np.nan, np.inf])
def test_a_lambda_must_make_sense(lam):
    for settings in ({"l1": {"W1": lam}}, {"nuclear": {"W1": lam}}, {"joint": lam}):
        with pytest.raises(UsageError, match="lambda"):
            Penalty(**settings)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_divergence_with_a_nuclear_norm_is_no_crash(small, dtype):
    with pytest.raises(NumericalError, match="the loss is"), np.errstate(all="ignore"):
        list(start(small, optimizer=sgd(1e20), penalty=Penalty(nuclear={"W1": 1e20}), dtype=dtype))


def test_divergence_names_epoch_batch_and_seed(small):
    with pytest.raises(NumericalError, match=r"epoch 1, batch [1-4], seed 7: the loss is"):
        list(start(small, optimizer=sgd(1e12), seed=7))


def test_nan_names_epoch_batch_and_seed(small):
    arrays = examples(small, NUMPY)
    params = fcnn.init(NUMPY)
    params["W3"][0, 0] = np.nan
    step = make_step(fcnn, params, {}, sgd(0.1), arrays.train_images, arrays.train_labels)
    with pytest.raises(NumericalError, match="epoch 1, batch 1, seed 3: the loss is nan"):
        list(train(fcnn, step, arrays, epochs=1, batch_size=64, seed=3))


def test_a_last_step_that_diverges_is_seen_in_the_test_loss(small):
    with pytest.raises(NumericalError, match="epoch 1, after batch 1, seed 0"):
        next(start(small, optimizer=sgd(1e9), batch_size=200))


def test_numpy_takes_the_fast_step_and_others_the_readable_one(small):
    for backend, kind in ((NUMPY, FusedStep), (FAKE, Step)):
        arrays = examples(small, backend)
        assert type(make_step(fcnn, fcnn.init(backend), {}, sgd(), arrays.train_images, arrays.train_labels)) is kind


def test_a_step_under_attack_and_regularized_makes_no_sync(small):
    arrays, params = examples(small, FAKE), fcnn.init(FAKE)
    penalty = Penalty(l1={"W1": 0.01}, nuclear={"W1": 0.02}, joint=0.1)
    adversary = Adversary(Attack(name="pgd", steps=2, clip=(0.0, 1.0)), share=0.5)
    step = make_step(fcnn, params, {}, sgd(), arrays.train_images, arrays.train_labels, penalty, adversary)
    index = FAKE.asarray(np.arange(64))
    fakecupy.SYNCS.clear()
    step(index, 1)
    assert fakecupy.SYNCS == []


def test_a_step_makes_no_sync(small):
    arrays = examples(small, FAKE)
    optimizer = adam(0.01)
    params = fcnn.init(FAKE)
    step = make_step(fcnn, params, optimizer.init(params), optimizer, arrays.train_images, arrays.train_labels)
    index = FAKE.asarray(np.arange(64))
    fakecupy.SYNCS.clear()
    step(index, 1)
    assert fakecupy.SYNCS == []


def test_an_epoch_syncs_once(small):
    records = start(small, backend=FAKE, epochs=2)
    fakecupy.SYNCS.clear()
    next(records)
    assert fakecupy.SYNCS == ["get"]


def test_an_attack_makes_no_sync(small):
    from refimpl.attacks import fgsm, gnm, pgd
    from refimpl.layers.images import scale
    from refimpl.networks.gradients import margin_gradients

    params, y = fcnn.init(FAKE), FAKE.asarray(small.test.labels, "int64")
    x = scale(FAKE.asarray(small.test.images), FAKE.dtype("float32"))
    fakecupy.SYNCS.clear()
    gradient = loss_gradient(fcnn, params, y)
    fgsm(gradient, x, eps=0.1, clip=(0.0, 1.0))
    pgd(gradient, x, eps=0.1, step_size=0.01, steps=3, random_start=np.random.default_rng(0))
    gnm(margin_gradients(fcnn, params, y), x, eps=0.1, clip=(0.0, 1.0))
    assert fakecupy.SYNCS == []


def test_training_runs_on_every_backend_and_agrees(small, be):
    record = list(start(small, backend=be.backend, optimizer=sgd(0.05), dtype=be.dtype))[-1]
    expected = list(start(small, optimizer=sgd(0.05), dtype="float64"))[-1]
    assert_allclose(record.loss, expected.loss, rtol=1e-4 if be.dtype == "float32" else 1e-9)
    assert_allclose(be.host(record.params["W1"]), expected.params["W1"], atol=100 * be.tolerance)


def test_the_fake_device_gives_numpys_bits(small):
    arrays = examples(small, NUMPY)
    readable = Step(fcnn, fcnn.init(NUMPY), {}, sgd(0.1), arrays.train_images, arrays.train_labels)
    expected = list(train(fcnn, readable, arrays, epochs=2, batch_size=64, seed=0))[-1]
    record = list(start(small, backend=FAKE, optimizer=sgd(0.1), epochs=2))[-1]
    assert record.line() == expected.line()
    for name, p in expected.params.items():
        assert_array_equal(record.params[name].get(), p)
