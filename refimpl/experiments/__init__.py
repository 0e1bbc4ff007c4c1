"""The paper's experiments.

`paper` has its numbers, `readings` how it is read, `plan` the runs, `carry_out` does one, `schedule` all.
"""

from .carry_out import carry_out, results
from .paper import ACCURACY, TOLERANCE, TOLERANCE_REASON
from .plan import CONTROL, PROFILES, SOURCE, Experiment, plan
from .readings import JUDGED, READINGS
from .record import record
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
