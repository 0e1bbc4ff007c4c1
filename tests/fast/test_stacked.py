"""The fast step of a stack is the readable one, to rounding, for every method; and each model's own."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose

from refimpl import SGD, Adam
from refimpl.attacks import FGSM, PGD
from refimpl.backend import backend
from refimpl.data import Split, load, on
from refimpl.fast import accelerate
from refimpl.networks import FCNN
from refimpl.regularizers import L1, Joint, Nuclear
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
            assert ours[m].accuracy == pytest.approx(own.accuracy, abs=0 if dtype == "float64" else 2e-3)
            for name, p in ours[m].params.items():
                assert_allclose(p, theirs[m].params[name], rtol=tolerance, atol=tolerance)
                assert_allclose(p, own.params[name], rtol=tolerance, atol=tolerance)
                assert p.dtype == np.dtype(dtype)
