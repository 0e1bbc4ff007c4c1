"""The paper's experiments as data: which runs there are, with which settings, from whose weights."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import UsageError
from ..runs.config import Config
from ..runs.presets import METHODS, PAPERS, Table, merged
from .assumptions import ASSUMPTIONS, JUDGED

SOURCE, CONTROL = "natural", "natural-continued"
"""The run that all others of its seed start from; and natural training for as long as they, which the paper lacks."""


KEPT: dict[str, Table] = {
    "fcnn": {"monitor": "all"},
    "cnn": {"monitor": "fooling", "checkpoint_every": 1},
}
"""What is kept of a run's course: an epoch of the CNN against PGD takes minutes, too much to do again."""


@dataclass(frozen=True)
class Profile:
    """How much of it: data sets, seeds, and what replaces an assumption's epochs, natural and tuned, by net."""

    words: str
    datasets: dict[str, str]
    seeds: tuple[int, ...]
    epochs: dict[str, tuple[int, int]] | None = None


PROFILES = {
    "smoke": Profile("built-in data, under a minute", {"fcnn": "strokes-small", "cnn": "strokes-small"}, (0,),
                     {"fcnn": (3, 2), "cnn": (3, 2)}),
    "quick": Profile("real data, one seed, fewer epochs, about 15 minutes on two cores",
                     {"fcnn": "mnist", "cnn": "fashion-mnist"}, (0,), {"fcnn": (60, 15), "cnn": (10, 1)}),
    "paper": Profile("real data, five seeds", {"fcnn": "mnist", "cnn": "fashion-mnist"}, (0, 1, 2, 3, 4)),
}  # fmt: skip


@dataclass(frozen=True)
class Experiment:
    """One run: its name, which is its folder, its settings, and the name of the run it starts from."""

    name: str
    method: str
    assumption: str
    config: Config
    source: str | None = None


def plan(
    profile: str, arch: str, assumptions: Sequence[str] = (), seeds: Sequence[int] = (), methods: Sequence[str] = ()
) -> list[Experiment]:
    """The runs of a profile, each after the one it starts from; the assumptions judged, its seeds, all methods.

    Natural training is always among them. Raises `UsageError` for a profile, an assumption or a method that there is
    none of.
    """
    amount = _known("profile", profile, PROFILES)
    for method in methods:
        _known(f"method of {arch}", method, dict.fromkeys(methods_of(arch)))
    experiments = []
    for name in assumptions or JUDGED:
        assumption = _known(f"assumption for {arch}", name, ASSUMPTIONS[arch])
        for seed in seeds or amount.seeds:
            folder = f"{arch}-{name}"
            shared: Table = {"network": {arch: {}}, "dataset": amount.datasets[arch], "seed": seed} | KEPT[arch]
            source = f"{folder}/{SOURCE}-seed{seed}"
            first = Config.from_table(merged(shared, assumption.first(), _epochs(amount, arch, 0)))
            experiments.append(Experiment(source, SOURCE, name, first))
            for method in methods_of(arch)[1:]:
                if methods and method not in methods:
                    continue
                settings = assumption.applied(METHODS[arch][SOURCE if method == CONTROL else method])
                tuned = Config.from_table(merged(shared, settings, _epochs(amount, arch, 1), {"start": source}))
                experiments.append(Experiment(f"{folder}/{method}-seed{seed}", method, name, tuned, source))
    return experiments


def plans(
    profile: str,
    archs: Sequence[str] = (),
    assumptions: Sequence[str] = (),
    seeds: Sequence[int] = (),
    methods: Sequence[str] = (),
) -> list[Experiment]:
    """`plan` for each net, of the paper's unless told otherwise, with those of the assumptions and methods that it has.

    Raises `UsageError` for an assumption or a method that no net has; for a net named in `archs` that has none of them.
    """
    among = archs or PAPERS
    for name in assumptions:
        _known("assumption", name, dict.fromkeys(one for arch in among for one in ASSUMPTIONS[arch]))
    for name in methods:
        _known("method", name, dict.fromkeys(one for arch in among for one in methods_of(arch)))
    chosen = archs or _with_any(assumptions, methods)
    if not chosen:
        raise UsageError(f"no net has {' or '.join(assumptions)} and {' or '.join(methods)}")
    experiments = []
    for arch in chosen:
        own_assumptions = [name for name in assumptions if name in ASSUMPTIONS[arch]]
        own_methods = [name for name in methods if name in methods_of(arch)]
        experiments += plan(profile, arch, own_assumptions or assumptions, seeds, own_methods or methods)
    return experiments


def methods_of(arch: str) -> list[str]:
    """The rows of a net's table: natural training first, then the control."""
    return [SOURCE, CONTROL, *(method for method in METHODS[arch] if method != SOURCE)]


def _with_any(assumptions: Sequence[str], methods: Sequence[str]) -> list[str]:
    """The paper's nets that have one of the assumptions and one of the methods, where any are asked for."""

    def has(asked: Sequence[str], there: Iterable[str]) -> bool:
        return not asked or not set(asked).isdisjoint(there)

    return [arch for arch in PAPERS if has(assumptions, ASSUMPTIONS[arch]) and has(methods, methods_of(arch))]


def _epochs(amount: Profile, arch: str, stage: int) -> Table:
    return {"epochs": amount.epochs[arch][stage]} if amount.epochs else {}


def _known(kind: str, name: str, choices: dict[str, Any]) -> Any:
    if name not in choices:
        raise UsageError(f"no {kind} is called {name!r}: choose one of {', '.join(choices)}")
    return choices[name]
