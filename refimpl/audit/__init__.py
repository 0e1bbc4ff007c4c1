"""Audit of a net's robustness: checks of the net, of the attacks, and of the number that they give.

Read `subject`, what is audited, and `finding`, what a check says; then `checks`, one file a kind, each check with the
work that it is from. `run_checks` makes all of them, `of_run` takes subject and surrogates from runs, `checklist`
answers the questions of "On Evaluating Adversarial Robustness" from what was found.
"""

from .finding import CHECKS, COLOURS, Check, Finding
from .run_checks import Audit, audit
from .subject import AuditSettings, Found, Subject, Surrogate

__all__ = ["CHECKS", "COLOURS", "Audit", "AuditSettings", "Check", "Finding", "Found", "Subject", "Surrogate", "audit"]
