"""The paper's experiments as data: which runs there are, with which settings, from whose weights."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import UsageError
from ..runs.config import Config
from ..runs.presets import METHODS, NATURAL
from .assumptions import JUDGED, READINGS

SOURCE, CONTROL = "natural", "natural-continued"
"""The run that all others of its seed start from; and natural training for as long as they, which the paper lacks."""


KEPT: dict[str, dict[str, Any]] = {
    "fcnn": {"watch": "all"},
    "cnn": {"watch": "fooling", "checkpoint_every": 1},
}
"""What is kept of a run's course: an epoch of the CNN against PGD takes minutes, too much to do again."""


@dataclass(frozen=True)
class Profile:
    """How much of it: data sets, seeds, and what replaces a reading's epochs, natural and tuned, by net."""

    words: str
    datasets: dict[str, str]
    seeds: tuple[int, ...]
    epochs: dict[str, tuple[int, int]] | None = None


PROFILES = {
    "smoke": Profile("built-in data, under a minute", {"fcnn": "strokes-small", "cnn": "strokes-small"}, (0,),
                     {"fcnn": (3, 2), "cnn": (3, 2)}),
    "quick": Profile("real data, one seed, fewer epochs, about 15 minutes on two cores",
                     {"fcnn": "mnist", "cnn": "fashion-mnist"}, (0,), {"fcnn": (60, 15), "cnn": (10, 1)}),
    "paper": Profile("real data, three seeds", {"fcnn": "mnist", "cnn": "fashion-mnist"}, (0, 1, 2)),
}  # fmt: skip


@dataclass(frozen=True)
class Experiment:
    """One run: its name, which is its folder, its settings, and the name of the run it starts from."""

    name: str
    method: str
    reading: str
    config: Config
    source: str | None = None


def plan(
    profile: str, arch: str, readings: Sequence[str] = (), seeds: Sequence[int] = (), methods: Sequence[str] = ()
) -> list[Experiment]:
    """The runs of a profile, each after the one it starts from; the readings judged, the profile's seeds, all methods.

    Raises `UsageError` for a profile, a reading or a method that there is none of.
    """
    amount = _known("profile", profile, PROFILES)
    rows = [CONTROL, *(method for method in METHODS[arch] if method != SOURCE)]
    for method in methods:
        _known("method", method, dict.fromkeys([SOURCE, *rows]))
    experiments = []
    for reading in readings or JUDGED[arch]:
        read = _known("reading", reading, READINGS[arch])
        for seed in seeds or amount.seeds:
            place = f"{arch}-{reading}"
            shared = {"arch": arch, "dataset": amount.datasets[arch], "seed": seed} | KEPT[arch]
            source = f"{place}/{SOURCE}-seed{seed}"
            first = Config.of(**(shared | read.source | _epochs(amount, arch, 0)))
            experiments.append(Experiment(source, SOURCE, reading, first))
            for method in rows:
                if methods and method not in methods:
                    continue
                settings = read.of(NATURAL | METHODS[arch][SOURCE if method == CONTROL else method])
                tuned = shared | read.tuned | _epochs(amount, arch, 1) | settings | {"start": source}
                name = f"{place}/{method}-seed{seed}"
                experiments.append(Experiment(name, method, reading, Config.of(**tuned), source))
    return experiments


def _epochs(amount: Profile, arch: str, stage: int) -> dict[str, int]:
    return {"epochs": amount.epochs[arch][stage]} if amount.epochs else {}


def _known(kind: str, name: str, choices: dict[str, Any]) -> Any:
    if name not in choices:
        raise UsageError(f"no {kind} is called {name!r}: choose one of {', '.join(choices)}")
    return choices[name]
