"""What came out against what the paper reports: a verdict for each number of its tables, and for each claim."""

import math
import statistics
from collections.abc import Iterable
from typing import Any

import numpy as np
from scipy.special import stdtrit

from ..runs.presets import METHODS
from .assumptions import JUDGED, READINGS
from .claims import CLAIMS, Effect, PaperClaim, Result, final_fooling
from .paper import ACCURACY, TOLERANCE, TOLERANCE_REASON
from .plan import CONTROL

SUPPORTED, UNSUPPORTED, DEPENDS, UNDECIDED = "supported", "not supported", "depends on the reading", "undecided"
Rows = list[dict[str, Any]]


def verdict(results: Iterable[Result]) -> dict[str, Rows]:
    """`numbers`, a row for each reading and method of Tables 1 and 2; `claims`, a row for each claim."""
    found = list(results)
    return {"numbers": _numbers(found), "claims": [_claim(claim, found) for claim in CLAIMS if _of(claim.arch, found)]}


def _of(arch: str, results: list[Result]) -> list[Result]:
    return [result for result in results if result["arch"] == arch]


def _numbers(results: list[Result]) -> Rows:
    rows = []
    for arch, readings in READINGS.items():
        for reading in readings:
            for method in [*METHODS[arch], CONTROL]:
                runs = [r for r in _of(arch, results) if (r["reading"], r["method"]) == (reading, method)]
                if runs:
                    rows.append(_number(arch, reading, method, runs))
    return rows


def _number(arch: str, reading: str, method: str, runs: list[Result]) -> dict[str, Any]:
    """Reproduced where our mean is within the tolerance of the paper's number; None where it has none."""
    ours = [run["accuracy"] for run in runs]
    paper, mean = ACCURACY[arch].get(method), statistics.fmean(ours)
    return {
        "arch": arch,
        "reading": reading,
        "method": method,
        "quantity": "accuracy",
        "paper": paper,
        "mean": mean,
        "standard_deviation": statistics.stdev(ours) if len(ours) > 1 else None,
        "n": len(ours),
        "pgd_fools": statistics.fmean(final_fooling("pgd")(run) for run in runs),
        "tolerance": TOLERANCE,
        "tolerance_reason": TOLERANCE_REASON,
        "reproduced": None if paper is None else abs(mean - paper) <= TOLERANCE,
    }


def _claim(claim: PaperClaim, results: list[Result]) -> dict[str, Any]:
    """Supported in a reading when each of its effects is; undecided where an interval holds 0, or one seed ran."""
    effects = []
    for reading in JUDGED[claim.arch]:
        runs = [result for result in _of(claim.arch, results) if result["reading"] == reading]
        effects += [{"reading": reading, **row} for effect in claim.effects if (row := _effect(effect, runs))]
    by_reading = {
        reading: _together([row["verdict"] for row in effects if row["reading"] == reading])
        for reading in dict.fromkeys(row["reading"] for row in effects)
    }
    verdicts = set(by_reading.values())
    said = verdicts.pop() if len(verdicts) == 1 else DEPENDS if verdicts else UNDECIDED
    return {"claim": claim.name, "arch": claim.arch, "words": claim.words, "verdict": said, "effects": effects}


def _effect(effect: Effect, runs: list[Result]) -> dict[str, Any] | None:
    """The mean difference over the seeds that both ran, with its 95 % interval (Student); None without any."""
    of = {(run["method"], run["seed"]): effect.quantity(run) for run in runs}
    if isinstance(effect.baseline, str):
        against = {seed: value for (method, seed), value in of.items() if method == effect.baseline}
    else:
        against = {seed: effect.baseline for _, seed in of}
    differences = [of[effect.method, seed] - against[seed] for seed in against if (effect.method, seed) in of]
    if not differences:
        return None
    n, mean = len(differences), statistics.fmean(differences)
    half = float(stdtrit(n - 1, 0.975)) * float(np.std(differences, ddof=1)) / math.sqrt(n) if n > 1 else math.inf
    said = SUPPORTED if mean + half < 0 else UNSUPPORTED if mean - half > 0 else UNDECIDED
    return {"effect": effect.words, "mean": mean, "interval_95": [mean - half, mean + half], "n": n, "verdict": said}


def _together(verdicts: list[str]) -> str:
    if UNSUPPORTED in verdicts:
        return UNSUPPORTED
    return UNDECIDED if UNDECIDED in verdicts else SUPPORTED


RANKS = {UNSUPPORTED: 0, UNDECIDED: 1, DEPENDS: 2, SUPPORTED: 3}


def worse(found: dict[str, Any], recorded: dict[str, Any]) -> list[str]:
    """What was better on record: numbers reproduced then and not now, claims whose verdict has fallen."""
    before = {_key(row): row for row in (*recorded["numbers"], *recorded["claims"])}
    fallen = []
    for row in (*found["numbers"], *found["claims"]):
        old = before.get(_key(row), row)
        if "claim" in row:
            if RANKS[row["verdict"]] < RANKS[old["verdict"]]:
                fallen.append(f"claim {row['claim']}: {row['verdict']}, was {old['verdict']}")
        elif old["reproduced"] and not row["reproduced"]:
            fallen.append(f"{row['arch']} {row['reading']} {row['method']}: {row['mean']:.4f}, was {old['mean']:.4f}")
    return fallen


def _key(row: dict[str, Any]) -> tuple[str, ...]:
    return tuple(str(row.get(name)) for name in ("claim", "arch", "reading", "method"))
