"""Comparison of runs: what each reached, mean and standard deviation over seeds, paired differences by seed.

Read `compare`, then `RunSummary`, what is compared of a run; `summarize` reads one from its folder, `read_attacks` the
results of its attacks. `shared`, `grouped`, `spread` and `paired` work on summaries alone.
"""

import hashlib
import json
import math
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from scipy.special import stdtrit

from ..attacks import ATTACKS
from ..backend import backend
from ..errors import DataError, UsageError
from ..low_rank import n_weights
from ..measures import interval
from ..settings import nearest
from ..tables import html_table, percent
from .config import Config
from .folder import Run
from .trained import TrainedRun
from .zoo import opened

Row = TypeVar("Row")
BESIDE = ("surrogate", "matched_eps", "truncated", "examples_seed")
"""Keys of a result that belong to how an attack was made, beside its own settings."""
NOT_COMPARED = ("seed", "start")
PER_CENT = ("accuracy", "accuracy_low", "accuracy_high", "fooling_ratio", "robust_accuracy")
"""Quantities that are fractions."""


@dataclass(frozen=True)
class AttackCounts:
    """Of `n` test examples `n_correct` were classified correctly, of which the attack fooled `n_fooled`.

    `settings` names the attack with every setting but its budget eps and its seed; `norm` is that of the budget.
    """

    settings: str
    eps: float
    norm: str
    n: int
    n_correct: int
    n_fooled: int

    @property
    def name(self) -> str:
        """The attack with its budget, such as `pgd-eps0.05`."""
        return self.settings.replace("-eps", f"-eps{self.eps!r}", 1)

    @property
    def fooling_ratio(self) -> float | None:
        """None where no example was classified correctly."""
        return self.n_fooled / self.n_correct if self.n_correct else None

    @property
    def robust_accuracy(self) -> float:
        """The fraction of all examples that are classified correctly under attack."""
        return (self.n_correct - self.n_fooled) / self.n


@dataclass(frozen=True)
class LayerMeasures:
    """None where a measure is not defined: the zero matrix has neither."""

    name: str
    effective_rank: float | None
    effective_sparsity: float | None


@dataclass(frozen=True)
class RunSummary:
    """What is compared of a run.

    `settings`, dotted names and values, is what runs have in common that differ only by seed: the configuration without
    the seed, method and hash of the settings of the run that it started from, a hash of the data, and the epochs done.
    `accuracy` is on the test set, with its exact 95 % interval where the number of test examples is known.
    """

    run: str
    arch: str
    method: str
    dataset: str
    seed: int
    settings: Mapping[str, Any]
    epochs: int
    accuracy: float | None
    accuracy_interval: tuple[float, float] | None
    layers: tuple[LayerMeasures, ...]
    attacks: tuple[AttackCounts, ...]
    weights: int
    seconds: float | None

    def quantities(self) -> dict[str, float | None]:
        """Every number that can be compared, by the name of its column."""
        found: dict[str, float | None] = {"accuracy": self.accuracy}
        found |= {f"fooling_ratio:{attack.name}": attack.fooling_ratio for attack in self.attacks}
        found |= {f"robust_accuracy:{attack.name}": attack.robust_accuracy for attack in self.attacks}
        found |= {f"effective_rank:{layer.name}": layer.effective_rank for layer in self.layers}
        found |= {f"effective_sparsity:{layer.name}": layer.effective_sparsity for layer in self.layers}
        return {**found, "weights": float(self.weights), "seconds": self.seconds}


def summarize(run: TrainedRun | Path | str) -> RunSummary:
    """A run, of what its files hold, or of what is known of it in memory: nothing is computed of the net.

    Measures are those of measure.json where it is of the last epoch, else of the last line of history.jsonl. Raises
    `DataError` for what is no run, for damaged files, and for a run without a finished epoch.
    """
    if isinstance(run, TrainedRun) and run.run is None:
        attacks = _distinct(_counts(summary, run.name) for summary in run.attacked)
        known = Known(run.name, run.config, run.data.sha256, len(run.data.test.labels), None, attacks)
        return _summary(known, run.logs[-1])
    files = run.run if isinstance(run, TrainedRun) and run.run else opened(str(run))
    manifest, log = files.manifest, read_history(files)[-1]
    measured = files.measures(log["epoch"])
    attacks = read_attacks(files, log["epoch"])
    n, seconds = measured["n"] if measured else 0, float(manifest["seconds"])
    known = Known(files.title, files.config, manifest["data"]["sha256"], n, seconds, attacks)
    return _summary(known, {**log, **(measured or {})})


class Known(NamedTuple):
    """What is known of a run beside its last log; `n` is 0 where the number of test examples is not."""

    run: str
    config: Config
    data_sha256: Mapping[str, str]
    n: int
    seconds: float | None
    attacks: list[AttackCounts]


def _summary(known: Known, last: Mapping[str, Any]) -> RunSummary:
    config, n, accuracy = known.config, known.n, float(last["accuracy"])
    return RunSummary(
        run=known.run,
        arch=config.arch,
        method=config.method,
        dataset=config.dataset,
        seed=config.seed,
        settings={
            **comparable(config.table()),
            "start": _origin(config.start),
            "data": _digest(known.data_sha256),
            "epochs_done": last["epoch"],
        },
        epochs=last["epoch"],
        accuracy=accuracy,
        accuracy_interval=interval(round(accuracy * n), n) if n else None,
        layers=tuple(map(_layer, last["layers"])),
        attacks=tuple(known.attacks),
        weights=n_weights(config.init(backend("numpy"))),
        seconds=known.seconds,
    )


def read_history(run: Run) -> list[dict[str, Any]]:
    """The lines of history.jsonl. Raises `DataError` where there is none, and where they are damaged."""
    history = run.history
    if not history:
        raise DataError(f"{run.folder} has no finished epoch: `refimpl train --resume {run.folder}` goes on with it")
    return history


def read_attacks(run: Run, epoch: int) -> list[AttackCounts]:
    """The results of attacks on the net after `epoch` epochs, by name. Raises `DataError` for a damaged file."""
    return _distinct(_counts(found, where) for where, found in run.attacks(epoch))


def _distinct(found: Iterable[AttackCounts]) -> list[AttackCounts]:
    """By name; of those that differ by their seeds alone the first."""
    counts: dict[tuple[str, int], AttackCounts] = {}
    for one in found:
        counts.setdefault((one.name, one.n), one)
    return sorted(counts.values(), key=lambda one: (one.settings, one.eps, one.n))


def _counts(summary: Mapping[str, Any], path: Path | str) -> AttackCounts:
    name = summary["attack"]
    if name not in ATTACKS:
        raise DataError(f"{path} is of an unknown attack, {name!r}")
    kind = ATTACKS[name]
    table = {key: value for key in kind.__dataclass_fields__ if (value := summary.get(key)) is not None}
    try:
        attack = kind.from_table({key: value for key, value in table.items() if key != "seed"}, str(path))
    except UsageError as error:
        raise DataError(f"{path} is damaged: {error}") from None
    beside = "".join(f"-{key.replace('_', '-')}-{summary[key]}" for key in BESIDE if summary.get(key) is not None)
    n, n_correct, n_fooled = (summary[key] for key in ("n", "n_correct", "n_fooled"))
    if not 0 <= n_fooled <= n_correct <= n or not n:
        raise DataError(f"{path} is damaged: {n_fooled} fooled of {n_correct} correct of {n} examples cannot be")
    settings = str(attack).replace(f"-eps{attack.eps!r}", "-eps", 1) + beside
    return AttackCounts(settings, attack.eps, attack.ball, n, n_correct, n_fooled)


def _layer(layer: Mapping[str, Any]) -> LayerMeasures:
    measures = (layer[key] for key in ("effective_rank", "effective_sparsity"))
    return LayerMeasures(layer["name"], *(None if value is None else float(value) for value in measures))


def _origin(start: str) -> str | None:
    """Method and settings, but for the seed, of the run that another started from, where it is still there."""
    if not start:
        return None
    try:
        run = opened(start)
    except (DataError, UsageError):
        return "unknown"
    config = run.config
    return f"{config.method}-{_digest(comparable(config.table()))}"


def _digest(value: Any) -> str:
    """A short name for a value of plain data."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:12]


def comparable(table: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """A nested table flattened, without seeds and start."""
    found: dict[str, Any] = {}
    for name, value in table.items():
        if isinstance(value, Mapping):
            found |= comparable(value, f"{prefix}{name}.") or {f"{prefix}{name}": "default"}
        elif name not in NOT_COMPARED:
            found[prefix + name] = value
    return found


def shared(runs: Sequence[RunSummary]) -> tuple[list[RunSummary], list[str]]:
    """The runs with those attacks alone that all of them share, of equal settings and number of examples.

    Of one attack with several numbers of examples the largest counts. Also lines that name the attacks left out.
    """
    common = set.intersection(*({(one.name, one.n) for one in run.attacks} for run in runs)) if runs else set()
    most = {name: max(n for other, n in common if other == name) for name, _ in common}
    kept = [replace(run, attacks=tuple(one for one in run.attacks if most.get(one.name) == one.n)) for run in runs]
    owners: dict[str, list[str]] = {}
    for run in runs:
        for one in run.attacks:
            if one.name not in most:
                owners.setdefault(f"{one.name} on {one.n} examples", []).append(run.run)
    left: dict[str, list[str]] = {}
    for name, names in owners.items():
        left.setdefault(", ".join(names), []).append(name)
    return kept, [f"not shared, left out: {', '.join(attacks)} (only {names})" for names, attacks in left.items()]


@dataclass(frozen=True)
class Group:
    """Runs that differ only by seed, named by network, data, method and what else tells them from another group."""

    name: str
    runs: tuple[RunSummary, ...]

    @property
    def seeds(self) -> list[int]:
        return [run.seed for run in self.runs]


@dataclass(frozen=True)
class Spread:
    """Mean and standard deviation (n - 1 in the denominator; None for one) of `n` values."""

    mean: float
    standard_deviation: float | None
    n: int


@dataclass(frozen=True)
class Difference:
    """Mean of the paired differences, group minus baseline, over the seeds of both, and its 95 % Student interval.

    `interval` is None for one seed.
    """

    group: str
    quantity: str
    mean: float
    interval: tuple[float, float] | None
    seeds: tuple[int, ...]


def grouped(runs: Sequence[RunSummary]) -> list[Group]:
    """The runs in groups that differ only by seed, by seed; groups in the order of their first runs.

    Raises `UsageError` where two runs of a group have the same seed, which would count twice.
    """
    found: dict[str, list[RunSummary]] = {}
    for run in runs:
        found.setdefault(json.dumps(run.settings, sort_keys=True, default=str), []).append(run)
    groups = [tuple(sorted(members, key=lambda run: run.seed)) for members in found.values()]
    for members in groups:
        for one, other in pairwise(members):
            if one.seed == other.seed:
                raise UsageError(f"{one.run} and {other.run} differ in nothing, seed {one.seed}: name one of them")
    return [Group(name, members) for name, members in zip(_names(groups), groups, strict=True)]


def _names(groups: Sequence[tuple[RunSummary, ...]]) -> list[str]:
    """Network, data and method of each; of equal ones with the settings in which they differ."""
    bases = [f"{one.arch}-{Path(one.dataset).stem}-{one.method}" for one, *_ in groups]
    names = []
    for base, (one, *_) in zip(bases, groups, strict=True):
        alike = [other[0].settings for name, other in zip(bases, groups, strict=True) if name == base]
        names.append(" ".join([base, *(f"{name}={_short(one.settings.get(name))}" for name in differing(alike))]))
    return names


def differing(settings: Sequence[Mapping[str, Any]]) -> list[str]:
    """The names of the settings that are not the same in all."""
    names = dict.fromkeys(name for one in settings for name in one)
    return [name for name in names if len({json.dumps(one.get(name), default=str) for one in settings}) > 1]


def _short(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else "none" if value is None else str(value)


def spread(values: Sequence[float]) -> Spread:
    """Of at least one value."""
    deviation = statistics.stdev(values) if len(values) > 1 else None
    return Spread(statistics.fmean(values), deviation, len(values))


def spreads(group: Group) -> dict[str, Spread]:
    """Of each quantity over the seeds at which it is defined."""
    values: dict[str, list[float]] = {}
    for run in group.runs:
        for name, value in run.quantities().items():
            if value is not None:
                values.setdefault(name, []).append(value)
    return {name: spread(found) for name, found in values.items()}


def student_interval(values: Sequence[float]) -> tuple[float, float] | None:
    r"""The 95 % interval of a mean, $\bar x \pm t_{0.975, n - 1}\, s / \sqrt n$ (Student 1908); None for one value."""
    if len(values) < 2:
        return None
    half = float(stdtrit(len(values) - 1, 0.975)) * statistics.stdev(values) / math.sqrt(len(values))
    return statistics.fmean(values) - half, statistics.fmean(values) + half


def paired(group: Group, baseline: Group) -> list[Difference]:
    """Of each quantity that both have, over the seeds at which both have it; none where they share no seed."""
    of, against = ({run.seed: run.quantities() for run in one.runs} for one in (group, baseline))
    both = [seed for seed in of if seed in against]
    found = []
    for name in dict.fromkeys(name for seed in both for name in of[seed]):
        pairs = {seed: (of[seed].get(name), against[seed].get(name)) for seed in both}
        differences = {
            seed: value - other for seed, (value, other) in pairs.items() if value is not None and other is not None
        }
        if differences:
            values = list(differences.values())
            seeds = tuple(differences)
            found.append(Difference(group.name, name, statistics.fmean(values), student_interval(values), seeds))
    return found


def named(groups: Sequence[Group], name: str) -> Group:
    """The group of this name, or the one that the run in this folder belongs to. Raises `UsageError` for neither."""
    for group in groups:
        if name == group.name or any(Path(name) == Path(run.run) for run in group.runs):
            return group
    raise UsageError(f"{name!r} is none of the runs and groups: choose of {', '.join(one.name for one in groups)}")


def differences(groups: Sequence[Group], baseline: Group) -> tuple[list[Difference], list[str]]:
    """`paired` for every other group; lines that say in what each is unlike the baseline, and which seeds have no pair.

    Raises `UsageError` where no group shares a seed with the baseline.
    """
    others = [group for group in groups if group is not baseline]
    found = [one for group in others for one in paired(group, baseline)]
    if not found:
        raise UsageError(f"no other group has a seed in common with {baseline.name}: there is nothing to compare")
    lines = []
    for group in others:
        names = differing([group.runs[0].settings, baseline.runs[0].settings])
        lines.append(f"{group.name} differs from {baseline.name} in {', '.join(names)}")
        alone = sorted(set(group.seeds) ^ set(baseline.seeds))
        if alone:
            lines.append(f"{group.name}: not paired, left out: seed {', '.join(map(str, alone))}")
    return found, lines


def ordered(rows: Sequence[Row], column: str, of: Callable[[Row], Mapping[str, Any]]) -> list[Row]:
    """The rows by a column, from the least; `-COLUMN` from the greatest; what has no value comes last.

    Raises `UsageError` for a column that no row has.
    """
    name = column.removeprefix("-")
    known = dict.fromkeys(key for row in rows for key in of(row))
    if name not in known:
        raise UsageError(f"there is no column {name!r}{nearest(name, list(known))}")
    there = [row for row in rows if of(row).get(name) is not None]
    there.sort(key=lambda row: of(row)[name], reverse=column.startswith("-"))
    return there + [row for row in rows if of(row).get(name) is None]


def columns(runs: Iterable[RunSummary]) -> list[dict[str, Any]]:
    """A flat row for each run: what CSV files hold."""
    rows = []
    for run in runs:
        low, high = run.accuracy_interval or (None, None)
        named = {"run": run.run, "method": run.method, "dataset": run.dataset, "seed": run.seed, "epochs": run.epochs}
        quantities = run.quantities()
        bounds = {"accuracy": quantities.pop("accuracy"), "accuracy_low": low, "accuracy_high": high}
        rows.append({**named, **bounds, **quantities})
    return rows


def group_columns(groups: Iterable[Group]) -> list[dict[str, Any]]:
    """A flat row for each group: mean of every quantity, and `NAME:sd`."""
    rows = []
    for group in groups:
        first = group.runs[0]
        row: dict[str, Any] = {"group": group.name, "dataset": first.dataset, "epochs": first.epochs}
        row["seeds"] = " ".join(map(str, group.seeds))
        for name, one in spreads(group).items():
            row |= {name: one.mean, f"{name}:sd": one.standard_deviation}
        rows.append(row)
    return rows


@dataclass(frozen=True)
class Comparison:
    """Runs beside each other, with the attacks that all of them share; `notes` say what was left out.

    `groups` are the runs that differ only by seed, where they were asked for; `differences` those from `baseline`.
    """

    runs: tuple[RunSummary, ...]
    groups: tuple[Group, ...] = ()
    baseline: Group | None = None
    differences: tuple[Difference, ...] = ()
    notes: tuple[str, ...] = ()

    def rows(self) -> list[dict[str, Any]]:
        """A flat row for each group, or for each run where they are not grouped: what CSV files hold."""
        return group_columns(self.groups) if self.groups else columns(self.runs)

    def _repr_html_(self) -> str:
        rows = self.rows()
        names = list(dict.fromkeys(name for row in rows for name in row))
        cells = [[_cell(name, row.get(name)) for name in names] for row in rows]
        header = [name.replace("_", " ").replace(":", " ") for name in names]
        return html_table("; ".join(["comparison of runs", *self.notes]), header, cells)


def compare(
    runs: Sequence[TrainedRun | Path | str], *, sort: str | None = None, group: bool = False, against: str | None = None
) -> Comparison:
    """Runs, or their folders, beside each other: accuracy, attacks that all share, effective rank and sparsity, ...

    Sorted by a column, as `Comparison.rows` name them, `-COLUMN` from the greatest. With `group` mean and standard
    deviation of the runs that differ only by seed; with `against`, a group or one of its runs, also paired differences
    from it. Raises `DataError` for damaged runs, `UsageError` for unknown columns and groups, and where nothing can be
    paired.
    """
    if isinstance(runs, TrainedRun | Path | str):
        raise UsageError("expected a list of runs to compare, got a single one")
    summaries, notes = shared([summarize(run) for run in runs])
    groups = grouped(summaries) if group or against else []
    if sort and groups:
        groups = ordered(groups, sort, lambda one: group_columns([one])[0])
    elif sort:
        summaries = ordered(summaries, sort, lambda one: columns([one])[0])
    baseline = named(groups, against) if against else None
    found, lines = differences(groups, baseline) if baseline else ([], [])
    return Comparison(tuple(summaries), tuple(groups), baseline, tuple(found), (*notes, *lines))


def _cell(name: str, value: Any) -> str:
    if value is None:
        return ""
    if name.partition(":")[0] in PER_CENT:
        return percent(value)
    return f"{value:.6g}" if isinstance(value, float) else str(value)
