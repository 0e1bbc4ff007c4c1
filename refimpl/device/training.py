"""Training: an epoch of every kind of step, as the command trains, against the readable step on NumPy."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ..attacks import FGSM, PGD
from ..backend import Backend, Params
from ..data import on as data_on
from ..low_rank import LowRank, LowRankNetwork, LowRankSGD
from ..networks import CNN, FCNN, Network
from ..optimizers import SGD, Adam, Proximal, State, Updates
from ..regularizers import L1, Joint, Nuclear, Regularizer
from ..runs.fast_twins import accelerated
from ..training import (
    AdversarialInputs,
    AdversarialWeights,
    CrossEntropy,
    EpochLog,
    Objective,
    Regularized,
    Schedule,
    Step,
    train,
)
from ..training.stack import train_stack
from .check import CHECKS, NUMPY, TRAINED, compare, data, leaves, put

DENSE, CONVOLUTIONAL = FCNN(), CNN(filters=(4, 4), hidden_units=16)
FACTORS = LowRankNetwork(DENSE, 0.5)
NORMS = L1({"W1": 0.01}), Nuclear({"W1": 0.01, "W2": 0.01})
PLAIN = CrossEntropy(DENSE)
ENLARGED = 1e-5
"""By how much an epoch may differ in which signs are taken: one that flips moves a pixel, or a weight, by a step."""


@dataclass(frozen=True)
class Case:
    """What is trained, in batches of `batch_size`, and the regularizers whose values are logged."""

    objective: Objective
    optimizer: Updates
    network: Network = DENSE
    terms: tuple[Regularizer, ...] = ()
    tolerance: float = TRAINED
    batch_size: int = 64

    def first(self, dtype: str) -> tuple[Params, State]:
        """Parameters and state before the first step, on the host."""
        params = self.network.init(NUMPY, 0, dtype)
        return params, self.optimizer.init(params)

    def logs(
        self, where: Backend, epochs: int, start: EpochLog | None = None, dtype: str = "float64"
    ) -> Iterator[EpochLog]:
        """Epochs on a backend, from the beginning or from what an epoch left."""
        host = self.first(dtype) if start is None else (start.params, start.state)
        params, state = put(where, [dict(leaves(tree)) for tree in host])
        step = Step(self.objective, self.optimizer, params, state)
        schedule = Schedule(epochs, self.batch_size, seed=0, start=start.epoch if start else 0)
        ready = step if where is NUMPY else accelerated(step)
        return train(ready, self.network, data_on(where, data()), schedule, self.terms)


CASES = {
    "sgd": Case(PLAIN, SGD(0.1)),
    "momentum": Case(PLAIN, SGD(0.1, 0.9)),
    "adam": Case(PLAIN, Adam(0.01)),
    "norms": Case(Regularized(PLAIN, NORMS), SGD(0.1), terms=NORMS, tolerance=ENLARGED),
    "joint": Case(Regularized(PLAIN, (Joint(0.001),)), SGD(0.1), terms=(Joint(0.001),), tolerance=ENLARGED),
    "proximal": Case(PLAIN, Proximal(SGD(0.1), NORMS), terms=NORMS),
    "fgsm on half": Case(AdversarialInputs(PLAIN, DENSE, FGSM(), 0.5), SGD(0.1), tolerance=ENLARGED),
    "pgd": Case(
        AdversarialInputs(PLAIN, DENSE, PGD(steps=3, random_start=True, clip=(0.0, 1.0))), SGD(0.1), tolerance=ENLARGED
    ),
    "adversarial weights": Case(AdversarialWeights(PLAIN, 0.001), SGD(0.1), tolerance=ENLARGED),
    "cnn": Case(CrossEntropy(CONVOLUTIONAL), SGD(0.05), CONVOLUTIONAL),
}
LOW_RANK = {
    "clamped": LowRank(fraction=0.5),
    "momentum": LowRank(fraction=0.5),
    "mean": LowRank(fraction=0.5, mode="mean"),
    "exact": LowRank(fraction=0.5, preconditioner="exact"),
}


def _trained(case: Case, where: Backend) -> dict[str, Any]:
    *_, last = case.logs(where, 1)
    return {"log": last.line(), "params": dict(sorted(last.params.items()))}


@CHECKS.register("training")
def training(on: Backend) -> str:
    """An epoch of both nets with every kind of objective and optimizer: logs and weights; float64."""
    said = [compare(_trained(case, on), _trained(case, NUMPY), case.tolerance) for case in CASES.values()]
    return f"{len(said)} kinds of training; of the last {said[-1]}"


@CHECKS.register("low-rank training")
def low_rank(on: Backend) -> str:
    """An epoch in factors, in each mode and with each preconditioner: logs and factors; float64."""
    said = []
    for name, how in LOW_RANK.items():
        optimizer = LowRankSGD(SGD(0.05, 0.3 if name == "momentum" else 0.0), how)
        case = Case(CrossEntropy(FACTORS), optimizer, FACTORS, tolerance=1e-6)
        said.append(compare(_trained(case, on), _trained(case, NUMPY), case.tolerance))
    return f"{len(said)} kinds of training; of the last {said[-1]}"


@CHECKS.register("stacks")
def stacks(on: Backend) -> str:
    """An epoch of a stack of nets with seeds, norms and adversaries of their own, against each net alone; float64."""
    for name in ("sgd", "norms", "pgd", "adversarial weights"):
        case = CASES[name]
        alone = [_of_seed(case, seed) for seed in (0, 1, 2)]
        together = _stack(case, on, (0, 1, 2))
        said = compare(together, alone, case.tolerance)
    shared = _stack(CASES["sgd"], on, (0, 0))
    compare(shared, [_of_seed(CASES["sgd"], 0)] * 2, TRAINED)
    return said


def _of_seed(case: Case, seed: int) -> dict[str, Any]:
    params = case.network.init(NUMPY, seed, "float64")
    step = Step(case.objective, case.optimizer, params, case.optimizer.init(params))
    *_, last = train(step, case.network, data_on(NUMPY, data()), Schedule(1, case.batch_size, seed), case.terms)
    return {"log": last.line(), "params": dict(sorted(last.params.items()))}


def _stack(case: Case, where: Backend, seeds: tuple[int, ...]) -> list[dict[str, Any]]:
    steps = []
    for seed in seeds:
        params = put(where, case.network.init(NUMPY, seed, "float64"))
        steps.append(Step(case.objective, case.optimizer, params, case.optimizer.init(params)))
    schedules = [Schedule(1, case.batch_size, seed) for seed in seeds]
    terms = [case.terms for _ in seeds]
    (logs,) = train_stack(steps, case.network, data_on(where, data()), schedules, terms, accelerated)
    found = []
    for m in range(len(seeds)):
        log = logs[m]
        if isinstance(log, Exception):
            raise log
        found.append({"log": log.line(), "params": dict(sorted(log.params.items()))})
    return found
