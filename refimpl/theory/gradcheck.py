"""Every derivative written by hand, against difference quotients, and against autograd where it is installed."""

import importlib
import importlib.util
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..attacks import fgsm, pgd
from ..attacks.ball import length
from ..attacks.lora_pgd import factor_gradients, perturbed
from ..attacks.low_rank import LowRankPerturbation
from ..backend import Array, Backend, Params, like, namespace
from ..layers.activations import leaky_relu, relu, tanh
from ..layers.convolution import col2im, conv2d, im2col, pad
from ..layers.dense import affine
from ..layers.loss import cross_entropy, margins
from ..layers.pooling import max_pool
from ..low_rank.network import LowRankNetwork, factorised
from ..networks import CNN, FCNN, LeNet5, Network, loss_gradient, margin_gradients
from ..regularizers import (
    L1,
    Batch,
    Conditioning,
    Joint,
    MarginBound,
    Nuclear,
    OperatorNorms,
    RankMin,
    Regularizer,
    SpectralNorm,
    conditioning,
    joint,
    l1,
    mean_margin_bound,
    nuclear,
    row_and_column_sums,
    spectral_norm,
)
from ..regularizers.rank_min import rank
from ..tape import Pullback, gradients, input_gradient
from ..training import CrossEntropy, Objective, Regularized

Arguments = tuple[Array, ...]

STEP = 1e-6

SMALL: dict[str, Any] = {"filters": (4, 5), "kernel": 3, "hidden_units": 6, "side": 10, "classes": 3}


@dataclass(frozen=True)
class Derivative:
    """A function of arrays, and its pullback at `arguments`: dy -> the gradients of <dy, value> by all of them.

    `tolerance` bounds the error relative to the gradient; autograd is asked where it can differentiate `value`.
    """

    name: str
    location: str
    arguments: Arguments
    value: Callable[..., Array]
    pull: Callable[[Array], Arguments]
    tolerance: float = 1e-6
    by_autograd: bool = True


@dataclass(frozen=True)
class Comparison:
    name: str
    location: str
    against: str
    relative_error: float
    tolerance: float

    @property
    def as_expected(self) -> bool:
        return self.relative_error <= self.tolerance  # false for nan


def compare(backend: Backend, seed: int = 0) -> list[Comparison]:
    """A row for each derivative and each thing it is held against, in float64, at a random point.

    Autograd, where it is installed, differentiates our own forward pass; it knows NumPy only.
    """
    rng = np.random.default_rng(seed)
    autograd = (
        importlib.import_module(".autograd_reference", __package__) if importlib.util.find_spec("autograd") else None
    )
    rows = []
    for one in derivatives(backend, rng):
        dy = _draw(backend, rng, *one.value(*one.arguments).shape)
        ours = one.pull(dy)
        rows.append(
            Comparison(one.name, one.location, "difference quotient", _by_quotient(one, dy, ours, rng), one.tolerance)
        )
        if autograd and one.by_autograd and backend.name == "numpy":
            theirs = autograd.vjp(one.value, one.arguments, dy)
            error = max(_apart(a, b) for a, b in zip(ours, theirs, strict=True))
            rows.append(Comparison(one.name, one.location, "autograd", error, 1e-9))
    return rows


def _by_quotient(one: Derivative, dy: Array, ours: Arguments, rng: np.random.Generator) -> float:
    """The largest error of <gradient, d> over the arguments, for d of random signs, never short."""
    xp, errors = namespace(dy), []
    for i, (x, gradient) in enumerate(zip(one.arguments, ours, strict=True)):
        direction = like(rng.choice([-1.0, 1.0], x.shape), x)

        def at(t: float, i: int = i, direction: Array = direction) -> float:
            moved = [a + t * direction if j == i else a for j, a in enumerate(one.arguments)]
            return float(xp.sum(dy * one.value(*moved)))

        quotient = (at(STEP) - at(-STEP)) / (2 * STEP)
        size = float(xp.sqrt(xp.sum(gradient * gradient) * xp.sum(direction * direction)))
        errors.append(abs(float(xp.sum(gradient * direction)) - quotient) / (size or 1.0))
    return max(errors)


def _apart(a: Array, b: Array) -> float:
    xp = namespace(a)
    return float(xp.max(xp.abs(a - b))) / (float(xp.max(xp.abs(b))) or 1.0)


def _draw(backend: Backend, rng: np.random.Generator, *shape: int) -> Array:
    return backend.asarray(rng.normal(size=shape))


def _primitive(name: str, location: str, f: Callable[..., tuple[Array, Pullback]], *arguments: Array) -> Derivative:
    _, pull = f(*arguments)
    return Derivative(name, location, arguments, lambda *a: f(*a)[0], lambda dy: (pull.x(dy), *pull.params(dy)))


def _norm(name: str, location: str, f: Callable[[Array], tuple[Array, Array]], W: Array) -> Derivative:
    return Derivative(name, location, (W,), lambda W: f(W)[0], lambda dy: (dy * f(W)[1],))


def derivatives(backend: Backend, rng: np.random.Generator) -> Iterator[Derivative]:
    """Everything that is differentiated by hand, each at a random point."""

    def draw(*shape: int) -> Array:
        return _draw(backend, rng, *shape)

    def classes(n: int, batch: int) -> Array:
        return backend.asarray(rng.integers(0, n, batch), "int64")

    x, W = draw(4, 5), draw(3, 5)
    yield from _layers(x, draw(2, 3, 6, 6), (W, draw(3)), (draw(4, 3, 3, 3), draw(4)), classes(5, 4))
    yield _norm("l1 norm", "Eq. (5)", l1, W)
    yield _norm("nuclear norm", "Eq. (6)", nuclear, W)
    yield _norm("effective rank", "Eq. (3)", rank, W)
    yield _norm("spectral norm", "RankMax", spectral_norm, W)
    yield _norm("conditioning", "RobustDLRT", conditioning, W)
    stack = (draw(4, 5), draw(3, 4), draw(2, 3))
    yield Derivative(
        "joint term", "Eq. (7)", stack, lambda *Ws: joint(Ws)[0], lambda dy: tuple(dy * G for G in joint(stack)[1])
    )
    yield _on_the_sphere(draw(4, 60), LowRankPerturbation(draw(4, 2, 5, 3), draw(4, 2, 3, 6)))
    fcnn, cnn, lenet5, relu_cnn = FCNN((6, 5, 4, 3)), CNN(**SMALL), LeNet5(**SMALL), CNN(activation="relu", **SMALL)
    dense = {name: draw(*p.shape) for name, p in fcnn.init(backend).items()}
    filters = {name: 0.3 * draw(*p.shape) for name, p in cnn.init(backend).items()}
    rows, images, y = draw(4, 6), draw(4, 100), classes(3, 4)
    yield from _of_the_bound(dense, rows, y)
    for name, network, params, inputs in (
        ("fully connected net", fcnn, dense, rows),
        ("convolutional net, relu", relu_cnn, filters, images),
        ("convolutional net, tanh", cnn, filters, images),
        ("fully connected net in factors", LowRankNetwork(fcnn, 0.2), factorised(dense, 0.2), rows),
        ("convolutional net in factors", LowRankNetwork(cnn, 0.5), factorised(filters, 0.5), images),
        ("LeNet-5's passes, 3 x 3 filters", lenet5, filters, images),
    ):
        yield from _of_a_net(name, network, params, inputs, y)
    by_layer = {"W1": 0.3, "W2": 0.7}
    of_weights = (
        L1(by_layer), Nuclear(by_layer), OperatorNorms(0.2), RankMin(0.3), SpectralNorm(0.4, 0.5), Conditioning(0.6)
    )  # fmt: skip
    for name, network, params, inputs, terms in (
        ("fully connected net", fcnn, dense, rows, (*of_weights, Joint(0.1), MarginBound(0.5, 0.05, 0.02))),
        ("convolutional net", cnn, filters, images, of_weights),
    ):
        objective, batch = Regularized(CrossEntropy(network), terms), Batch(inputs, y)
        yield _training(f"{name}: regularized loss", objective, network, params, batch, terms)


def _layers(
    x: Array, image: Array, dense: tuple[Array, Array], filters: tuple[Array, Array], y: Array
) -> Iterator[Derivative]:
    """The primitives of `layers`."""
    yield _primitive("affine", "Eq. (1)", affine, x, *dense)
    yield _primitive("tanh", "Eq. (1)", tanh, x)
    yield _primitive("cross-entropy", "Section 2", lambda z: cross_entropy(z, y), x)
    yield _primitive("margins", "GNM", lambda z: margins(z, y), x)
    yield Derivative("im2col", "Appendix B", (image,), lambda x: im2col(x, 3), lambda dy: (col2im(dy, 3, (3, 6, 6)),))
    yield _primitive("conv2d", "Appendix B", conv2d, image, *filters)
    yield _primitive("max-pool", "Section 5", max_pool, image)
    yield _primitive("pad", "Section 5", lambda x: pad(x, 1), image)
    yield _primitive("relu", "Section 5", relu, x)
    yield _primitive("leaky relu", "LeNet-5", leaky_relu, x)


def _on_the_sphere(x: Array, at: LowRankPerturbation) -> Derivative:
    """A low-rank perturbation by its factors: product, normalization, cut."""
    eps, clip = 0.5, (-0.5, 0.5)
    scale = eps / namespace(x).reshape(length(namespace(x).reshape(at.product(), x.shape)), (-1, 1, 1, 1))
    return Derivative(
        "low-rank perturbation", "low-rank PGD", (at.U, at.V),
        lambda U, V: perturbed(x, LowRankPerturbation(U, V), eps, clip)[0],
        lambda dy: tuple(scale * g for g in factor_gradients(lambda ahead: dy, x, at, eps, clip)),
    )  # fmt: skip


def _of_a_net(name: str, network: Network, params: Params, x: Array, y: Array) -> Iterator[Derivative]:
    """The passes by the tape, those that training and attacks use, and the first step of each attack."""
    xp, names = namespace(x), list(params)

    def logits(x: Array, *values: Array) -> Array:
        return network.forward(dict(zip(names, values, strict=True)), x)[0]

    def by_the_tape(dz: Array) -> Arguments:
        _, tape = network.forward(params, x)
        found = gradients(tape, dz)
        return (input_gradient(tape, dz), *(found[name] for name in names))

    def loss(x: Array) -> Array:
        return cross_entropy(network.forward(params, x)[0], y)[0] * x.shape[0]

    def all_margins(x: Array) -> Array:
        return margins(network.forward(params, x)[0], y)[0]

    by_input, of_margins = loss_gradient(network, params, y), margin_gradients(network, params, y)
    yield Derivative(name, "Eq. (1), Section 5", (x, *params.values()), logits, by_the_tape)
    yield Derivative(f"{name}: loss by input", "FGSM, PGD", (x,), loss, lambda dy: (dy * by_input(x),))
    yield Derivative(f"{name}: margins by input", "GNM", (x,), all_margins,
                     lambda dy: (xp.sum(dy[..., None] * of_margins(x)[1], axis=1),))  # fmt: skip
    twin = _accelerated(CrossEntropy(network), x)
    if twin is not None:
        yield _training(f"{name}: training step", twin, network, params, Batch(x, y))
    yield _rises(f"{name}: FGSM raises the loss by eps |g|_1", loss, by_input, x, fgsm(by_input, x, eps=0.05))
    one_step = pgd(by_input, x, eps=0.05, step_size=0.05, steps=1)
    yield _rises(f"{name}: a step of PGD does, too", loss, by_input, x, one_step)


def _of_the_bound(params: Params, x: Array, y: Array) -> Iterator[Derivative]:
    """By the parameters; one layer has no radius. Not by autograd, which has no devices and wants x boxed, too."""
    location, radii = "ours, arXiv 2102.11935", {"W1": 0.01, "W3": 0.02}

    def value(*values: Array) -> Array:
        return mean_margin_bound(dict(zip(params, values, strict=True)), x, y, 0.1, radii)[0]

    def pull(dy: Array) -> Arguments:
        return tuple(dy * gradient for gradient in mean_margin_bound(params, x, y, 0.1, radii)[1].values())

    yield Derivative("margin bound", location, tuple(params.values()), value, pull, by_autograd=False)
    yield replace(_norm("row and column sums", location, row_and_column_sums, params["W1"]), by_autograd=False)


def _training(
    name: str, objective: Objective, network: Network, params: Params, batch: Batch, terms: tuple[Regularizer, ...] = ()
) -> Derivative:
    """The gradient that a step descends along, against the mean cross-entropy and the `terms`."""

    def value(*values: Array) -> Array:
        at = dict(zip(params, values, strict=True))
        loss, _ = cross_entropy(network.forward(at, batch.x)[0], batch.y)
        return loss + sum(term.value_and_grad(at, batch)[0] for term in terms)

    def pull(dy: Array) -> Arguments:
        grads = objective.value_and_grad(params, batch)[1]
        return tuple(dy * grads[name] for name in params)

    return Derivative(name, "Eq. (8), Section 5", tuple(params.values()), value, pull, by_autograd=False)


def _accelerated(objective: Objective, x: Array) -> Objective | None:
    """The fast twin of an objective, where there is one for these arrays."""
    if not isinstance(x, np.ndarray) or importlib.util.find_spec("refimpl.fast") is None:
        return None
    twin: Objective = importlib.import_module("refimpl.fast").accelerate(objective)
    return None if twin is objective else twin


def _rises(
    name: str, loss: Callable[[Array], Array], by_input: Callable[[Array], Array], x: Array, moved: Array
) -> Derivative:
    """Along an attack's step of 0.05 the loss rises by 0.05 times the dual norm of its gradient, to first order."""
    xp = namespace(x)
    rise = 0.05 * xp.sum(xp.abs(by_input(x)))
    start = xp.zeros_like(x[0, :1])
    return Derivative(
        name, "Section 3", (start,), lambda t: loss(x + t * (moved - x)), lambda dy: (dy * rise + start,),
        by_autograd=False,
    )  # fmt: skip
