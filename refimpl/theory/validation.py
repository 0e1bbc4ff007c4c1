"""Checks of arguments that several modules of this package share: one check, one message."""

from ..backend import Array, namespace
from ..errors import RefimplError, UsageError


def check_finite(what: str, x: Array, error: type[RefimplError] = UsageError) -> None:
    """Raises `error` unless every entry is finite. Waits for the device."""
    xp = namespace(x)
    if not bool(xp.all(xp.isfinite(x))):
        raise error(f"{what} must be finite, got nan or infinity")


def check_matrix(what: str, A: Array) -> None:
    """Raises `UsageError` unless A has two axes and at least one row."""
    if A.ndim != 2 or not A.shape[0]:
        raise UsageError(f"{what} must be a matrix with at least one row, got an array of shape {tuple(A.shape)}")


def check_vector(what: str, w: Array) -> None:
    """Raises `UsageError` unless w has one axis and at least one entry."""
    if w.ndim != 1 or not w.shape[0]:
        raise UsageError(f"{what} must be a vector with at least one entry, got an array of shape {tuple(w.shape)}")


def check_sample(w: Array, x: Array, y: Array) -> None:
    """Raises `UsageError` unless x holds N >= 1 examples of the size of w, y their labels -1 or 1, all finite."""
    check_vector("w", w)
    if x.ndim != 2 or x.shape[1] != w.shape[0] or tuple(y.shape) != (x.shape[0],):
        raise UsageError(
            f"w {tuple(w.shape)}, x {tuple(x.shape)} and y {tuple(y.shape)} do not fit: they must be"
            " (n,), (N, n) and (N,)"
        )
    if not x.shape[0]:
        raise UsageError("an error rate needs at least one example, got none")
    check_finite("w", w)
    check_finite("x", x)
    if not bool(namespace(y).all(y * y == 1)):
        raise UsageError("labels must be -1 or 1")
