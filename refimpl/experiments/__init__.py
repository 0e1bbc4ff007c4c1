"""The paper's experiments.

`paper` has its numbers, `readings` how it is read, `plan` the runs, `carry_out` does one, `schedule` all.
"""

from .assumptions import JUDGED, READINGS
from .paper import ACCURACY, TOLERANCE, TOLERANCE_REASON
from .plan import CONTROL, PROFILES, SOURCE, Experiment, plan
from .record import record
from .run_experiment import carry_out, results
from .schedule import schedule

__all__ = [
    "ACCURACY",
    "CONTROL",
    "JUDGED",
    "PROFILES",
    "READINGS",
    "SOURCE",
    "TOLERANCE",
    "TOLERANCE_REASON",
    "Experiment",
    "carry_out",
    "plan",
    "record",
    "results",
    "schedule",
]
