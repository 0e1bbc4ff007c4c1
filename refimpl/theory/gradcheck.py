"""Every derivative written by hand, against difference quotients, and against autograd where it is installed."""

import importlib
import importlib.util
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from ..attacks import fgsm, pgd
from ..attacks.ball import length
from ..attacks.lora_pgd import Factors, factor_gradients, perturbed
from ..backend import Array, Backend, Params, like, namespace
from ..fast.dense import one_hot
from ..fast.passes import workspace
from ..layers.activations import leaky_relu, relu, tanh
from ..layers.convolution import col2im, conv2d, im2col, pad
from ..layers.dense import affine
from ..layers.loss import cross_entropy, margins
from ..layers.pooling import max_pool
from ..low_rank.network import factorised, is_low_rank
from ..networks import fcnn
from ..networks.architectures import CNN, lenet5
from ..networks.base import Network
from ..networks.gradients import loss_gradient, margin_gradients
from ..regularizers.joint import joint
from ..regularizers.l1 import l1
from ..regularizers.margin_bound import mean_reach
from ..regularizers.nuclear import nuclear
from ..regularizers.operator_norms import row_column
from ..tape import Pullback, gradients, input_gradient

Arguments = tuple[Array, ...]

STEP = 1e-6


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
    oracle = (
        importlib.import_module(".autograd_reference", __package__) if importlib.util.find_spec("autograd") else None
    )
    rows = []
    for one in derivatives(backend, rng):
        dy = _draw(backend, rng, *one.value(*one.arguments).shape)
        ours = one.pull(dy)
        rows.append(
            Comparison(one.name, one.location, "difference quotient", _by_quotient(one, dy, ours, rng), one.tolerance)
        )
        if oracle and one.by_autograd and backend.name == "numpy":
            theirs = oracle.vjp(one.value, one.arguments, dy)
            error = max(_apart(a, b) for a, b in zip(ours, theirs, strict=True))
            rows.append(Comparison(one.name, one.location, "autograd", error, 1e-9))
    return rows


def _by_quotient(one: Derivative, dy: Array, ours: Arguments, rng: np.random.Generator) -> float:
    """The largest error of <gradient, d> over the arguments, for a random direction d of each."""
    xp, errors = namespace(dy), []
    for i, (x, gradient) in enumerate(zip(one.arguments, ours, strict=True)):
        direction = like(rng.normal(size=x.shape), x)

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
    def draw(*shape: int) -> Array:
        return _draw(backend, rng, *shape)

    def classes(n: int, batch: int) -> Array:
        return backend.asarray(rng.integers(0, n, batch), "int64")

    x, image, W, y = draw(4, 5), draw(2, 3, 6, 6), draw(3, 5), classes(5, 4)
    yield _primitive("affine", "Eq. (1)", affine, x, W, draw(3))
    yield _primitive("tanh", "Eq. (1)", tanh, x)
    yield _primitive("cross-entropy", "Section 2", lambda z: cross_entropy(z, y), x)
    yield _primitive("margins", "GNM", lambda z: margins(z, y), x)
    yield Derivative("im2col", "Appendix B", (image,), lambda x: im2col(x, 3), lambda dy: (col2im(dy, 3, (3, 6, 6)),))
    yield _primitive("conv2d", "Appendix B", conv2d, image, draw(4, 3, 3, 3), draw(4))
    yield _primitive("max-pool", "Section 5", max_pool, image)
    yield _primitive("pad", "Section 5", lambda x: pad(x, 1), image)
    yield _primitive("relu", "Section 5", relu, x)
    yield _primitive("leaky relu", "LeNet-5", leaky_relu, x)
    yield _norm("l1 norm", "Eq. (5)", l1, W)
    yield _norm("nuclear norm", "Eq. (6)", nuclear, W)
    stack = (draw(4, 5), draw(3, 4), draw(2, 3))
    yield Derivative(
        "joint term", "Eq. (7)", stack, lambda *Ws: joint(Ws)[0], lambda dy: tuple(dy * G for G in joint(stack)[1])
    )
    yield _on_the_sphere(draw(4, 60), Factors(draw(4, 2, 5, 3), draw(4, 2, 3, 6)))
    dense = {
        f"{kind}{i}": draw(*shape)
        for i, n, m in ((1, 6, 5), (2, 5, 4), (3, 4, 3))
        for kind, shape in (("W", (m, n)), ("b", (m,)))
    }
    shapes = {"W1": (4, 1, 3, 3), "b1": (4,), "W2": (5, 4, 3, 3), "b2": (5,), "W3": (6, 5), "b3": (6,), "W4": (3, 6)}
    convolutional = {name: 0.3 * draw(*shape) for name, shape in (shapes | {"b4": (3,)}).items()}
    yield from _of_the_bound(dense, draw(4, 6), classes(3, 4))
    for name, network, params, inputs in (
        ("fully connected net", fcnn, dense, draw(4, 6)),
        ("convolutional net, relu", CNN("valid"), convolutional, draw(4, 100)),
        ("convolutional net, tanh", CNN("valid", "tanh"), convolutional, draw(4, 100)),
        ("fully connected net in factors", fcnn, factorised(dense, 0.2), draw(4, 6)),
        ("convolutional net in factors", CNN(), factorised(convolutional, 0.5), draw(4, 100)),
        ("LeNet-5's passes, 3 x 3 filters", lenet5(), convolutional, draw(4, 100)),
    ):
        yield from _of_a_net(name, network, params, inputs, classes(3, 4))


def _on_the_sphere(x: Array, at: Factors) -> Derivative:
    """A low-rank perturbation by its factors: product, normalization, cut."""
    eps, clip = 0.5, (-0.5, 0.5)
    scale = eps / namespace(x).reshape(length(namespace(x).reshape(at.product(), x.shape)), (-1, 1, 1, 1))
    return Derivative(
        "low-rank perturbation", "low-rank PGD", (at.U, at.V),
        lambda U, V: perturbed(x, Factors(U, V), eps, clip)[0],
        lambda dy: tuple(scale * g for g in factor_gradients(lambda ahead: dy, x, at, eps, clip)),
    )  # fmt: skip


def _of_a_net(name: str, network: Network, params: Params, x: Array, y: Array) -> Iterator[Derivative]:
    """The passes by the tape, those that training and attacks use, and the first step of each attack."""
    xp, names = namespace(x), list(params)

    def logits(x: Array, *values: Array) -> Array:
        return network.forward(dict(zip(names, values, strict=True)), x)[0]

    def tape(dz: Array) -> Arguments:
        _, played = network.forward(params, x)
        found = gradients(played, dz)
        return (input_gradient(played, dz), *(found[name] for name in names))

    def loss(x: Array) -> Array:
        return cross_entropy(network.forward(params, x)[0], y)[0] * x.shape[0]

    def all_margins(x: Array) -> Array:
        return margins(network.forward(params, x)[0], y)[0]

    slope, of_margins = loss_gradient(network, params, y), margin_gradients(network, params, y)
    yield Derivative(name, "Eq. (1), Section 5", (x, *params.values()), logits, tape)
    yield Derivative(f"{name}: loss by input", "FGSM, PGD", (x,), loss, lambda dy: (dy * slope(x),))
    yield Derivative(f"{name}: margins by input", "GNM", (x,), all_margins,
                     lambda dy: (xp.sum(dy[..., None] * of_margins(x)[1], axis=1),))  # fmt: skip
    if isinstance(x, np.ndarray) and not is_low_rank(params):
        yield _training_step(name, network, params, x, y)
    yield _rises(f"{name}: FGSM raises the loss by eps |g|_1", loss, slope, x, fgsm(slope, x, eps=0.05))
    one_step = pgd(slope, x, eps=0.05, step_size=0.05, steps=1)
    yield _rises(f"{name}: a step of PGD does, too", loss, slope, x, one_step)


def _of_the_bound(params: Params, x: Array, y: Array) -> Iterator[Derivative]:
    """By the parameters; one layer has no radius. Not by autograd, which has no devices and wants x boxed, too."""
    location, radii = "ours, arXiv 2102.11935", {"W1": 0.01, "W3": 0.02}

    def value(*values: Array) -> Array:
        return mean_reach(dict(zip(params, values, strict=True)), x, y, 0.1, radii)[0]

    def pull(dy: Array) -> Arguments:
        return tuple(dy * gradient for gradient in mean_reach(params, x, y, 0.1, radii)[1].values())

    yield Derivative("margins' reach", location, tuple(params.values()), value, pull, by_autograd=False)
    W = params["W1"]
    yield replace(_norm("row and column sums", location, row_column, W), by_autograd=False)


def _training_step(name: str, network: Network, params: Params, x: Array, y: Array) -> Derivative:
    """What `fused_step` descends by; it has no tape for autograd to follow."""
    passes, t = workspace(network, params, x), one_hot(y, params)

    def value(*values: Array) -> Array:
        return cross_entropy(network.forward(dict(zip(params, values, strict=True)), x)[0], y)[0]

    def pull(dy: Array) -> Arguments:
        grads = {name: np.empty_like(p) for name, p in params.items()}
        passes.descend(x, t, grads)
        return tuple(dy * gradient for gradient in grads.values())

    return Derivative(f"{name}: training step", "Section 5", tuple(params.values()), value, pull, by_autograd=False)


def _rises(
    name: str, loss: Callable[[Array], Array], slope: Callable[[Array], Array], x: Array, moved: Array
) -> Derivative:
    """Along an attack's step of 0.05 the loss rises by 0.05 times the dual norm of its gradient, to first order."""
    xp = namespace(x)
    rise = 0.05 * xp.sum(xp.abs(slope(x)))
    start = xp.zeros_like(x[0, :1])
    return Derivative(
        name, "Section 3", (start,), lambda t: loss(x + t * (moved - x)), lambda dy: (dy * rise + start,),
        by_autograd=False,
    )  # fmt: skip
