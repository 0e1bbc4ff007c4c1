"""Accuracy, and the interval around a ratio."""

from jaxtyping import Float, Int
from scipy.special import betaincinv

from ..backend import Array, namespace, to_host
from ..errors import UsageError
from ..validation import check_labels


def n_correct(logits: Float[Array, "*models batch classes"], y: Int[Array, "*models batch"]) -> Int[Array, "*models"]:
    """How many rows have their largest logit (the first of equals) at their label; a row with a nan does not."""
    xp = namespace(logits)
    right = (xp.argmax(logits, axis=-1) == y) & ~xp.any(xp.isnan(logits), axis=-1)
    return xp.sum(xp.astype(right, y.dtype), axis=-1)


def accuracy(logits: Float[Array, "batch classes"], y: Int[Array, "batch"]) -> float:
    """The fraction of rows whose largest logit is at their label. Waits for the device.

    Raises `UsageError` for no rows, for other than one label a row, and for labels that are no classes.

    >>> import numpy as np
    >>> import refimpl as ri
    >>> ri.accuracy(np.array([[2.0, 1.0], [0.0, 3.0]]), np.array([0, 0]))
    0.5
    """
    rows, classes = logits.shape
    if not rows:
        raise UsageError("an accuracy needs at least one row of logits, got none")
    check_labels(to_host(y), (rows,), classes)
    return int(n_correct(logits, y)) / logits.shape[-2]


def interval(successes: int, trials: int, confidence: float = 0.95) -> tuple[float, float]:
    """The exact interval of a fraction (Clopper and Pearson 1934); (nan, nan) for no trials.

    It speaks of the inputs that were drawn, not of the spread over seeds. Raises `UsageError` for successes not from 0
    to `trials`, and for a confidence not between 0 and 1.

    >>> import refimpl as ri
    >>> low, high = ri.interval(0, 10)
    >>> print(f"{low:.3f} to {high:.3f}")  # 0 to 1 - 0.025^(1/10)
    0.000 to 0.308
    """
    if not 0 <= successes <= trials:
        raise UsageError(f"successes must be from 0 to the {trials} trials, got {successes}")
    if not 0 < confidence < 1:
        raise UsageError(f"a confidence must be between 0 and 1, got {confidence}")
    if trials == 0:
        return float("nan"), float("nan")
    alpha = 1 - confidence
    lower = betaincinv(successes, trials - successes + 1, alpha / 2) if successes else 0.0
    upper = betaincinv(successes + 1, trials - successes, 1 - alpha / 2) if successes < trials else 1.0
    return float(lower), float(upper)
