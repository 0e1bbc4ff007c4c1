"""The paper's statements as objects: what `refimpl verify` and the tests try to refute, from one source.

One file a subject, each a list of checks and a table of statements at its end; needs hypothesis.
"""

from . import bounds, convolution, linear, measures, sensitivity, theorem
from .statement import CORRECTED, HOLDS, REFUTED, Claim, Refuted, Statement, named
from .verdict import Verdict, judge

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
    "REFUTED",
    "STATEMENTS",
    "Claim",
    "Refuted",
    "Statement",
    "Verdict",
    "judge",
    "named",
]
