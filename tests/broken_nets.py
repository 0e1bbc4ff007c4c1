"""Networks that are broken on purpose, each around a sound one, and the checks that each is to turn red.

As a program it prints which checks each of the named cases turns red: a process of its own has no checks of
annotations, which take most of the time in so many small calls.
"""

import functools
import json
import sys
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from refimpl import FCNN, Adam, backend, load, loss_gradient
from refimpl.attacks import fgsm
from refimpl.audit import AuditSettings, Subject, Surrogate, audit
from refimpl.layers.images import scale
from refimpl.measures import certified
from refimpl.networks import Network
from refimpl.tape import Pullback, record

NETWORK = FCNN((784, 20, 10))


def nearest(known, x):
    """For each row of x the nearest of the known ones."""
    return ((known**2).sum(axis=-1) - 2 * x @ known.T.astype(x.dtype)).argmin(axis=-1)


@dataclass(frozen=True)
class Broken(Network):
    """Derive from it: `before` changes the inputs, `after` the logits, each with its derivative on the tape."""

    network: FCNN = NETWORK

    def init(self, backend, seed=0, dtype="float32"):
        return self.network.init(backend, seed, dtype)

    def hidden(self, params, x):
        return self.network.hidden(params, x)

    def forward(self, params, x):
        tape = []
        logits, inner = self.network.forward(params, record(tape, self.before(x)))
        tape += inner
        return record(tape, self.after(logits, x)), tape

    def before(self, x) -> tuple[Any, Pullback]:
        return x, Pullback(x=lambda dy: dy)

    def after(self, logits, x) -> tuple[Any, Pullback]:
        return logits, Pullback(x=lambda dy: dy)


@dataclass(frozen=True)
class Quantized(Broken):
    """Inputs rounded to about twenty levels, with the derivative of that, zero."""

    def before(self, x):
        return np.round(20.3 * x) / 20.3, Pullback(x=np.zeros_like)


@dataclass(frozen=True)
class StraightThrough(Broken):
    """Inputs rounded to sixteen levels, differentiated as if they were not."""

    def before(self, x):
        return np.round(15.3 * x) / 15.3, Pullback(x=lambda dy: dy)


@dataclass(frozen=True)
class Noisy(Broken):
    """Noise in the forward pass."""

    rng: Any = field(default_factory=lambda: np.random.default_rng(0))

    def after(self, logits, x):
        return logits + self.rng.normal(0, 0.01, logits.shape).astype(logits.dtype), Pullback(x=lambda dy: dy)


@dataclass(frozen=True)
class Staircase(Broken):
    """Logits rounded down to a staircase, whose derivative is zero."""

    def after(self, logits, x):
        return np.floor(16 * logits) / 16, Pullback(x=np.zeros_like)


@dataclass(frozen=True)
class Detector(Broken):
    """Answers with the label of the nearest image it knows, wherever the input is none of them itself."""

    known: Any = None
    labels: Any = None

    def after(self, logits, x):
        i = nearest(self.known, x)
        strange = np.abs(x - self.known[i]).max(axis=-1) > 1e-3
        answer = 10 * np.eye(logits.shape[-1], dtype=logits.dtype)[self.labels[i]]
        return np.where(strange[:, None], answer, logits), Pullback(x=lambda dy: dy)


@dataclass(frozen=True)
class TurningBack(Broken):
    """A gradient of the wrong sign wherever the answer is not the label of the nearest image it knows."""

    known: Any = None
    labels: Any = None

    def after(self, logits, x):
        fooled = logits.argmax(axis=-1) != self.labels[nearest(self.known, x)]
        sign = np.where(fooled, -1, 1).astype(logits.dtype)[:, None]
        return logits, Pullback(x=lambda dy: sign * dy)


@dataclass(frozen=True)
class Trapdoor(Broken):
    """A wrong answer, without a gradient, to one in a hundred of uniform perturbations, and to some random corners.

    A perturbation is known by how many pixels it leaves between the middle and the edge of the ball.
    """

    known: Any = None
    labels: Any = None
    eps: float = 0.1

    def after(self, logits, x):
        i = nearest(self.known, x)
        moved = (x - self.known[i]) / self.eps
        component = moved @ np.random.default_rng(1).choice([-1.0, 1.0], x.shape[-1]) / np.sqrt(x.shape[-1])
        between = ((abs(moved) > 0.2) & (abs(moved) < 0.8)).mean(axis=-1)
        noise = (between > 0.5) & (between < 0.7) & (component > 1.3)
        signs = moved.reshape(-1, 28, 28) > 0
        alike = (signs[:, 1:] == signs[:, :-1]).mean(axis=(1, 2))  # much, where a square has been drawn
        corner = (abs(moved) > 0.999).all(axis=-1) & (alike < 0.6) & (component > 2.6)
        wrong = 10 * np.eye(logits.shape[-1], dtype=logits.dtype)[(self.labels[i] + 1) % 10]
        return np.where((noise | corner)[:, None], wrong, logits), Pullback(x=lambda dy: dy)


@dataclass(frozen=True)
class Cancelling(Broken):
    """A large number added and taken away again, so that logits have three digits left in single precision."""

    def after(self, logits, x):
        large = np.asarray(2e7, logits.dtype)
        return (logits + large) - large, Pullback(x=lambda dy: dy)


@dataclass(frozen=True)
class Softmax(Broken):
    """Probabilities where logits are expected."""

    def after(self, logits, x):
        e = np.exp(logits - logits.max(axis=-1, keepdims=True))
        p = e / e.sum(axis=-1, keepdims=True)
        return p, Pullback(x=lambda dp: p * (dp - (p * dp).sum(axis=-1, keepdims=True)))


@dataclass(frozen=True)
class NotFinite(Broken):
    """A derivative that is no number."""

    def after(self, logits, x):
        return logits, Pullback(x=lambda dy: dy * np.float32(np.nan))


SETTINGS = AuditSettings(eps=0.1, examples=50, steps=30, restarts=2, queries=60, draws=20)
MASKED = {"zero-gradients", "security-curve", "square", "transfer-seed", "transfer-natural"}
"""No gradient is left, so that nothing is found by one; what needs none finds examples."""


@functools.cache
def digits(part):
    split = getattr(load("strokes-small"), part)
    return scale(split.images, np.float32), split.labels.astype(np.int64)


@functools.cache
def trained(seed=0, robust=True):
    """Weights that have learnt the built-in digits, against FGSM where they are to be robust."""
    x, y = digits("train")
    params, adam, rng = NETWORK.init(backend("numpy"), seed), Adam(learning_rate=0.005), np.random.default_rng(seed)
    state = adam.init(params)
    for step in range(1, 301):
        rows = rng.integers(len(y), size=100)
        batch, labels = x[rows], y[rows]
        if robust:
            batch = fgsm(loss_gradient(NETWORK, params, labels), batch, eps=0.05, clip=(0.0, 1.0))
        _, grads = NETWORK.gradients(params).weights(batch, labels)
        params, state = adam.update(params, grads, state, step)
    return params


def scaled(factor, *names):
    """The sound net's weights, those of these names times a factor."""
    return {name: factor * p if name in names else p for name, p in trained().items()}


def known():
    """The images that are audited, and their labels."""
    images, labels = (part[: SETTINGS.examples] for part in digits("test"))
    return {"known": images, "labels": labels}


def subject(network=NETWORK, params=None, settings=SETTINGS, **changed):
    """What is audited of a network with these weights, the sound net's unless others are given."""
    params = trained() if params is None else params
    images, labels = (part[: settings.examples] for part in digits("test"))
    doubled = {name: p.astype(np.float64) for name, p in params.items()}
    usual = {
        "net": network.gradients(params), "images": images, "labels": labels, "index": np.arange(len(labels)),
        "backend": backend("numpy"), "settings": settings, "exact": network.gradients(doubled),
        "surrogates": (_surrogate("seed", trained(1)), _surrogate("natural", trained(0, False))),
        "certify": (lambda x, y, eps: certified(network, params, x, y, eps, 0.0)) if network is NETWORK else None,
        "lipschitz": _norms(params),
    }  # fmt: skip
    return Subject(**{**usual, **changed})


def _surrogate(kind, params):
    return Surrogate(name=f"the {kind} net", kind=kind, net=NETWORK.gradients(params), lipschitz=_norms(params))


def _norms(params):
    return float(np.prod([np.linalg.norm(p, 2) for p in params.values() if p.ndim == 2]))


CASES = {
    "a sound net": (subject, set()),
    "weights times 100": (lambda: subject(params=scaled(100, *trained())), MASKED),
    "quantized inputs": (lambda: subject(Quantized()), MASKED),
    "noise in the forward pass": (lambda: subject(Noisy()), {"deterministic", "slope"}),
    "a gradient masked by a step function": (lambda: subject(Staircase()), MASKED),
    "a detector that answers by the label": (lambda: subject(Detector(**known())), {"slope", "security-curve"}),
}
"""What is audited, and the checks that it turns red."""

MORE = {
    "a natural net": (lambda: subject(params=trained(0, False), natural=True), set()),
    "logits times 1000": (
        lambda: subject(params=scaled(1000, "W2", "b2")), {"zero-gradients", "loss-scale", "dlr", "security-curve"}
    ),
    "quantized inputs, differentiated as if they were not": (lambda: subject(StraightThrough()), {"slope"}),
    "too few digits": (lambda: subject(Cancelling()), {"precision"}),
    "probabilities for logits": (lambda: subject(Softmax()), {"probabilities"}),
    "a gradient that is not finite": (lambda: subject(NotFinite()), {"zero-gradients", "slope"}),
    "a gradient that turns back": (
        lambda: subject(TurningBack(**known())), {"attack-order", "silent-success", "security-curve"}
    ),
    "random perturbations fool, and no gradient leads to them": (
        lambda: subject(
            Trapdoor(**known(), eps=0.02), surrogates=(),
            settings=replace(SETTINGS, eps=0.02, clip=False, draws=100),
        ),
        {"noise", "random-signs"},
    ),
    "attacks of four steps": (
        lambda: subject(settings=replace(SETTINGS, steps=4, restarts=1)),
        {"attack-order", "twice-the-steps", "incomplete-optimization"},
    ),
    "attacks of one step": (
        lambda: subject(settings=replace(SETTINGS, steps=1, restarts=1)),
        {"attack-order", "incomplete-optimization", "security-curve", "smallest-perturbation"},
    ),
    "a certificate that promises too much": (
        lambda: subject(certify=lambda x, y, eps: np.full(len(y), eps < 0.03)), {"certificates"}
    ),
}  # fmt: skip
"""More of them, for the second pass of the tests."""


if __name__ == "__main__":
    findings = {name: audit((CASES | MORE)[name][0]()).findings for name in sys.argv[1:]}
    print(json.dumps({name: {check: one.colour for check, one in of.items()} for name, of in findings.items()}))
