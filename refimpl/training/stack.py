"""Many models in one step: parameters, optimizer state and losses have the models along a first axis.

Primitives, objectives and optimizers are those of one model, for they leave leading axes alone. What is here gives each
model of a stack its own adversary, its own order of the examples and its own log of an epoch.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any, TypeVar

import numpy as np
from jaxtyping import Float, Int

from ..attacks.base import InputAttack
from ..backend import Array, Params, fetch, like, namespace
from ..errors import NumericalError, UsageError
from ..measures.per_layer import measure_weights
from ..networks import FCNN, Network
from ..optimizers import Optimizer, Proximal, State, Updates
from ..parameters import for_models, n_classes, of_model, stacked
from ..regularizers.base import Batch, Regularizer, in_order
from ..regularizers.stacked import stacked_term
from ..rng import stream
from ..validation import check_labels
from .adversarial import AdversarialInputs, AdversarialWeights
from .loop import EpochLog, Examples, Schedule, epoch_log, score, slices, value_on
from .objective import CrossEntropy, Objective, Regularized
from .step import Step

Kind = TypeVar("Kind", bound=Objective)


@dataclass(frozen=True)
class StackedCrossEntropy(CrossEntropy):
    """`CrossEntropy` of each model of a stack."""


@dataclass(frozen=True)
class StackedInputs:
    """`AdversarialInputs` of each model of a stack, with an attack for each: at once where they are alike."""

    objective: Objective
    network: Network
    attacks: tuple[InputAttack, ...]
    fraction: float

    def value_and_grad(self, params: Params, batch: Batch) -> tuple[Float[Array, "models"], Params]:
        return self.objective.value_and_grad(params, batch._replace(x=self.perturb(params, batch)))

    def perturb(self, params: Params, batch: Batch) -> Float[Array, "models batch n"]:
        """As `AdversarialInputs.perturb`."""
        n = math.ceil(self.fraction * batch.y.shape[-1])
        x, y = batch.x[:, :n, :], batch.y[:, :n]
        if all(attack.in_stacks and _alike(attack, self.attacks[0]) for attack in self.attacks):
            x_adv = self.attacks[0].perturb(self.network.gradients(params), x, y)
        else:
            x_adv = namespace(x).stack(
                [
                    attack.perturb(
                        self.network.gradients(of_model(params, m)), x[m, ...], y[m, ...], attack.starts(batch.step)
                    )
                    for m, attack in enumerate(self.attacks)
                ]
            )
        return x_adv if n == batch.y.shape[-1] else namespace(x).concat([x_adv, batch.x[:, n:, :]], axis=1)


def stacked_step(steps: Sequence[Step], params: Params | None = None, state: State | None = None) -> Step:
    """The steps of several models as one, from their own parameters and state unless a stack of these is given.

    The models share network, optimizer and adversary, and differ in seeds and regularizers. Raises `UsageError` where
    they differ in more.
    """
    _equal("optimizer", [_plain(step.optimizer) for step in steps])
    params = stacked([step.params for step in steps]) if params is None else params
    state = stacked([step.state for step in steps]) if state is None else state
    plain = _plain(steps[0].optimizer)
    proximal = [step.optimizer.terms if isinstance(step.optimizer, Proximal) else () for step in steps]
    optimizer: Updates = StackedProximal(plain, tuple(proximal)) if any(proximal) else plain
    return Step(_stacked([step.objective for step in steps], params), optimizer, params, state)


def _plain(optimizer: Updates) -> Optimizer:
    """Without proximal steps. Raises `UsageError` for an optimizer that needs the shapes of one model."""
    plain = optimizer.optimizer if isinstance(optimizer, Proximal) else optimizer
    if not (isinstance(plain, Optimizer) and plain.elementwise):
        raise UsageError("models in a stack need an optimizer that takes each entry by itself: sgd or adam")
    return plain


def _stacked(objectives: Sequence[Objective], params: Params) -> Objective:
    """Objectives of one composition, but for the terms of `Regularized`, as one."""
    if any(isinstance(one, Regularized) for one in objectives):
        return _regularized(objectives, params)
    first = objectives[0]
    if isinstance(first, AdversarialInputs):
        attacked = _alike_in(objectives, AdversarialInputs, "fraction")
        inner = _stacked([one.objective for one in attacked], params)
        return StackedInputs(inner, first.network, tuple(one.attack for one in attacked), first.fraction)
    if isinstance(first, AdversarialWeights):
        perturbed = _alike_in(objectives, AdversarialWeights, "radius")
        return AdversarialWeights(_stacked([one.objective for one in perturbed], params), first.radius)
    networks = [one.network for one in _alike_in(objectives, CrossEntropy, "network")]
    if type(networks[0]) is not FCNN:
        raise UsageError(f"stacks are of fully connected networks, not of {networks[0].name}")
    return StackedCrossEntropy(networks[0])


def _regularized(objectives: Sequence[Objective], params: Params) -> Regularized:
    """A model that is not `Regularized` has no terms."""
    inner = [one.objective if isinstance(one, Regularized) else one for one in objectives]
    named: list[dict[str, Any]] = [
        {term.name: term for term in one.terms if isinstance(term, Regularizer)} if isinstance(one, Regularized) else {}
        for one in objectives
    ]
    names = in_order(dict.fromkeys(name for terms in named for name in terms))
    terms = tuple(stacked_term([terms.get(name) for terms in named], params) for name in names)
    return Regularized(_stacked(inner, params), terms)


def _alike_in(objectives: Sequence[Objective], kind: type[Kind], name: str) -> list[Kind]:
    """The objectives, which must be of one kind with one value of the field `name`."""
    found = [one for one in objectives if type(one) is kind]
    if len(found) < len(objectives):
        raise UsageError(f"models in a stack must have one kind of objective, {kind.__name__}")
    _equal(name, [getattr(one, name) for one in found])
    return found


def _equal(what: str, several: Sequence[Any]) -> None:
    if any(one != several[0] for one in several):
        raise UsageError(f"models in a stack must have one {what}, got {several[0]} and others")


@dataclass(frozen=True)
class StackedProximal:
    """`Proximal` with terms for each model."""

    optimizer: Optimizer
    terms: tuple[tuple[Regularizer, ...], ...]

    @property
    def elementwise(self) -> bool:
        return self.optimizer.elementwise

    def init(self, params: Params) -> State:
        return self.optimizer.init(params)

    def update(self, params: Params, grads: Params, state: State, t: int) -> tuple[Params, State]:
        params, state = self.optimizer.update(params, grads, state, t)
        models = [of_model(params, m) for m in range(len(self.terms))]
        for m, terms in enumerate(self.terms):
            for term in terms:
                models[m] |= term.prox(models[m], self.optimizer.learning_rate)
        return stacked(models), state


def _alike(attack: InputAttack, other: InputAttack) -> bool:
    """Whether two attacks that draw no random numbers do the same: a seed does not count."""
    names = [one.name for one in fields(attack) if one.name != "seed"]
    return type(attack) is type(other) and all(getattr(attack, name) == getattr(other, name) for name in names)


def train_stack(
    steps: Sequence[Step],
    network: Network,
    data: Examples,
    schedules: Sequence[Schedule],
    terms: Sequence[Sequence[Regularizer]],
    accelerate: Callable[[Step], Step] = lambda step: step,
) -> Iterator[dict[int, EpochLog | NumericalError]]:
    """`loop.train` for all models of a stack: after each epoch a log for each model that is left.

    A model whose loss is NaN or above `DIVERGED` has a `NumericalError` in place of its log and is set aside; the
    others go on. `steps`, as for `stacked_step`, `schedules`, which differ in their seeds alone, and `terms` have an
    item for each model; models of one seed share their batches. `accelerate` may put a faster step in place of that of
    the stack. Raises `UsageError` as `train` and `stacked_step` do.
    """
    left, first = list(range(len(schedules))), schedules[0]
    step = accelerate(stacked_step(steps))
    for labels, images in ((data.train_labels, data.train_images), (data.test_labels, data.test_images)):
        check_labels(labels, images.shape[:1], n_classes(step.params))
    n, dtype = data.train_labels.shape[0], step.params["b1"].dtype
    batches = slices(n, first.batch_size)
    for epoch in range(first.start + 1, first.epochs + 1):
        order = _order([schedules[m].seed for m in left], epoch, data)
        t = (epoch - 1) * len(batches)
        losses = [
            step(stacked_batch(data, order[:, part], dtype, step.params)._replace(step=t + k, new_epoch=k == 1))
            for k, part in enumerate(batches, start=1)
        ]
        params, state = step.snapshot()
        test_loss, correct = score(network, params, data.test_images, data.test_labels)
        values = [
            {one.name: value_on(one, of_model(params, i), data.test_images, data.test_labels) for one in terms[m]}
            for i, m in enumerate(left)
        ]
        found = fetch(
            {"losses": losses, "test_loss": test_loss, "correct": correct, "terms": values}
            | {"layers": measure_weights(network, params)}
        )
        logs: dict[int, EpochLog | NumericalError] = {}
        for i, m in enumerate(left):
            mine = _of_model(found, i) | {"terms": found["terms"][i]}
            try:
                at = of_model(params, i), of_model(state, i)
                logs[m] = epoch_log(epoch, mine, batches, data.test_labels.shape[0], schedules[m].seed, at)
            except NumericalError as error:
                logs[m] = error
        yield logs
        kept = [i for i, m in enumerate(left) if isinstance(logs[m], EpochLog)]
        if not kept:
            return
        if len(kept) < len(left):
            left = [left[i] for i in kept]
            params, state = ({name: _chosen(p, kept) for name, p in each.items()} for each in (params, state))
            step = accelerate(stacked_step([steps[m] for m in left], params, state))


def _chosen(p: Float[Array, "models ..."], kept: Sequence[int]) -> Float[Array, "left ..."]:
    return namespace(p).stack([p[i, ...] for i in kept])


def _order(seeds: Sequence[int], epoch: int, data: Examples) -> Int[Array, "orders train"]:
    """The order of the examples in an epoch for each model, or one for all where they have one seed."""
    n = data.train_labels.shape[0]
    orders = {seed: stream(seed, "shuffle", epoch).permutation(n) for seed in seeds}
    rows = [orders[seed] for seed in (seeds if len(orders) > 1 else seeds[:1])]
    return like(np.stack(rows), data.train_labels)


def stacked_batch(data: Examples, index: Int[Array, "orders batch"], dtype: Any, params: Params) -> Batch:
    """The examples of each model, or of all where there is one order; these are gathered once, without a copy."""
    orders, size = index.shape
    batch = data.batch(namespace(index).reshape(index, (-1,)), dtype)
    if orders == 1:
        return batch._replace(x=for_models(batch.x, params), y=for_models(batch.y, params))
    xp = namespace(batch.x)
    return batch._replace(x=xp.reshape(batch.x, (orders, size, -1)), y=xp.reshape(batch.y, (orders, size)))


def _of_model(found: Any, i: int) -> Any:
    """What an epoch found, with the numbers of one model in place of those of all."""
    if isinstance(found, dict):
        return {name: _of_model(value, i) for name, value in found.items() if name != "terms"}
    if isinstance(found, list):
        return [_of_model(value, i) for value in found]
    return float(found[i]) if isinstance(found, np.ndarray) else found
