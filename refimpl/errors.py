"""The errors a user can meet, each with the exit code the command line ends with.

A message is one line: what is wrong, where, and what to do about it. Anything else that escapes is a bug
(exit code 1) and keeps its traceback.
"""


class RefimplError(Exception):
    """Any error of refimpl that is not a bug."""

    exit_code = 1


class UsageError(RefimplError, ValueError):
    """An argument, a shape, a configuration that cannot be used."""

    exit_code = 2


class BackendError(UsageError):
    """A backend that cannot be had on this machine."""


class DataError(RefimplError):
    """A data set, a run or a checkpoint that is missing, damaged or not what it claims to be."""

    exit_code = 3


class NumericalError(RefimplError):
    """Numbers that failed: NaN, divergence, a perturbation outside its budget."""

    exit_code = 4


class VerdictError(RefimplError):
    """A verdict that is not the expected one."""

    exit_code = 5


class RefimplWarning(UserWarning):
    """What a user of the library should hear, but is not an error."""
