"""Whether a device computes what NumPy computes: one list of checks, for `doctor --gpu` and for `pytest -m gpu`.

Read `check`, what a check is and how arrays are compared, then `passes`, `attacks`, `measures` and `training`, which
compare numbers, and `promises`: the same bits each time, no wait in a step, no memory that grows.
"""

from .check import CHECKS, Outcome, run_checks

__all__ = ["CHECKS", "Outcome", "run_checks"]
