"""The fast step of a stack is the readable one, to rounding, for every method; and each model's own."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose

from refimpl import SGD, Adam, UsageError
from refimpl.attacks import FGSM, PGD
from refimpl.backend import backend
from refimpl.data import Split, load, on
from refimpl.fast import accelerate, newton_schulz
from refimpl.fast.stacked import FastStackedCrossEntropy
from refimpl.networks import FCNN
from refimpl.parameters import stacked
from refimpl.regularizers import L1, Batch, Joint, Nuclear, nuclear
from refimpl.regularizers.stacked import stacked_term
from refimpl.training import AdversarialInputs, AdversarialWeights, CrossEntropy, Regularized, Schedule, Step, train
from refimpl.training.stack import train_stack

NUMPY, NETWORK = backend("numpy"), FCNN((784, 12, 8, 10))


def attacked(attack, fraction=1.0):
    return AdversarialInputs(CrossEntropy(NETWORK), NETWORK, attack, fraction)


METHODS = {
    "natural": [(CrossEntropy(NETWORK), ())] * 3,
    "fgsm": [(attacked(FGSM(eps=0.05)), ())] * 3,
    "pgd-half-clean": [(attacked(PGD(eps=0.05, steps=3), 0.5), ())] * 3,
    "pgd-random-start": [(attacked(PGD(eps=0.05, steps=2, random_start=True, seed=s)), ()) for s in range(3)],
    "weights": [(AdversarialWeights(CrossEntropy(NETWORK), 0.001), ())] * 3,
    "l1-nuclear": [(CrossEntropy(NETWORK), (L1({"W1": lam}), Nuclear({"W1": lam}))) for lam in (0.001, 0.003, 0.01)],
    "mixed": [(CrossEntropy(NETWORK), t) for t in ((), (Nuclear({"W1": 0.01, "W2": 0.1}),), (Joint(lam=0.001),))],
}


def steps_of(method, seeds, optimizer, dtype):
    steps = []
    for seed, (objective, terms) in zip(seeds, METHODS[method], strict=True):
        params = NETWORK.init(NUMPY, seed, dtype)
        whole = Regularized(objective, terms) if terms else objective
        steps.append(Step(whole, optimizer, params, optimizer.init(params)))
    return steps


@pytest.fixture(scope="module")
def data():
    whole = load("strokes-small")
    few = [Split(part.images[:n], part.labels[:n]) for part, n in ((whole.train, 90), (whole.test, 50))]
    return replace(whole, train=few[0], test=few[1])


@pytest.mark.parametrize("seeds", [(0, 0, 0), (0, 1, 2)], ids=["one-seed", "own-seeds"])
@pytest.mark.parametrize("method", METHODS)
def test_the_fast_stack_is_the_readable_one(data, method, seeds):
    optimizer = Adam(0.001) if method == "natural" else SGD(0.1, momentum=0.5 if method == "fgsm" else 0.0)
    compare(data, method, seeds, optimizer, "float64", 1e-9)


def test_it_is_in_single_precision(data):
    compare(data, "l1-nuclear", (0, 0, 0), SGD(0.1), "float32", 2e-4)


def compare(data, method, seeds, optimizer, dtype, tolerance):
    schedules = [Schedule(2, 40, seed) for seed in seeds]
    terms = [one[1] for one in METHODS[method]]
    steps = steps_of(method, seeds, optimizer, dtype)
    readable = list(train_stack(steps, NETWORK, on(NUMPY, data), schedules, terms))
    examples = accelerate(on(NUMPY, data))
    fast = list(train_stack(steps, accelerate(NETWORK), examples, schedules, terms, accelerate))
    for m in range(3):
        single = list(train(accelerate(steps[m]), accelerate(NETWORK), examples, schedules[m], terms[m]))
        for ours, theirs, own in zip(fast, readable, single, strict=True):
            assert_allclose([ours[m].loss, ours[m].test_loss], [own.loss, own.test_loss], rtol=10 * tolerance)
            assert ours[m].accuracy == pytest.approx(own.accuracy, abs=0 if dtype == "float64" else 2e-3)
            for name, p in ours[m].params.items():
                assert_allclose(p, theirs[m].params[name], rtol=tolerance, atol=tolerance)
                assert_allclose(p, own.params[name], rtol=tolerance, atol=tolerance)
                assert p.dtype == np.dtype(dtype)


@pytest.fixture
def stack(rng):
    """Three models whose biases make some logits differ by thousands; examples of their own, and shared ones."""
    models = [NETWORK.init(NUMPY, seed, "float64") for seed in range(3)]
    models[1]["b3"][:3] = (2000.0, -2000.0, 500.0)
    x, y = rng.uniform(size=(3, 5, 784)), rng.integers(0, 10, (3, 5))
    shared = np.broadcast_to(x[0], x.shape), np.broadcast_to(y[0], y.shape)
    return models, [(x, y), shared]


def test_gradients_of_a_stack_are_those_of_each_model(stack):
    models, batches = stack
    for x, y in batches:
        for n in (3, 1):
            at = accelerate(NETWORK).gradients(stacked(models[:n]))
            logits, gradient = at.logits(x[:n]), at.loss(y[:n])
            for _ in range(2):  # the arrays are used again
                found = gradient(x[:n])
                for m in range(n):
                    alone = NETWORK.gradients(models[m])
                    assert_allclose(logits[m], alone.logits(x[m]), rtol=1e-11, atol=1e-11)
                    assert_allclose(found[m], alone.loss(y[m])(x[m]), rtol=1e-9, atol=1e-12)


def test_losses_of_a_stack_and_gradients_of_its_weights_are_those_of_each_model(stack):
    models, batches = stack
    for x, y in batches:
        for n in (3, 1):
            loss, grads = FastStackedCrossEntropy().value_and_grad(stacked(models[:n]), Batch(x[:n], y[:n]))
            for m in range(n):
                expected, theirs = CrossEntropy(NETWORK).value_and_grad(models[m], Batch(x[m], y[m]))
                assert_allclose(loss[m], expected, rtol=1e-11)
                for name, gradient in theirs.items():
                    assert_allclose(grads[name][m], gradient, rtol=1e-9, atol=1e-12)


def test_a_stack_refuses_what_a_model_refuses(stack, unchecked):
    models, ((x, y), _) = stack
    params = stacked(models)
    at = accelerate(NETWORK).gradients(params)
    for use in (lambda y: at.loss(y), lambda y: FastStackedCrossEntropy().value_and_grad(params, Batch(x, y))):
        with pytest.raises(UsageError, match="labels must be from 0 to 9, got 1 to 10"):
            use(np.where(y > 4, 10, 1))
        with pytest.raises(UsageError, match="expected labels of whole numbers"):
            use(y.astype(float))
    for bad in (x[..., 1:], x.astype(np.float32), x[:, :0]):
        with pytest.raises(UsageError, match=r"expected inputs float64\(1 or more, 784\), got float"):
            at.logits(bad)


def test_the_nuclear_norm_is_carried_on_within_an_epoch_at_the_same_parameters(stack, monkeypatch):
    solved, original = [], newton_schulz.inverse_sqrt
    monkeypatch.setattr(newton_schulz, "inverse_sqrt", lambda W: solved.append(W) or original(W))
    terms = (Nuclear({"W1": 0.5}), None, Nuclear({"W1": 0.25}))
    models = [{name: p.astype("f4") for name, p in model.items()} for model in stack[0]]
    first, second = stacked(models), stacked([{name: 2 * p for name, p in model.items()} for model in models])
    batch, fast = Batch(*stack[1][0]), accelerate(stacked_term(terms, first))
    for params, new_epoch, problems in ((first, True, 2), (first, False, 2), (second, False, 4), (second, True, 6)):
        _, grads = fast.value_and_grad(params, batch._replace(new_epoch=new_epoch))
        for m, lam in enumerate((0.5, 0.0, 0.25)):
            assert_allclose(grads["W1"][m], lam * nuclear(params["W1"][m])[1], atol=1e-5)
        assert len(solved) == problems
