"""What is promised of a device: the same bits each time, no wait in a step, memory that does not grow."""

from collections.abc import Callable
from typing import Any

import numpy as np

from ..attacks import FGSM, GNM, PGD
from ..backend import Backend
from ..data import on as data_on
from ..errors import NumericalError
from ..layers.images import scale
from ..low_rank import LowRank, LowRankSGD
from ..measures.per_layer import measure_weights
from ..optimizers import SGD, Adam
from ..regularizers import Batch
from ..runs.fast_twins import accelerated
from ..training import AdversarialInputs, CrossEntropy, EpochLog, Step, score
from .check import CHECKS, NUMPY, data, leaves, pixels, put
from .training import CASES, DENSE, FACTORS, Case

REPEATED = {
    "fcnn, norms, adam": Case(CASES["norms"].objective, Adam(0.01), terms=CASES["norms"].terms),
    "fcnn, pgd": Case(AdversarialInputs(CASES["sgd"].objective, DENSE, PGD(steps=3, random_start=True)), SGD(0.1, 0.9)),
    "cnn": CASES["cnn"],
    "fcnn in factors": Case(CrossEntropy(FACTORS), LowRankSGD(SGD(0.05, 0.3), LowRank(fraction=0.5)), FACTORS),
}


@CHECKS.register("the same bits")
def bits(on: Backend) -> str:
    """Two epochs, twice, and stopped after the first and continued: the same logs, weights and state; float32."""
    for name, case in REPEATED.items():
        first, last = case.logs(on, 2, dtype="float32")
        *_, again = case.logs(on, 2, dtype="float32")
        *_, continued = case.logs(on, 2, start=first, dtype="float32")
        for what, other in (("repeated", again), ("continued", continued)):
            if _content(other) != _content(last):
                raise NumericalError(f"{name}: training that is {what} has other bits")
    return f"{len(REPEATED)} kinds of training, repeated and continued"


def _content(log: EpochLog) -> dict[str, bytes]:
    parts = {"log": log.line(), "params": log.params, "state": log.state}
    return {name: array.tobytes() for name, array in leaves(parts)}


@CHECKS.register("no wait")
def waits(on: Backend) -> str:
    """No step of training or of an attack, no score, no measure of weights waits for the device."""
    works = _works(on)
    waiting = []
    for name, work in works.items():
        work()  # kernels are compiled, and libraries loaded, before
        try:
            with on.without_waiting():
                work()
        except RuntimeError as error:
            waiting.append(f"{name} ({(str(error).splitlines() or [''])[0]})")
    if waiting:
        raise NumericalError(f"these wait for the device: {'; '.join(waiting)}")
    return f"{len(works)} kinds of work"


def _works(on: Backend) -> dict[str, Callable[[], Any]]:
    examples, y = data_on(on, data()), on.asarray(data().test.labels[:32], "int64")
    x = on.asarray(pixels(32), "float32")
    batch = Batch(scale(examples.train_images[:32, ...], x.dtype), examples.train_labels[:32])
    params = put(on, DENSE.init(NUMPY))
    target, clip = DENSE.gradients(params), (0.0, 1.0)

    def perturb(attack: Any) -> Callable[[], Any]:
        return lambda: attack.perturb(target, x, y, attack.starts())

    def step(case: Case) -> Callable[[], Any]:
        first = put(on, list(case.first("float32")))
        one = accelerated(Step(case.objective, case.optimizer, *first))
        return lambda: one(batch)

    return {
        **{f"a step, {name}": step(case) for name, case in (CASES | REPEATED).items()},
        **{f"{attack}": perturb(attack) for attack in (FGSM(clip=clip), PGD(clip=clip), GNM(clip=clip), GNM(norm="2"))},
        "PGD from random points": perturb(PGD(random_start=True, restarts=2)),
        "a score": lambda: score(DENSE, params, examples.test_images, examples.test_labels),
        "measures of weights": lambda: measure_weights(DENSE, params),
    }


@CHECKS.register("memory")
def memory(on: Backend) -> str:
    """The device holds as many bytes after the third epoch as after the second, and after the fourth."""
    if on.memory_in_use() is None:
        return "not counted on the host"
    said = []
    for name, case in REPEATED.items():
        used = []
        for log in case.logs(on, 4, dtype="float32"):
            del log
            on.synchronize()
            used.append(int(on.memory_in_use() or 0))
        if not used[1] == used[2] == used[3]:
            raise NumericalError(f"{name}: memory grows from epoch to epoch: {', '.join(map(str, used))} bytes")
        said.append(used[-1])
    return f"{len(said)} kinds of training, at most {np.max(said) / 1e6:.1f} MB held"
