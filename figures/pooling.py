"""Results of several runs as those of one method, a seed each: alike but for the seed, or refused."""

import statistics
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, NamedTuple

from refimpl.attacks import ATTACKS
from refimpl.errors import DataError
from refimpl.runs.config import Config
from refimpl.runs.folder import Run, list_runs
from refimpl.runs.schema import AttackFile, read_json

Summary = dict[str, Any]


class Attacked(NamedTuple):
    """An attack on a run: its summary, and the settings of the run."""

    run: Run
    config: Config
    path: Path
    summary: Summary


def attacked(root: Path) -> Iterator[Attacked]:
    """Every result of `refimpl attack` on the runs under `root`. Raises `DataError` for one that cannot be read."""
    for run in list_runs(root):
        config = run.config
        for path in sorted((run.folder / "attacks").glob("*.json")):
            yield Attacked(run, config, path, dict(read_json(path, AttackFile)))


FACTS = ("arch", "dataset", "images")
"""Columns of every figure of attacked runs."""


def facts(one: Attacked) -> tuple[str, str, int]:
    """Net, data set, and number of images attacked."""
    return one.config.arch, Path(one.config.dataset).name, one.summary["n"]


Key = tuple[Any, ...]


def pooled(results: Iterable[tuple[Key, Attacked]]) -> dict[Key, list[Attacked]]:
    """The results by their key, of which the first entry is the name of a method.

    Raises `DataError`, naming the run, where runs of one method are not of one configuration but for the seed, or were
    attacked on other images or after other epochs; where results under one key are of other attacks, or of one seed.
    """
    first: dict[str, Attacked] = {}
    found: dict[Key, list[Attacked]] = {}
    for key, one in results:
        _check_alike(key[0], _likeness(one), one, first.setdefault(key[0], one))
        same = found.setdefault(key, [])
        same.append(one)
        if _attack(one) != _attack(same[0]):
            raise _unlike(key[0], one.path, same[0].path, differing(_attack(one), _attack(same[0])))
        for twin in same[:-1]:
            if twin.config.seed == one.config.seed:
                raise DataError(
                    f"{one.path} and {twin.path} are both {key[0]!r} of seed {one.config.seed}: keep one of them"
                )
    return found


def _check_alike(method: str, mine: dict[str, Any], one: Attacked, first: Attacked) -> None:
    if names := differing(mine, _likeness(first)):
        raise _unlike(method, one.run.folder, first.run.folder, names)


def _unlike(method: str, one: Path, other: Path, names: Sequence[str]) -> DataError:
    return DataError(f"{one} and {other} are both {method!r}, but differ in {', '.join(names)}: draw them apart")


def differing(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    """The names under which two tables differ."""
    return sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))


def _likeness(one: Attacked) -> dict[str, Any]:
    """What runs of one method share: settings but the seed and the name of their start; data; images; epoch."""
    table = {name: value for name, value in one.config.table().items() if name not in ("seed", "start", "attack")}
    attack = one.config.attack
    return table | {
        "attack": _but_seed(attack.describe()) if attack else None,
        "a start from a run": bool(one.config.start),
        "data": one.run.manifest["data"]["sha256"],
        "number of images": one.summary["n"],
        "epoch attacked": one.summary.get("epoch"),
    }


def _attack(one: Attacked) -> dict[str, Any]:
    """The attack's settings but its seed, and but the budget where it was found for each run by itself."""
    names = {field.name for field in fields(ATTACKS[one.summary["attack"]])}
    own = {name: value for name, value in one.summary.items() if name in names}
    return _but_seed(own) | ({"eps": one.summary["matched_eps"]} if "matched_eps" in one.summary else {})


def _but_seed(settings: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if name != "seed"}


def mean_and_range(values: Sequence[float]) -> tuple[float, float, float]:
    """Mean, least and greatest, to six digits."""
    mean, low, high = (float(f"{v:.6g}") for v in (statistics.fmean(values), min(values), max(values)))
    return mean, low, high
