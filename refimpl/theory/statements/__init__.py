"""Statements of the paper as objects that `refimpl verify` and the tests try to refute.

One file a subject: its checks, then a table of its statements. Needs hypothesis.
"""

from . import bounds, convolution, linear, measures, sensitivity, theorem
from .judge import Verdict, judge, keep_files_in
from .statement import CORRECTED, HOLDS, NOT_REFUTED, REFUTED, Claim, Refuted, Statement, named

STATEMENTS: tuple[Statement, ...] = (
    *theorem.STATEMENTS,
    *linear.STATEMENTS,
    *convolution.STATEMENTS,
    *measures.STATEMENTS,
    *bounds.STATEMENTS,
    *sensitivity.STATEMENTS,
)

__all__ = [
    "CORRECTED",
    "HOLDS",
    "NOT_REFUTED",
    "REFUTED",
    "STATEMENTS",
    "Claim",
    "Refuted",
    "Statement",
    "Verdict",
    "judge",
    "keep_files_in",
    "named",
]
