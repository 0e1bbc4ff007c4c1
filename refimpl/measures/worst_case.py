"""The worst case over attacks, input by input: an input is robust where none of them has fooled it."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .accuracy import interval
from .fooling import AttackResult

BUDGET = ("norm", "eps", "clip")
ROUNDING = 1e-6
"""By what fraction a perturbation may be longer than eps, as `attacks.verify` allows."""


def worst_cases(results: Sequence[AttackResult]) -> list[dict[str, Any]]:
    """For each budget that two or more of the attacks have, counts as in their summaries, of all of them together.

    The attacks are those of one call, on the same inputs. A perturbation that another attack found within the budget
    counts, too: with a smaller eps, or in search of the smallest. `only_by` says of each attack how many inputs it
    alone has fooled. Attacks that perturb weights take no part, as the weights are not those of the others.
    """
    comparable = [one for one in results if "eps_weights" not in one.summary]
    budgets = {_key(one.summary, BUDGET): one.summary for one in comparable}
    found = []
    for key, budget in budgets.items():
        same = [one for one in comparable if _key(one.summary, ("norm", "clip")) == _key(budget, ("norm", "clip"))]
        if sum(_key(one.summary, BUDGET) == key for one in same) > 1:
            found.append(_worst_case(same, budget))
    return found


def _key(summary: Mapping[str, Any], names: Sequence[str]) -> tuple[Any, ...]:
    return tuple(tuple(value) if isinstance(value := summary.get(name), list) else value for name in names)


def _worst_case(results: Sequence[AttackResult], budget: Mapping[str, Any]) -> dict[str, Any]:
    within = np.stack([one.fooled & (one.distance <= budget["eps"] * (1 + ROUNDING) + ROUNDING) for one in results])
    n, n_correct, n_fooled = results[0].n, results[0].n_correct, int(within.any(axis=0).sum())
    alone = within & (within.sum(axis=0) == 1)
    return {
        **{name: budget.get(name) for name in BUDGET},
        "attacks": [one.attack for one in results],
        "only_by": alone.sum(axis=-1).tolist(),
        "n": n,
        "n_correct": n_correct,
        "n_fooled": n_fooled,
        "accuracy": n_correct / n,
        "robust_accuracy": (n_correct - n_fooled) / n,
        "fooling_ratio": n_fooled / n_correct if n_correct else math.nan,
        "fooling_ratio_interval_95": list(interval(n_fooled, n_correct)),
    }
