"""The accelerated step is the readable one: float64 to 1e-12, float32 to a few roundings; and the loop around it."""

from dataclasses import dataclass, replace
from itertools import product
from typing import ClassVar

import fakecupy
import numpy as np
import pytest
from backends import FAKE, NUMPY
from numpy.testing import assert_allclose, assert_array_equal

from refimpl import SGD, Adam, NumericalError
from refimpl.attacks import FGSM, GNM, PGD
from refimpl.backend import namespace, to_host
from refimpl.data import Dataset, Split, on
from refimpl.fast import accelerate, newton_schulz
from refimpl.fast.stacked import FastStackedNuclear
from refimpl.fast.training import FastCrossEntropy, Flat, FlatOptimizer, FlatStep, GatheredExamples, views
from refimpl.layers.images import scale
from refimpl.low_rank import LowRank, LowRankNetwork, LowRankSGD
from refimpl.networks import CNN, FCNN
from refimpl.optimizers import Optimizer, Proximal
from refimpl.parameters import stacked
from refimpl.regularizers import L1, Batch, Conditioning, Joint, MarginBound, Nuclear, OperatorNorms, RankMin
from refimpl.regularizers.stacked import StackedNorm, stacked_term
from refimpl.training import (
    AdversarialInputs,
    AdversarialWeights,
    CrossEntropy,
    Examples,
    Regularized,
    Schedule,
    Step,
    train,
)
from refimpl.training.stack import StackedInputs

TOLERANCE = {"float64": 1e-12, "float32": 2e-5}
OPTIMIZERS = [SGD(0.1), SGD(0.05, 0.9), Adam(0.01)]
DENSE = FCNN((12, 5, 6, 4))
WIDE = FCNN((100, 12, 12, 12, 10))
CONVOLUTIONAL = CNN(filters=(2, 3), side=14, hidden_units=5, classes=4)


def examples(rng, network, n=50):
    shape = (14, 14) if isinstance(network, CNN) else (3, 4)
    images, labels = rng.integers(0, 256, (n, *shape), np.uint8), rng.integers(0, 4, n)
    return Examples(images, labels, images[:10], labels[:10])


def network_of(objective):
    return objective.network if isinstance(objective, CrossEntropy) else network_of(objective.objective)


def check_steps(rng, objective, optimizer, dtype="float64", tolerance=None, steps=5):
    """The same losses, parameters and states by both paths, with a short batch now and then."""
    network = network_of(objective)
    params, data = network.init(NUMPY, 2, dtype), examples(rng, network)
    readable = Step(objective, optimizer, params, optimizer.init(params))
    fast, gathered = accelerate(replace(readable)), accelerate(data)
    close = {"rtol": tolerance or TOLERANCE[dtype], "atol": tolerance or TOLERANCE[dtype]}
    losses = []
    for t in range(1, steps + 1):
        index = rng.permutation(50)[: 16 if t % 3 else 5]
        expected = readable(data.batch(index, np.dtype(dtype))._replace(step=t, new_epoch=t == 1))
        losses.append(fast(gathered.batch(index, np.dtype(dtype))._replace(step=t, new_epoch=t == 1)))
        assert_allclose(losses[-1], expected, **close)
        for ours, theirs in zip(fast.snapshot(), readable.snapshot(), strict=True):
            assert list(ours) == list(theirs)
            for name, x in ours.items():
                assert x.dtype == dtype
                assert_allclose(x, theirs[name], **close)
    assert all((p != params[name]).any() for name, p in fast.params.items())
    return losses


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=["sgd", "momentum", "adam"])
@pytest.mark.parametrize("widths", [(12, 4), (12, 7, 4), (12, 5, 6, 4)])
def test_it_is_the_readable_step(rng, dtype, optimizer, widths):
    network = FCNN(widths)
    check_steps(rng, CrossEntropy(network), optimizer, dtype, steps=7)


OF_WEIGHTS = (
    L1({"W1": 0.01, "W2": 0.02}),
    Nuclear({"W1": 0.03}),
    OperatorNorms(0.01),
    RankMin(0.02),
    Conditioning(0.01),
)
OF_DENSE = (*OF_WEIGHTS, Joint(0.001), MarginBound(0.01, 0.05, 0.002))


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("proximal", [False, True], ids=["subgradients", "proximal"])
@pytest.mark.parametrize(("network", "terms"), [(DENSE, OF_DENSE), (CONVOLUTIONAL, OF_WEIGHTS)], ids=["dense", "cnn"])
def test_it_is_the_readable_step_with_every_regularizer(rng, network, terms, proximal, dtype):
    with_prox = tuple(term for term in terms if term.has_prox)
    rest = tuple(term for term in terms if not (proximal and term.has_prox))
    optimizer = Proximal(SGD(0.1), with_prox) if proximal else SGD(0.1)
    check_steps(rng, Regularized(CrossEntropy(network), rest), optimizer, dtype)


@pytest.mark.parametrize(
    ("attack", "fraction"),
    [
        (FGSM(), 1.0),
        (PGD(eps=0.1, clip=(0.0, 1.0)), 1.0),
        (PGD(random_start=True, steps=2), 1.0),
        (FGSM(), 0.3),
        (GNM(norm="2"), 1.0),
    ],
    ids=str,
)
@pytest.mark.parametrize("network", [DENSE, CONVOLUTIONAL], ids=["dense", "cnn"])
def test_it_is_the_readable_step_under_attack(rng, network, attack, fraction):
    state = rng.bit_generator.state
    objective = AdversarialInputs(CrossEntropy(network), network, attack, fraction)
    losses = check_steps(rng, objective, SGD(0.1), tolerance=1e-10)
    rng.bit_generator.state = state
    natural = check_steps(rng, CrossEntropy(network), SGD(0.1))
    assert losses[0] > natural[0]


def composed(network, attack, radius, terms, inside):
    """Every wrapper that is asked for; the adversary of the weights inside that of the inputs, or outside of all."""
    objective = CrossEntropy(network)
    if radius and inside:
        objective = AdversarialWeights(objective, radius)
    if attack:
        objective = AdversarialInputs(objective, network, attack, fraction=0.5)
    if terms:
        objective = Regularized(objective, terms)
    return AdversarialWeights(objective, radius) if radius and not inside else objective


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("acting", ["none", "subgradients", "proximal"])
@pytest.mark.parametrize("attack", [None, PGD(steps=2)], ids=["clean", "attacked"])
@pytest.mark.parametrize(("network", "terms"), [(DENSE, OF_DENSE), (CONVOLUTIONAL, OF_WEIGHTS)], ids=["dense", "cnn"])
def test_every_composition_is_accelerated_to_the_same_step(rng, network, terms, attack, acting, momentum):
    optimizer = SGD(0.05, momentum)
    if acting == "proximal":
        optimizer = Proximal(optimizer, tuple(term for term in terms if term.has_prox))
        terms = tuple(term for term in terms if not term.has_prox)
    for radius, inside in ((0.0, True), (0.003, True), (0.003, False)):
        objective = composed(network, attack, radius, () if acting == "none" else terms, inside)
        check_steps(rng, objective, optimizer, tolerance=1e-9, steps=3)


@dataclass(frozen=True)
class Layerwise(Optimizer):
    """Steps of unit length in each layer by itself, along the mean of this gradient and the one before."""

    name: ClassVar[str] = "layerwise"

    def init(self, params):
        return {f"before.{name}": namespace(p).zeros_like(p) for name, p in params.items()}

    def update(self, params, grads, state, t):
        assert set(grads) == set(params) == {name for i in range(1, 4) for name in (f"W{i}", f"b{i}")}
        moved = {}
        for name, p in params.items():
            direction = grads[name] + state[f"before.{name}"]
            moved[name] = p - self.learning_rate * direction / namespace(p).sqrt(namespace(p).sum(direction**2))
        return moved, {f"before.{name}": g for name, g in grads.items()}


@dataclass(frozen=True)
class Keeping(Layerwise):
    """Entry by entry; its state is the very arrays that it was handed."""

    name: ClassVar[str] = "keeping"
    elementwise: ClassVar[bool] = True

    def update(self, params, grads, state, t):
        moved = {name: p - self.learning_rate * (grads[name] + state[f"before.{name}"]) for name, p in params.items()}
        return moved, {f"before.{name}": g for name, g in grads.items()}


@dataclass(frozen=True)
class Remembering(Layerwise):
    """Entry by entry; its state is the parameters that it was handed."""

    name: ClassVar[str] = "remembering"
    elementwise: ClassVar[bool] = True

    def update(self, params, grads, state, t):
        moved = {
            name: p - self.learning_rate * (grads[name] + 0.5 * (p - state[f"before.{name}"]))
            for name, p in params.items()
        }
        return moved, {f"before.{name}": p for name, p in params.items()}


@dataclass(frozen=True)
class Counting(Layerwise):
    """Entry by entry, with a number in its state that belongs to no parameter."""

    name: ClassVar[str] = "counting"
    elementwise: ClassVar[bool] = True

    def init(self, params):
        return {"steps": namespace(params["b1"]).zeros_like(params["b1"])}

    def update(self, params, grads, state, t):
        steps = state["steps"] + 1
        return {name: p - self.learning_rate / t * grads[name] for name, p in params.items()}, {"steps": steps}


@pytest.mark.parametrize("kind", [Layerwise, Keeping, Remembering, Counting])
def test_optimizers_of_others_are_handed_what_they_ask_for(rng, kind):
    """One vector only where each entry is updated by itself, and arrays that the next step leaves as they are."""
    optimizer = kind(0.1)
    check_steps(rng, CrossEntropy(DENSE), optimizer)
    params = DENSE.init(NUMPY)
    taken = accelerate(Step(CrossEntropy(DENSE), optimizer, params, optimizer.init(params)))
    assert isinstance(taken, FlatStep) == (kind in (Keeping, Remembering))


@pytest.mark.parametrize("optimizer", [SGD(0.05, 0.9), Adam(0.01), Keeping(0.1), Remembering(0.1)])
def test_an_update_in_pieces_is_the_whole_to_the_bit(rng, monkeypatch, optimizer):
    """127 numbers by 40 at a time: the last piece is shorter."""
    params, data = DENSE.init(NUMPY), accelerate(examples(rng, DENSE))
    found = []
    for piece in (40, 1000):
        monkeypatch.setattr("refimpl.fast.training.PIECE", piece)
        step = accelerate(Step(CrossEntropy(DENSE), optimizer, params, optimizer.init(params)))
        for t in range(1, 4):
            step(data.batch(np.arange(t, 10 * t), np.float32)._replace(step=t))
        found.append(step.snapshot())
    for ours, whole in zip(*found, strict=True):
        assert list(ours) == list(whole)
        for name, x in whole.items():
            assert_array_equal(ours[name], x)
            assert x.any()


@dataclass(frozen=True)
class Doubled(CrossEntropy):
    """An objective of others: twice the loss, with gradients that lie in no vector."""

    def value_and_grad(self, params, batch):
        loss, grads = super().value_and_grad(params, batch)
        return 2 * loss, {name: 2 * gradient for name, gradient in grads.items()}


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=["sgd", "momentum", "adam"])
def test_objectives_of_others_are_stepped_as_they_are(rng, optimizer):
    check_steps(rng, Doubled(DENSE), optimizer)


class Other(Nuclear): ...


class OtherRegularized(Regularized): ...


class OtherExamples(Examples): ...


class OtherStep(Step): ...


def test_what_is_derived_from_what_has_a_twin_has_none(rng):
    objective = OtherRegularized(CrossEntropy(DENSE), (Other({"W1": 0.1}), Nuclear({"W1": 0.1})))
    taken = accelerate(objective)
    assert type(taken) is OtherRegularized
    assert taken.terms[0] is objective.terms[0]
    assert taken.terms[1] is not objective.terms[1]
    data = OtherExamples(**vars(examples(rng, DENSE)))
    assert accelerate(data) is data
    step = OtherStep(objective, SGD(), DENSE.init(NUMPY), {})
    assert accelerate(step) is step


@pytest.mark.parametrize(("given", "threads"), [((), 1), ((3,), 3)], ids=["usual", "3"])
def test_every_leaf_has_the_threads_that_are_asked_for(given, threads):
    natural, network = CrossEntropy(CONVOLUTIONAL), CONVOLUTIONAL
    attacked = AdversarialInputs(natural, network, FGSM())
    stack = StackedInputs(natural, network, (FGSM(),), 1.0)
    params = network.init(NUMPY)
    assert accelerate(network, *given).threads == threads
    assert accelerate(natural, *given).threads == threads
    for objective in (Regularized(natural, ()), attacked, stack, AdversarialWeights(natural, 0.1)):
        assert accelerate(objective, *given).objective.threads == threads
        assert getattr(accelerate(objective, *given), "network", accelerate(network, threads)).threads == threads
    for optimizer in (SGD(), Layerwise()):
        step = accelerate(Step(attacked, optimizer, params, optimizer.init(params)), *given)
        taken = getattr(step.objective, "objective", None)
        assert getattr(taken, "objective", taken).threads == threads


def test_low_rank_steps_are_the_readable_ones(rng):
    network = LowRankNetwork(DENSE, 0.5)
    check_steps(rng, CrossEntropy(network), LowRankSGD(SGD(0.05, 0.3), LowRank(0.5)), tolerance=1e-9)


def test_parameters_handed_out_do_not_change_with_the_next_step(rng):
    network, data = FCNN((12, 4)), accelerate(examples(rng, DENSE))
    for optimizer in (SGD(0.1), SGD(0.1, 0.9), Adam(0.1)):
        params = network.init(NUMPY)
        step = accelerate(Step(CrossEntropy(network), optimizer, params, optimizer.init(params)))
        step(data.batch(np.arange(10), np.float32))
        handed = step.snapshot()
        copies = [{name: x.copy() for name, x in one.items()} for one in handed]
        step(data.batch(np.arange(10, 20), np.float32)._replace(step=2))
        for one, copy, after in zip(handed, copies, step.snapshot(), strict=True):
            for name, x in one.items():
                assert_array_equal(x, copy[name])
                assert (after[name] != x).any()


def test_a_step_leaves_the_parameters_it_began_with(rng):
    params, data = DENSE.init(NUMPY), accelerate(examples(rng, DENSE))
    copy = {name: p.copy() for name, p in params.items()}
    accelerate(Step(CrossEntropy(DENSE), SGD(0.1), params, {}))(data.batch(np.arange(10), np.float32))
    for name, p in params.items():
        assert_array_equal(p, copy[name])


def test_gradients_in_another_order_than_the_parameters_are_taken_by_name(rng):
    params = {"W1": rng.normal(size=(2, 3)), "b1": rng.normal(size=2)}
    grads = {"b1": rng.normal(size=2), "W1": rng.normal(size=(2, 3))}
    for kind in (dict, Flat):
        moved, _ = FlatOptimizer(SGD(0.5)).update(Flat(params), kind(grads), {}, 1)
        for name, p in params.items():
            assert_allclose(moved[name], p - 0.5 * grads[name], rtol=1e-12)


def test_the_nuclear_norm_is_carried_on_within_an_epoch_at_the_same_parameters(rng, monkeypatch):
    solved, original = [], newton_schulz.inverse_sqrt
    monkeypatch.setattr(newton_schulz, "inverse_sqrt", lambda W: solved.append(W) or original(W))
    term, batch = Nuclear({"W1": 0.5}), Batch(np.zeros((1, 9)), np.zeros(1, int))
    first, second = ({"W1": (seed + np.eye(4, 9)).astype(np.float32)} for seed in (0.0, 0.1))
    fast = accelerate(term)
    for params, new_epoch, problems in ((first, True, 1), (first, False, 1), (second, False, 2), (second, True, 3)):
        value, grads = fast.value_and_grad(params, batch._replace(new_epoch=new_epoch))
        expected, theirs = term.value_and_grad(params, batch)
        assert_allclose(value, expected, rtol=1e-6)
        assert_allclose(grads["W1"], theirs["W1"], atol=1e-6)
        assert len(solved) == problems


def test_the_nuclear_norm_of_a_stack_has_a_twin_in_single_precision():
    for term, dtype, kind in (
        (Nuclear({"W1": 0.1}), "float32", FastStackedNuclear),
        (Nuclear({"W1": 0.1}), "float64", StackedNorm),
        (L1({"W1": 0.1}), "float32", StackedNorm),
    ):
        assert type(accelerate(stacked_term((None, term), stacked([DENSE.init(NUMPY, 0, dtype)] * 2)))) is kind


def test_flat_parameters_are_views_of_one_vector(rng):
    params = {"W": rng.normal(size=(2, 3)), "b": rng.normal(size=2)}
    flat = Flat(params)
    for name, p in params.items():
        assert_array_equal(flat[name], p)
        assert_array_equal(views(flat.vector, params)[name], p)
    flat.vector[:] = 0
    assert not flat["W"].any()


def test_gathered_batches_are_the_readable_ones_to_the_bit(rng):
    data = examples(rng, CONVOLUTIONAL)
    gathered = accelerate(data)
    assert isinstance(gathered, GatheredExamples)
    for size, dtype in product((16, 5, 16), (np.float32, np.float64)):
        index = rng.permutation(50)[:size]
        for ours, theirs in zip(accelerate(data).batch(index, dtype), data.batch(index, dtype), strict=True):
            assert_array_equal(ours, theirs)
        assert gathered.batch(index, np.float32).x is gathered.batch(index, np.float32).x
    assert_array_equal(data.batch(index, np.float32).x, scale(data.train_images[index], np.float32))


@pytest.fixture
def small(rng) -> Dataset:
    """Ten blurred patterns: 200 examples to train on, 100 to test on."""
    patterns = rng.integers(0, 256, (10, 10, 10))

    def split(n):
        labels = rng.integers(0, 10, n).astype(np.uint8)
        noise = rng.integers(0, 256, (n, 10, 10))
        return Split(((patterns[labels] + noise) // 2).astype(np.uint8), labels)

    return Dataset("small", split(200), split(100), {}, "made here")


def start(data, optimizer, terms=(), dtype="float32", begin=None, **schedule):
    params, state = begin or (WIDE.init(NUMPY, dtype=dtype), None)
    state = optimizer.init(params) if state is None else state
    step = accelerate(Step(Regularized(CrossEntropy(WIDE), terms), optimizer, params, state))
    schedule = Schedule(**{"epochs": 3, "batch_size": 64, "seed": 0, **schedule})
    return train(step, accelerate(WIDE), accelerate(on(NUMPY, data)), schedule, terms)


def test_it_learns(small):
    logs = list(start(small, Adam(0.02), epochs=20))
    assert [log.epoch for log in logs] == list(range(1, 21))
    assert logs[-1].loss < 0.1 * logs[0].loss
    assert logs[-1].accuracy > 0.95


def test_the_loop_logs_what_the_readable_one_does(small):
    terms = (Nuclear({"W1": 0.01}),)
    fast = list(start(small, SGD(0.05), terms, "float64"))
    objective, optimizer, params = Regularized(CrossEntropy(WIDE), terms), SGD(0.05), WIDE.init(NUMPY, 0, "float64")
    step = Step(objective, optimizer, params, {})
    readable = list(train(step, WIDE, on(NUMPY, small), Schedule(3, 64, 0), terms))
    for ours, theirs in zip(fast, readable, strict=True):
        assert_allclose([ours.loss, ours.test_loss, ours.accuracy], [theirs.loss, theirs.test_loss, theirs.accuracy])
        assert_allclose(list(ours.terms.values()), list(theirs.terms.values()))


@pytest.mark.parametrize(
    ("optimizer", "terms"),
    [(SGD(0.1, 0.9), ()), (Adam(0.01), ()), (SGD(0.01), (Nuclear({"W1": 0.01}),))],
    ids=["momentum", "adam", "nuclear"],
)
def test_it_continues_to_the_same_bits(small, optimizer, terms):
    straight = list(start(small, optimizer, terms, epochs=5))
    halfway = list(start(small, optimizer, terms, epochs=2))[-1]
    continued = list(start(small, optimizer, terms, begin=(halfway.params, halfway.state), epochs=5, start=2))
    assert [log.line() for log in continued] == [log.line() for log in straight[2:]]
    for name, p in straight[-1].params.items():
        assert_array_equal(p, continued[-1].params[name])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_divergence_with_a_nuclear_norm_is_no_crash(small, dtype):
    with pytest.raises(NumericalError, match="the loss is"), np.errstate(all="ignore"):
        list(start(small, SGD(1e20), (Nuclear({"W1": 1e20}),), dtype))


def test_proximal_steps_make_zeros_and_lower_the_rank(small):
    def trained(*terms):
        return list(start(small, Proximal(SGD(0.02), terms), epochs=12))[-1].params["W1"]

    assert (trained(L1({"W1": 0.16})) == 0).mean() > 0.3
    assert np.linalg.matrix_rank(trained(Nuclear({"W1": 1.5}))) < 12


def test_passes_and_batches_are_fast_on_numpy_alone(small):
    for backend, objective, data in ((NUMPY, FastCrossEntropy, GatheredExamples), (FAKE, CrossEntropy, Examples)):
        params = DENSE.init(backend)
        for optimizer in (*OPTIMIZERS, Proximal(SGD(), (L1({"W1": 0.1}),))):
            step = accelerate(Step(CrossEntropy(DENSE), optimizer, params, optimizer.init(params)))
            assert type(step) is FlatStep
            assert type(step.objective) is objective
        assert type(accelerate(on(backend, small))) is data


@pytest.mark.parametrize(
    ("optimizer", "most"),
    [(OPTIMIZERS[0], 4), (OPTIMIZERS[1], 8), (OPTIMIZERS[2], 20)],
    ids=["sgd", "momentum", "adam"],
)
def test_on_a_device_an_update_of_all_parameters_is_a_few_launches_and_the_same_bits(rng, optimizer, most):
    params, data = {name: FAKE.asarray(p) for name, p in DENSE.init(NUMPY).items()}, examples(rng, DENSE)
    there = Examples(*(FAKE.asarray(array) for array in vars(data).values()))
    readable = Step(CrossEntropy(DENSE), optimizer, params, optimizer.init(params))
    flat, launches = accelerate(replace(readable)), []
    for t in (1, 2, 3):
        batch = there.batch(FAKE.asarray(np.arange(10 * t)), FAKE.dtype("float32"))._replace(step=t)
        for step in (readable, flat):
            fakecupy.LAUNCHES.clear()
            step(batch)
            launches.append(len(fakecupy.LAUNCHES))
        for ours, theirs in zip(flat.snapshot(), readable.snapshot(), strict=True):
            assert list(ours) == list(theirs)
            for name, x in ours.items():
                assert_array_equal(to_host(x), to_host(theirs[name]))
    fakecupy.LAUNCHES.clear()
    readable.objective.value_and_grad(readable.params, batch)
    passes = len(fakecupy.LAUNCHES)
    assert launches[-1] - passes <= most
    assert launches[-2] - passes >= 2 * len(params)


def test_what_is_no_vector_is_left_to_the_readable_step_on_a_device():
    network = LowRankNetwork(DENSE, 0.5)
    params, optimizer = network.init(FAKE), LowRankSGD(SGD(0.1), LowRank(fraction=0.5))
    step = Step(CrossEntropy(network), optimizer, params, optimizer.init(params))
    assert accelerate(step) is step
