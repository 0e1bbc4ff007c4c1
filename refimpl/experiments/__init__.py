"""The paper's experiments, and what came out of them.

Read `paper`, its numbers, `assumptions`, what is assumed where it is silent, and `plan`, the runs; `run_experiment`
does one, `schedule` all. Then `quantities`, what is compared, `claims`, the paper's, `paired`, differences over seeds,
and `verdict`, what came out; `tables` and `costs` put it in text, `record` has what is on record. `contrary` is the
evidence of others against the paper.
"""

from .assumptions import ASSUMPTIONS, JUDGED
from .paper import ACCURACY, TOLERANCE, TOLERANCE_REASON
from .plan import CONTROL, PROFILES, SOURCE, Experiment, methods_of, plan, plans
from .record import candidates, record
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
    "candidates",
    "methods_of",
    "plan",
    "plans",
    "record",
    "results",
    "run_experiment",
    "schedule",
]
