"""What came out against what the paper reports: a verdict for each number of its tables, and for each claim."""

import math
import statistics
from collections.abc import Iterable
from typing import Any, NamedTuple

from ..errors import DataError
from ..runs.presets import METHODS
from .assumptions import ASSUMPTIONS, JUDGED
from .claims import CLAIMS, Effect, PaperClaim, Result
from .paired import LEVEL, Paired, holm
from .paper import ACCURACY, DATASETS, TOLERANCE, TOLERANCE_REASON
from .plan import CONTROL, PROFILES
from .quantities import fooling

SUPPORTED, UNSUPPORTED, DEPENDS, UNDECIDED = "supported", "not supported", "depends on the assumption", "undecided"
SMALL = "no effect of interest"
Rows = list[dict[str, Any]]


def verdict(results: Iterable[Result]) -> dict[str, Rows]:
    """`numbers`, a row for each assumption and method of Tables 1 and 2; `claims`, a row for each claim.

    Raises `DataError` where one net's results are of more than one data set.
    """
    found = list(results)
    for arch in ASSUMPTIONS:
        datasets = sorted({result["dataset"] for result in _of(arch, found)})
        if len(datasets) > 1:
            raise DataError(f"the runs of {arch} are of {' and '.join(datasets)}: choose another --out for each")
    return {"numbers": _numbers(found), "claims": [_claim(claim, found) for claim in CLAIMS if _of(claim.arch, found)]}


def _of(arch: str, results: list[Result]) -> list[Result]:
    return [result for result in results if result["arch"] == arch]


def _numbers(results: list[Result]) -> Rows:
    rows = []
    for arch, assumptions in ASSUMPTIONS.items():
        for assumption in assumptions:
            for method in [*METHODS[arch], CONTROL]:
                runs = [r for r in _of(arch, results) if (r["assumption"], r["method"]) == (assumption, method)]
                if runs:
                    rows.append(_number(arch, assumption, method, runs))
    return rows


def _number(arch: str, assumption: str, method: str, runs: list[Result]) -> dict[str, Any]:
    """Reproduced where our mean is within the tolerance of the paper's number; None where it has none."""
    ours = {str(run["seed"]): run["accuracy"] for run in runs}
    dataset, mean = runs[0]["dataset"], statistics.fmean(ours.values())
    paper = ACCURACY[arch].get(method) if dataset == DATASETS[arch] else None
    return {
        "arch": arch,
        "dataset": dataset,
        "assumption": assumption,
        "method": method,
        "quantity": "accuracy",
        "paper": paper,
        "mean": mean,
        "standard_deviation": statistics.stdev(ours.values()) if len(ours) > 1 else None,
        "n": len(ours),
        "by_seed": ours,
        "pgd_fools": statistics.fmean(fooling("pgd")(run) for run in runs),
        "tolerance": TOLERANCE,
        "tolerance_reason": TOLERANCE_REASON,
        "reproduced": None if paper is None else _reproduces(mean, paper),
    }


def _reproduces(mean: float, paper: float) -> bool:
    return abs(mean - paper) <= TOLERANCE


def _claim(claim: PaperClaim, results: list[Result]) -> dict[str, Any]:
    """Supported under an assumption where all of its effects are; undecided where too little is known, or one seed ran.

    All of several effects are shown with an error of at most the level of one test (Berger 1982), so that "supported"
    needs no correction. What speaks against a claim is any one of them: those tests are corrected (Holm 1979).
    """
    effects, by_assumption = [], {}
    for name in JUDGED:
        runs = [result for result in _of(claim.arch, results) if result["assumption"] == name]
        deciding = _effects(claim.effects, runs)
        beside = _effects(claim.beside, runs)
        effects += [{"assumption": name, "decides": True, **row} for row in deciding]
        effects += [{"assumption": name, "decides": False, **row} for row in beside]
        if deciding:
            by_assumption[name] = _together([row["verdict"] for row in deciding])
    verdicts = set(by_assumption.values())
    said = verdicts.pop() if len(verdicts) == 1 else DEPENDS if verdicts else UNDECIDED
    return {
        "claim": claim.name,
        "arch": claim.arch,
        "dataset": _of(claim.arch, results)[0]["dataset"],
        "words": claim.words,
        "verdict": said,
        "by_assumption": by_assumption,
        "effects": effects,
    }


def _effects(effects: Iterable[Effect], runs: list[Result]) -> Rows:
    """Of those that any seed ran: the mean difference, its 95 % interval, what could have been shown, the verdict."""
    found = [(row, paired) for effect in effects if (measured := _effect(effect, runs)) for row, paired in [measured]]
    against = holm([paired.p_above(-row["of_interest"]) for row, paired in found])
    return [row | _decided(row, p <= LEVEL) for (row, _), p in zip(found, against, strict=True)]


def _effect(effect: Effect, runs: list[Result]) -> tuple[dict[str, Any], Paired] | None:
    of = {(run["method"], run["seed"]): effect.quantity(run) for run in runs}
    if isinstance(effect.baseline, str):
        against = {seed: value for (method, seed), value in of.items() if method == effect.baseline}
    else:
        against = {seed: effect.baseline for _, seed in of}
    by_seed = {str(seed): of[effect.method, seed] - against[seed] for seed in against if (effect.method, seed) in of}
    if not by_seed:
        return None
    paired = Paired(tuple(by_seed.values()))
    row = {
        "effect": effect.words,
        "mean": paired.mean,
        "interval_95": list(paired.interval()),
        "smallest_effect": paired.smallest_effect(),
        "of_interest": effect.of_interest(statistics.fmean(against[int(seed)] for seed in by_seed)),
        "n": len(by_seed),
        "by_seed": by_seed,
    }
    return row, paired


def _decided(row: dict[str, Any], excluded: bool) -> dict[str, Any]:
    """The verdict on one effect; `excluded` says that a fall of interest is."""
    low, high = row["interval_95"]
    said = SUPPORTED if high < 0 else UNDECIDED if not excluded else UNSUPPORTED if low > 0 else SMALL
    return {"interest_excluded": excluded, "verdict": said}


def _together(verdicts: list[str]) -> str:
    return next(one for one in (UNSUPPORTED, SMALL, UNDECIDED, SUPPORTED) if one in verdicts)


RANKS = {UNSUPPORTED: 0, SMALL: 1, UNDECIDED: 1, DEPENDS: 2, SUPPORTED: 3}
"""Of claims: to know that an effect is small is no worse than not to know."""


class Comparison(NamedTuple):
    """Against the verdict on record: what is worse, how many rows were compared, and which were not."""

    worse: list[str]
    compared: int
    not_compared: list[str]


def compare(found: dict[str, Any], recorded: dict[str, Any]) -> Comparison:
    """Numbers reproduced on record and not now, over the seeds of both; claims whose verdict has fallen.

    A number of which the record has no values by seed is compared where both have all seeds of the profile, a claim
    where each of its effects is of the same seeds. Both verdicts are of one profile.
    """
    before = {_key(row): row for row in (*recorded["numbers"], *recorded["claims"])}
    profile = [str(seed) for seed in PROFILES[recorded["profile"]].seeds]
    worse, not_compared, compared = [], [], 0
    for row in (*found["numbers"], *found["claims"]):
        old = before.get(_key(row))
        fallen = None if old is None else _claim_fell(row, old, profile) if "claim" in row else _fell(row, old, profile)
        if fallen is None:
            not_compared.append(_name(row))
        else:
            compared += 1
            worse += [fallen] if fallen else []
    return Comparison(worse, compared, not_compared)


def _fell(row: dict[str, Any], old: dict[str, Any], profile: list[str]) -> str | None:
    """How a number is worse, "" where it is not; None where there is nothing to compare."""
    if "by_seed" in old:
        common = [seed for seed in row["by_seed"] if seed in old["by_seed"]]
        was = statistics.fmean(old["by_seed"][seed] for seed in common) if common else math.nan
    else:
        common = profile if old["n"] == len(profile) and set(row["by_seed"]) == set(profile) else []
        was = old["mean"]
    if not common:
        return None
    mean, paper = statistics.fmean(row["by_seed"][seed] for seed in common), row["paper"]
    fallen = paper is not None and _reproduces(was, paper) and not _reproduces(mean, paper)
    return f"{_name(row)}: {mean:.4f}, was {was:.4f}" if fallen else ""


def _claim_fell(row: dict[str, Any], old: dict[str, Any], profile: list[str]) -> str | None:
    """As `_fell`, of a claim: nothing to compare unless its effects are the same, each over the same seeds."""
    if not row["effects"] or _evidence(row, profile) != _evidence(old, profile):
        return None
    fallen = RANKS[row["verdict"]] < RANKS[old["verdict"]]
    return f"{_name(row)}: {row['verdict']}, was {old['verdict']}" if fallen else ""


def _evidence(claim: dict[str, Any], profile: list[str]) -> dict[tuple[str, str], set[str] | int]:
    """The seeds of each effect; how many, where they are not known and not all of the profile's."""
    return {
        (effect["assumption"], effect["effect"]): set(
            effect.get("by_seed", profile if effect["n"] == len(profile) else ())
        )
        or effect["n"]
        for effect in claim["effects"]
    }


def _key(row: dict[str, Any]) -> tuple[str, ...]:
    return tuple(str(row.get(name)) for name in ("claim", "arch", "dataset", "assumption", "method"))


def _name(row: dict[str, Any]) -> str:
    return f"claim {row['claim']}" if "claim" in row else f"{row['arch']} {row['assumption']} {row['method']}"
