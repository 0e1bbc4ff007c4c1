"""The fast twin of what there is one of, whatever it is composed of."""

from dataclasses import replace
from functools import singledispatch
from typing import Any

import numpy as np

from ..low_rank.network import LowRankNetwork
from ..networks import CNN, FCNN, LeNet5, Network
from ..regularizers import Nuclear
from ..regularizers.stacked import StackedNorm
from ..training.adversarial import AdversarialInputs, AdversarialWeights
from ..training.loop import Examples
from ..training.objective import CrossEntropy, Regularized
from ..training.stack import StackedCrossEntropy, StackedInputs
from ..training.step import Step
from .gradients import FastNetwork
from .stacked import FastStackedCrossEntropy, FastStackedNuclear
from .training import FastCrossEntropy, FastNuclear, GatheredExamples, OwnGradients, flat_step

TWINS = (FCNN, CNN, LeNet5)
"""The networks whose passes are written twice."""


@singledispatch
def accelerate(thing: Any, threads: int = 1) -> Any:
    """The twin of a network, an objective, a step or a data set; the thing itself where there is none.

    A composition is taken apart, and its leaves replaced. `threads` may work on a batch of the convolutional net. A
    class derived from one that has a twin may compute something else, and has none.
    """
    return thing


@accelerate.register
def _network(network: Network, threads: int = 1) -> Network:
    inner = network.network if isinstance(network, LowRankNetwork) else network
    return FastNetwork(network, threads) if type(inner) in TWINS else network


@accelerate.register
def _cross_entropy(objective: CrossEntropy, threads: int = 1) -> Any:
    has_twin = type(objective) is CrossEntropy and type(objective.network) in TWINS
    return FastCrossEntropy(objective.network, threads) if has_twin else objective


@accelerate.register
def _regularized(objective: Regularized, threads: int = 1) -> Regularized:
    terms = tuple(map(accelerate, objective.terms))
    return replace(objective, objective=accelerate(objective.objective, threads), terms=terms)


@accelerate.register
def _nuclear(term: Nuclear, threads: int = 1) -> Any:
    return FastNuclear(term) if type(term) is Nuclear else term


@accelerate.register
def _stacked_cross_entropy(objective: StackedCrossEntropy, threads: int = 1) -> FastStackedCrossEntropy:
    return FastStackedCrossEntropy()


@accelerate.register
def _stacked_norm(term: StackedNorm, threads: int = 1) -> StackedNorm | FastStackedNuclear:
    single = all(lam.dtype == np.float32 for lam in term.layers.values())
    return FastStackedNuclear(term) if type(term.term) is Nuclear and single else term


@accelerate.register
def _stacked_inputs(objective: StackedInputs, threads: int = 1) -> StackedInputs:
    inner, network = accelerate(objective.objective, threads), accelerate(objective.network, threads)
    return replace(objective, objective=inner, network=network)


@accelerate.register
def _inputs(objective: AdversarialInputs, threads: int = 1) -> AdversarialInputs:
    inner, network = accelerate(objective.objective, threads), accelerate(objective.network, threads)
    return replace(objective, objective=inner, network=network)


@accelerate.register
def _weights(objective: AdversarialWeights, threads: int = 1) -> AdversarialWeights:
    return replace(objective, objective=accelerate(objective.objective, threads))


@accelerate.register
def _step(step: Step, threads: int = 1) -> Step:
    """The objective on NumPy, the nuclear norm's twin in single precision; parameters in one vector on any backend."""
    if type(step) is not Step:
        return step
    if not all(isinstance(p, np.ndarray) for p in step.params.values()):
        return flat_step(step) or step
    fast = replace(step, objective=accelerate(step.objective, threads))
    return flat_step(fast) or replace(fast, objective=OwnGradients(fast.objective))


@accelerate.register
def _examples(data: Examples, threads: int = 1) -> Examples:
    has_twin = type(data) is Examples and isinstance(data.train_images, np.ndarray)
    return GatheredExamples(*vars(data).values()) if has_twin else data
