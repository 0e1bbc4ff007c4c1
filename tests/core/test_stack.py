"""Stacks: each model of a stack is trained as it is alone, to rounding, whatever the method."""

from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from backends import FAKE, NUMPY
from numpy.testing import assert_allclose

from refimpl import SGD, Adam, NumericalError, UsageError
from refimpl.attacks import FGSM, GNM, PGD
from refimpl.backend import to_host
from refimpl.data import Dataset, Split, on
from refimpl.low_rank import LowRank, LowRankSGD
from refimpl.networks import CNN, FCNN
from refimpl.optimizers import Proximal
from refimpl.parameters import stacked
from refimpl.regularizers import L1, Batch, Joint, MarginBound, Nuclear, OperatorNorms, RankMax, RankMin, SpectralNorm
from refimpl.regularizers.stacked import stacked_term
from refimpl.training import AdversarialInputs, AdversarialWeights, CrossEntropy, Regularized, Schedule, Step, train
from refimpl.training.stack import StackedInputs, stacked_step, train_stack

NETWORK = FCNN((12, 6, 5, 3))


@pytest.fixture
def data(rng) -> Dataset:
    def split(n):
        labels = rng.integers(0, 3, n).astype(np.uint8)
        return Split((rng.integers(0, 128, (n, 3, 4)) + 40 * labels[:, None, None]).astype(np.uint8), labels)

    return Dataset("small", split(50), split(30), {}, "made here")


def objective(attack=None, weights=0.0, fraction=1.0):
    found = CrossEntropy(NETWORK)
    if weights:
        found = AdversarialWeights(found, weights)
    return AdversarialInputs(found, NETWORK, attack, fraction) if attack else found


def alone(seed, objective, terms, optimizer, backend=NUMPY, dtype="float64"):
    params = NETWORK.init(backend, seed, dtype)
    return Step(Regularized(objective, terms) if terms else objective, optimizer, params, optimizer.init(params))


METHODS = {
    "natural": [(objective(), ())] * 3,
    "fgsm": [(objective(FGSM(eps=0.05)), ())] * 3,
    "pgd-half-clean": [(objective(PGD(eps=0.05, steps=3, clip=(0.0, 1.0)), fraction=0.5), ())] * 3,
    "pgd-other-seeds": [(objective(PGD(eps=0.05, steps=3, seed=seed)), ()) for seed in range(3)],
    "pgd-random-start": [(objective(PGD(eps=0.05, steps=3, random_start=True, seed=seed)), ()) for seed in range(3)],
    "gnm": [(objective(GNM(eps=0.05)), ())] * 3,
    "weights": [(objective(weights=0.01), ())] * 3,
    "both": [(objective(FGSM(eps=0.05), weights=0.01), ())] * 3,
    "l1": [(objective(), terms) for terms in ((L1({"W1": 0.1}),), (), (L1({"W1": 0.01, "W3": 0.2}),))],
    "nuclear": [(objective(), terms) for terms in ((Nuclear({"W1": 0.1}),), (Nuclear({"W2": 0.3}),), ())],
    "l1-nuclear": [(objective(), (L1({"W1": lam}), Nuclear({"W1": 2 * lam}))) for lam in (0.001, 0.01, 0.1)],
    "joint": [(objective(), (Joint(lam=lam),)) for lam in (0.001, 0.01, 0.1)],
    "l1-joint-pgd": [
        (objective(PGD(eps=0.02, steps=2)), (L1({"W1": lam}), Joint(lam=lam))) for lam in (0.01, 0.1, 0.0)
    ],
    "margin-bound": [(objective(), (MarginBound(lam=lam, eps=0.01),)) for lam in (0.01, 0.02, 0.03)],
    "operator-norms": [(objective(), (OperatorNorms(mu=mu),)) for mu in (0.01, 0.02, 0.03)],
    "rank": [(objective(), terms) for terms in ((RankMin(0.1),), (RankMax(0.1), SpectralNorm(0.1, 0.5)), ())],
}


@pytest.mark.parametrize("seeds", [(0, 0, 0), (0, 1, 2)], ids=["one-seed", "own-seeds"])
@pytest.mark.parametrize("method", METHODS)
def test_each_model_is_trained_as_it_is_alone(data, method, seeds):
    optimizers = [SGD(0.1), Adam(0.01), SGD(0.05, momentum=0.9)]
    optimizer = optimizers[list(METHODS).index(method) % 3]
    check(
        data,
        [alone(seed, *made, optimizer=optimizer) for seed, made in zip(seeds, METHODS[method], strict=True)],
        seeds,
    )


def test_a_stack_of_one_is_that_model(data):
    check(data, [alone(1, *METHODS["l1-joint-pgd"][0], optimizer=SGD(0.1))], (1,))


def test_some_models_may_share_their_seed_and_not_others(data):
    check(data, [alone(seed, *METHODS["natural"][0], optimizer=SGD(0.1)) for seed in (0, 0, 1)], (0, 0, 1))


@pytest.mark.parametrize(
    "terms",
    [
        (L1({"W1": 0.1}), None, L1({"W1": 0.3, "W3": 0.2})),
        (None, Nuclear({"W2": 0.5})),
        (Joint(0.1), None, Joint(0.2)),
        (MarginBound(0.1), MarginBound(0.2, 0.1, 0.01)),
        (RankMin(0.1),),
    ],
)
def test_the_terms_of_a_stack_are_those_of_each_model(rng, terms):
    models = [NETWORK.init(NUMPY, seed, "float64") for seed in range(len(terms))]
    batch = Batch(rng.uniform(size=(len(terms), 4, 12)), rng.integers(0, 3, (len(terms), 4)))
    value, grads = stacked_term(terms, stacked(models)).value_and_grad(stacked(models), batch)
    for m, term in enumerate(terms):
        of_model = Batch(batch.x[m], batch.y[m])
        expected, theirs = term.value_and_grad(models[m], of_model) if term else (0.0, {})
        assert_allclose(value[m], expected, rtol=1e-12)
        assert theirs.keys() <= grads.keys()
        for name, gradient in grads.items():
            assert_allclose(gradient[m], theirs.get(name, 0 * models[m][name]), rtol=1e-12)


@dataclass
class Watched(Step):
    seen: list = field(default_factory=list)

    def __call__(self, batch):
        self.seen.append(batch)
        return super().__call__(batch)


def test_a_stack_is_stepped_as_a_model_is_and_a_shared_batch_is_there_once(data):
    made = []

    def watch(step):
        made.append(Watched(**vars(step)))
        return made[-1]

    steps = [alone(seed, objective(), (), SGD(0.1)) for seed in range(3)]
    list(train_stack(steps, NETWORK, on(NUMPY, data), [Schedule(2, 16, 0)] * 3, [()] * 3, watch))
    (step,) = made  # none was set aside
    assert [(batch.step, batch.new_epoch) for batch in step.seen] == [(t, t in (1, 5)) for t in range(1, 9)]
    for batch in step.seen:
        assert batch.x.shape == (3, batch.y.shape[1], 12)
        assert batch.x.strides[0] == batch.y.strides[0] == 0


@pytest.mark.parametrize(
    ("attacks", "axes"),
    [
        ((FGSM(eps=0.1), FGSM(eps=0.1)), [3]),
        ((PGD(eps=0.1, seed=1), PGD(eps=0.1, seed=2)), [3]),
        ((PGD(eps=0.1, random_start=True), PGD(eps=0.1, random_start=True)), [2, 2]),
        ((FGSM(eps=0.1), FGSM(eps=0.2)), [2, 2]),
        ((FGSM(eps=0.1), PGD(eps=0.1)), [2, 2]),
    ],
)
def test_models_are_attacked_at_once_where_their_attacks_are_alike(monkeypatch, rng, attacks, axes):
    seen = []
    for kind in (FGSM, PGD):
        original = kind.perturb
        monkeypatch.setattr(
            kind,
            "perturb",
            lambda self, target, x, *rest, original=original: seen.append(x.ndim) or original(self, target, x, *rest),
        )
    models = [NETWORK.init(NUMPY, seed) for seed in range(2)]
    batch = Batch(rng.uniform(size=(2, 4, 12)).astype("f4"), rng.integers(0, 3, (2, 4)))
    found = StackedInputs(CrossEntropy(NETWORK), NETWORK, attacks, 0.5).perturb(stacked(models), batch)
    assert seen == axes
    for m, (model, attack) in enumerate(zip(models, attacks, strict=True)):
        alone = AdversarialInputs(CrossEntropy(NETWORK), NETWORK, attack, 0.5)
        assert_allclose(found[m], alone.perturb(model, Batch(batch.x[m], batch.y[m])), rtol=1e-6)


def check(data, steps, seeds, accelerate=lambda step: step, tolerance=1e-9):
    """Logs and parameters of three epochs are those of each model by itself."""
    schedules = [Schedule(3, 16, seed) for seed in seeds]
    terms = [getattr(step.objective, "terms", ()) for step in steps]
    epochs = list(train_stack(steps, NETWORK, on(NUMPY, data), schedules, terms, accelerate))
    for m, (step, schedule) in enumerate(zip(steps, schedules, strict=True)):
        single = train(replace(step), NETWORK, on(NUMPY, data), schedule, terms[m])
        for log, expected in zip((epoch[m] for epoch in epochs), single, strict=True):
            for name, p in expected.params.items():
                assert_allclose(log.params[name], p, rtol=tolerance, atol=tolerance)
            assert log.state.keys() == expected.state.keys()
            assert log.epoch == expected.epoch
            assert log.accuracy == expected.accuracy
            assert_allclose([log.loss, log.test_loss], [expected.loss, expected.test_loss], rtol=tolerance)
            assert log.terms == pytest.approx(expected.terms, rel=tolerance)
            for layer, other in zip(log.layers, expected.layers, strict=True):
                assert layer["name"] == other["name"]
                assert layer["effective_rank"] == pytest.approx(other["effective_rank"], rel=tolerance)
                assert layer["effective_sparsity"] == pytest.approx(other["effective_sparsity"], rel=tolerance)


def test_proximal_steps_are_those_of_each_model(data):
    terms = [(L1({"W1": 0.05}),), (), (Nuclear({"W2": 0.1}),)]
    check(data, [alone(0, objective(), (), Proximal(SGD(0.1), t)) for t in terms], (0, 0, 0))


def test_a_model_that_diverges_is_set_aside_and_the_others_go_on(data):
    terms = [(L1({"W1": 0.1}),), (L1({"W3": 1e5}),), (L1({"W1": 0.2}),)]
    steps = [alone(0, objective(), t, SGD(1.0), dtype="float32") for t in terms]
    schedules = [Schedule(3, 16, 0)] * 3
    epochs = list(train_stack(steps, NETWORK, on(NUMPY, data), schedules, terms))
    assert isinstance(epochs[0][1], NumericalError)
    assert "epoch 1, after batch 4" in str(epochs[0][1]) or "epoch 1, batch" in str(epochs[0][1])
    assert [set(epoch) for epoch in epochs] == [{0, 1, 2}, {0, 2}, {0, 2}]
    for m in (0, 2):
        last = list(train(replace(steps[m]), NETWORK, on(NUMPY, data), schedules[m], terms[m]))[-1]
        for name, p in last.params.items():
            assert_allclose(epochs[-1][m].params[name], p, rtol=1e-4, atol=1e-5)


def test_a_stack_of_diverged_models_ends(data):
    steps = [alone(0, objective(), (L1({"W3": 1e5}),), SGD(1.0), dtype="float32")] * 2
    assert len(list(train_stack(steps, NETWORK, on(NUMPY, data), [Schedule(3, 16, 0)] * 2, [()] * 2))) == 1


def test_a_stack_continues_to_the_same_bits(data):
    made = METHODS["l1-nuclear"]
    steps = [alone(0, *one, optimizer=Adam(0.01), dtype="float32") for one in made]
    terms = [one[1] for one in made]
    whole = list(train_stack(steps, NETWORK, on(NUMPY, data), [Schedule(4, 16, 0)] * 3, terms))
    half = list(train_stack(steps, NETWORK, on(NUMPY, data), [Schedule(2, 16, 0)] * 3, terms))[-1]
    going = [replace(step, params=half[m].params, state=half[m].state) for m, step in enumerate(steps)]
    rest = list(train_stack(going, NETWORK, on(NUMPY, data), [Schedule(4, 16, 0, start=2)] * 3, terms))
    for m in range(3):
        for name, p in whole[-1][m].params.items():
            assert p.tobytes() == rest[-1][m].params[name].tobytes()


@pytest.mark.parametrize("method", ["pgd-half-clean", "l1-nuclear", "joint"])
def test_it_waits_for_the_device_once_an_epoch(data, method, unchecked):
    steps = [alone(0, *one, optimizer=SGD(0.1), backend=FAKE, dtype="float32") for one in METHODS[method]]
    terms = [one[1] for one in METHODS[method]]
    epochs = train_stack(steps, NETWORK, on(FAKE, data), [Schedule(2, 16, 0)] * 3, terms)
    logs = list(epochs)
    plain = [alone(0, *one, optimizer=SGD(0.1), dtype="float32") for one in METHODS[method]]
    expected = list(train_stack(plain, NETWORK, on(NUMPY, data), [Schedule(2, 16, 0)] * 3, terms))
    for m in range(3):
        assert_allclose(to_host(logs[-1][m].params["W1"]), expected[-1][m].params["W1"], rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(
    ("others", "words"),
    [
        (alone(1, objective(), (), SGD(0.2)), "one optimizer"),
        (alone(1, objective(FGSM(eps=0.1)), (), SGD(0.1)), "one kind of objective"),
        (alone(1, objective(weights=0.1), (), SGD(0.1)), "one kind of objective"),
        (alone(1, CrossEntropy(FCNN((12, 6, 5, 4))), (), SGD(0.1)), "one network"),
        (alone(1, objective(), (), LowRankSGD(SGD(0.1), LowRank())), "takes each entry by itself: sgd or adam"),
    ],
)
def test_models_that_differ_in_more_are_refused(others, words):
    with pytest.raises(UsageError, match=words):
        stacked_step([alone(0, objective(), (), SGD(0.1)), others])


@pytest.mark.parametrize(
    ("one", "other", "words"),
    [
        (objective(FGSM()), objective(FGSM(), fraction=0.5), "one fraction, got 1.0 and others"),
        (objective(weights=0.1), objective(weights=0.2), "one radius, got 0.1 and others"),
    ],
)
def test_adversaries_that_differ_in_more_than_the_attack_are_refused(one, other, words):
    with pytest.raises(UsageError, match=words):
        stacked_step([alone(0, objective, (), SGD(0.1)) for objective in (one, other)])


def test_labels_that_the_network_does_not_have_are_refused_before_any_step(data):
    for name in ("train", "test"):
        part, seen = getattr(data, name), []
        wrong = on(NUMPY, replace(data, **{name: Split(part.images, part.labels + 1)}))
        steps = [alone(0, objective(), (), SGD(0.1))]
        training = train_stack(
            steps, NETWORK, wrong, [Schedule(1, 16, 0)], [()], lambda step, seen=seen: Watched(**vars(step), seen=seen)
        )
        with pytest.raises(UsageError, match="labels must be from 0 to 2, got 1 to 3"):
            next(training)
        assert not seen


def test_convolutional_models_are_refused():
    network = CNN(filters=(2, 2), side=12, hidden_units=3, classes=3)
    params, optimizer = network.init(NUMPY), SGD(0.1)
    one = Step(CrossEntropy(network), optimizer, params, optimizer.init(params))
    with pytest.raises(UsageError, match="stacks are of fully connected networks, not of cnn"):
        stacked_step([one, one])
