"""What is audited: a net, by its logits and gradients, at examples that it classifies correctly, within a budget."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Bool, Float, Int

from ..attacks import APGD, FGSM, PGD, InputAttack
from ..attacks.base import Target
from ..attacks.verify import check, compared
from ..backend import Array, Backend, fetch, to_host
from ..errors import NumericalError
from ..settings import PIXELS, Box, Settings, setting
from .path import Path, recorded_path

WHOLE = 1.0
"""The budget at which every pixel may take every value."""
RADII = np.geomspace(1e-6, WHOLE, 97)
"""The radii at which certificates are asked for, 16 a decade."""

Certify = Callable[[Array, Array, float], Bool[Array, "batch"]]
"""Whether examples with their labels are certified at a radius."""


@dataclass(frozen=True, kw_only=True)
class AuditSettings(Settings):
    """How thorough an audit is; the defaults take about a minute for the paper's fully connected net."""

    name: ClassVar[str] = "audit"

    examples: int = setting(1000, "Test images, drawn at random; all, where there are fewer.", at_least=1)
    eps: float | None = setting(
        None, "Budget.", unit="pixels in [0, 1], l_inf norm", usual="what the run was trained against, else 0.05",
        above=0, at_most=1,
    )  # fmt: skip
    clip: bool = setting(True, "Keep adversarial pixels in [0, 1].")
    steps: int = setting(100, "Steps of PGD and APGD.", at_least=1)
    step_size: float | None = setting(None, "Length of a step of PGD.", unit="pixels", usual="eps / 10", above=0)
    restarts: int = setting(5, "Random starts of PGD and APGD.", at_least=1)
    queries: int = setting(2000, "Queries of Square for each example.", at_least=1)
    draws: int = setting(100, "Draws of noise and of random signs for each example.", at_least=1)
    seed: int = setting(0, "Seed of the examples drawn and of all random starts.", at_least=0)


@dataclass(frozen=True, kw_only=True)
class Found:
    """What an attack did to each of the n correctly classified examples; `seconds` are of the whole attack.

    `label` is that given to the adversarial example, `exact_label` the same in double precision, `distance` in the
    attack's norm. `by` names the net whose gradient was followed, or what was changed about it, where it was not just
    the audited one.
    """

    attack: InputAttack
    by: str
    label: Int[np.ndarray, "n"]
    fooled: Bool[np.ndarray, "n"]
    distance: Float[np.ndarray, "n"]
    seconds: float
    exact_label: Int[np.ndarray, "n"] | None = None

    @property
    def name(self) -> str:
        """The attack with its settings, as files have it, and whose gradient it followed."""
        return f"{self.attack} by {self.by}" if self.by else str(self.attack)

    def within(self, eps: float, clip: Box | None) -> Bool[np.ndarray, "n"]:
        """Which examples it fools by a perturbation that this budget allows; up to rounding, as `attacks.verify`."""
        if self.attack.ball != "inf" or (clip is not None and self.attack.clip is None):
            return np.zeros_like(self.fooled)
        return self.fooled & (self.distance <= eps * (1 + 1e-6) + 1e-6)


@dataclass(frozen=True, kw_only=True)
class Surrogate:
    """Another net, whose adversarial examples are tried on the audited one.

    `kind` is "seed", a net trained alike, or "natural", one trained without a defence. `lipschitz` is the product of
    the spectral norms of its layers.
    """

    name: str
    kind: str
    net: Target
    lipschitz: float | None = None


@dataclass(kw_only=True)
class Subject:
    """A net with n images, one row an image, of which those classified correctly are attacked.

    `index` says which of a test set they are. `exact` is the same net in double precision, `certify` says which
    examples are certified at a radius; None where there is none. `natural` says that the net was trained without a
    defence, `lipschitz` is the product of the spectral norms of its layers. Raises `NumericalError` where no image is
    classified correctly.
    """

    net: Target
    images: Float[Array, "n pixels"]
    labels: Int[np.ndarray, "n"]
    index: Int[np.ndarray, "n"]
    backend: Backend
    settings: AuditSettings
    exact: Target | None = None
    surrogates: tuple[Surrogate, ...] = ()
    certify: Certify | None = None
    lipschitz: float | None = None
    natural: bool = False
    attacks: dict[str, Found] = field(init=False, default_factory=dict)
    paths: dict[str, Path] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self.n = len(self.labels)
        self.right = self.classes(self.net, self.images) == self.labels
        if not self.right.any():
            raise NumericalError(f"none of the {self.n} images is classified correctly: there is nothing to attack")
        rows = self.backend.asarray(np.flatnonzero(self.right))
        self.x = self.backend.xp.take(self.images, rows, axis=0)
        self.y = self.labels[self.right]

    def of(self, net: Target) -> "Subject":
        """The same images with another net."""
        return replace(self, net=net, exact=None, surrogates=(), certify=None, lipschitz=None)

    @property
    def chunk(self) -> int:
        """Examples worked on at a time, whatever the layers of the nets that are attacked."""
        return self.backend.chunks.convolutional

    @property
    def eps(self) -> float:
        return 0.05 if self.settings.eps is None else self.settings.eps

    @property
    def clip(self) -> Box | None:
        return PIXELS if self.settings.clip else None

    @property
    def n_classes(self) -> int:
        return int(self.net.logits(self.x[:1, ...]).shape[-1])

    def classes(self, net: Target, x: Float[Array, "n pixels"]) -> Int[np.ndarray, "n"]:
        """The labels that a net gives."""
        return self.each(lambda part: self.backend.xp.argmax(net.logits(part), axis=-1), x)

    def each(self, function: Callable[..., Array], *arrays: Array) -> np.ndarray:
        """A function of a batch, of some examples at a time, gathered on the host; labels go where the net is."""
        found = []
        for start in range(0, arrays[0].shape[0], self.chunk):
            parts = [one[start : start + self.chunk] for one in arrays]
            found.append(to_host(function(*(self._there(part) for part in parts))))
        return np.concatenate(found)

    def _there(self, part: Array) -> Array:
        return self.backend.asarray(part) if isinstance(part, np.ndarray) else part

    def pgd(self, **changed: Any) -> PGD:
        """PGD from the clean example with the audit's settings, but for those given; steps are in proportion to eps."""
        s, eps = self.settings, changed.get("eps", self.eps)
        length = None if s.step_size is None else s.step_size * eps / self.eps
        usual = {"eps": eps, "clip": self.clip, "steps": s.steps, "step_size": length, "seed": s.seed}
        return PGD(**{**usual, **changed})

    def apgd(self, **changed: Any) -> APGD:
        s = self.settings
        return APGD(**{"eps": self.eps, "clip": self.clip, "steps": s.steps, "seed": s.seed, **changed})

    @property
    def cross_entropy_attacks(self) -> list[InputAttack]:
        """Those that raise the cross-entropy at the audited net, from the weakest."""
        twice, restarts = 2 * self.settings.steps, self.settings.restarts
        return [
            FGSM(eps=self.eps, clip=self.clip),
            self.pgd(),
            self.pgd(steps=twice),
            self.pgd(steps=twice, random_start=True, restarts=restarts),
            self.apgd(restarts=restarts),
        ]

    @property
    def white_box_attacks(self) -> list[InputAttack]:
        """All that see the net's gradients."""
        found = self.cross_entropy_attacks
        if self.n_classes > 2:
            found.append(self.apgd(loss="dlr", restarts=self.settings.restarts))
        return [*found, self.apgd(loss="dlr" if self.n_classes > 3 else "ce", targeted=True)]

    def attacked(self, attack: InputAttack, net: Target | None = None, by: str = "") -> Found:
        """What the attack does to the audited net, carried out once; it sees `net` where one is given, called `by`.

        Raises `NumericalError` where a result is not finite, or is outside its budget.
        """
        key = f"{attack} by {by}"
        if key not in self.attacks:
            self.attacks[key] = self._carried_out(attack, net or self.net, by)
        return self.attacks[key]

    def _carried_out(self, attack: InputAttack, seen: Target, by: str) -> Found:
        started, found = time.perf_counter(), []
        starts = attack.starts()
        for start in range(0, len(self.y), self.chunk):
            x, y = self.x[start : start + self.chunk, ...], self.y[start : start + self.chunk]
            x_adv = attack.perturb(seen, x, self.backend.asarray(y), starts)
            moves = fetch(compared(x, x_adv, attack.ball))
            check(moves, x_adv, eps=attack.eps, norm=attack.ball, clip=attack.clip)
            labels = self.classes(self.net, x_adv)
            exact = labels if self.exact is None else self.classes(self.exact, self._double(x_adv))
            found.append((labels, exact, moves["distance"]))
        labels, exact, moved = (np.concatenate(column) for column in zip(*found, strict=True))
        seconds = time.perf_counter() - started
        return Found(
            attack=attack, by=by, label=labels, fooled=labels != self.y, distance=moved, seconds=seconds,
            exact_label=None if self.exact is None else exact,
        )  # fmt: skip

    def _double(self, x: Float[Array, "n pixels"]) -> Float[Array, "n pixels"]:
        return self.backend.xp.astype(x, self.backend.dtype("float64"))

    @property
    def double(self) -> Float[Array, "examples pixels"]:
        """The correctly classified examples in double precision."""
        return self._double(self.x)

    def path(self, attack: InputAttack) -> Path:
        """What happens to the examples between the steps of an attack."""
        if str(attack) not in self.paths:
            parts = []
            for start in range(0, len(self.y), self.chunk):
                rows = slice(start, start + self.chunk)
                x, y = self.x[rows, ...], self.backend.asarray(self.y[rows])
                parts.append(recorded_path(self.net, attack, x, y))
            self.paths[str(attack)] = Path.joined(parts)
        return self.paths[str(attack)]

    def fooled_by(self, attacks: list[InputAttack]) -> Bool[np.ndarray, "examples"]:
        """Which examples at least one of these attacks fools within the budget."""
        return np.any([self.attacked(one).within(self.eps, self.clip) for one in attacks], axis=0)

    def fooled_so_far(self) -> Bool[np.ndarray, "examples"]:
        """Which examples at least one of the attacks carried out so far fools within the budget."""
        return np.any([one.within(self.eps, self.clip) for one in self.attacks.values()], axis=0)

    def smallest(self) -> Float[np.ndarray, "examples"]:
        """The smallest l_inf perturbation found so far that fools an example; infinite where none was."""
        found = [one for one in self.attacks.values() if one.attack.ball == "inf"]
        distances = [np.where(one.fooled, one.distance, np.inf) for one in found]
        return np.min([np.full(len(self.y), np.inf), *distances], axis=0)

    @cached_property
    def certified_radius(self) -> Float[np.ndarray, "examples"]:
        """The largest of `RADII` at which each example is certified; zero where it is at none."""
        found = np.zeros(len(self.y))
        certify = self.certify
        if certify is None:
            return found
        for eps in RADII.tolist():
            holds = self.each(lambda x, y, eps=eps: certify(x, y, eps), self.x, self.y)
            if not holds.any():
                break
            found[holds] = eps
        return found

    def robust_accuracy(self, fooled: Bool[np.ndarray, "examples"]) -> float:
        """The fraction of all n images that are classified correctly, and still so under attack."""
        return float((~fooled).sum()) / self.n
