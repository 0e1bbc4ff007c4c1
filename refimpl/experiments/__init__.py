"""The paper's experiments.

`paper` has its numbers, `assumptions` what is assumed where it is silent, `plan` the runs; `run_experiment` does one,
`schedule` all. `claims` are the paper's, `verdict` what came out of them, `record` the verdict on record.
"""

from .assumptions import ASSUMPTIONS, JUDGED
from .paper import ACCURACY, TOLERANCE, TOLERANCE_REASON
from .plan import CONTROL, PROFILES, SOURCE, Experiment, methods_of, plan, plans
from .record import record
from .run_experiment import results, run_experiment
from .schedule import schedule

__all__ = [
    "ACCURACY",
    "ASSUMPTIONS",
    "CONTROL",
    "JUDGED",
    "PROFILES",
    "SOURCE",
    "TOLERANCE",
    "TOLERANCE_REASON",
    "Experiment",
    "methods_of",
    "plan",
    "plans",
    "record",
    "results",
    "run_experiment",
    "schedule",
]
