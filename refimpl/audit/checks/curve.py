"""Does a larger budget fool more, and a budget of everything all?"""

from itertools import pairwise
from typing import Any

import numpy as np

from ...settings import PIXELS, Box
from ..finding import CHECKS, Check, Finding, allowed
from ..subject import WHOLE, Subject

MULTIPLES = (0.25, 0.5, 1.0, 2.0, 4.0)


@CHECKS.register("security-curve")
class SecurityCurve(Check):
    """PGD at a quarter of eps to four times eps, and at 1, pixels clipped and not."""

    asks = "Does the curve over eps fall, and end at zero?"
    source = (
        "Carlini et al. (2019), Section 5.5; ART's SecurityCurve; Indicators of Attack Failure (Pintor et al. 2022)"
    )

    def find(self, subject: Subject) -> Finding:
        n, rows, reasons = len(subject.y), [], []
        for clip, words in ((PIXELS, "clipped"), (None, "not clipped")):
            fooled = self._fooled(subject, clip)
            ratios = [float(one.mean()) for one in fooled.values()]
            counts = [int(one.sum()) for one in fooled.values()]
            drop = max((a - b for a, b in pairwise(counts)), default=0)
            left = int((~np.any(list(fooled.values()), axis=0)).sum())
            rows += [_row(eps, words, ratio, subject) for eps, ratio in zip(fooled, ratios, strict=True)]
            if drop > allowed(n):
                reasons.append(f"{words}, a larger eps fools {drop} fewer")
            if left > allowed(n):
                reasons.append(f"{words}, {left} of {n} examples are fooled at no eps up to {WHOLE:g}")
        return Finding(
            colour="red" if reasons else "green",
            value=f"{100 * max(row['fooling_ratio'] for row in rows if row['eps'] == WHOLE):.1f} %",
            number=min(row["fooling_ratio"] for row in rows if row["eps"] == WHOLE),
            reason="; ".join(reasons)
            or f"it rises with eps, and all are fooled at eps up to {WHOLE:g}, clipped or not",
            todo="an attack that cannot fool an image by replacing it follows a masked gradient" if reasons else "",
            details={"curve": rows},
        )

    def _fooled(self, subject: Subject, clip: Box | None) -> dict[float, Any]:
        """Which examples are fooled at each budget."""
        budgets = sorted({min(WHOLE, factor * subject.eps) for factor in MULTIPLES} | {WHOLE})
        return {eps: subject.attacked(subject.pgd(eps=eps, clip=clip)).fooled for eps in budgets}


def _row(eps: float, words: str, ratio: float, subject: Subject) -> dict[str, Any]:
    robust = (1 - ratio) * len(subject.y) / subject.n
    return {"eps": eps, "pixels": words, "fooling_ratio": ratio, "robust_accuracy": robust}
