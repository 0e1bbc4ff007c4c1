"""What is refused at the edge: one check, one message, the same on every path."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from .backend import Array, Params, namespace
from .errors import UsageError
from .parameters import weights


def check_budget(eps: float, clip: tuple[float, float] | None = None) -> None:
    if not (math.isfinite(eps) and eps >= 0):
        raise UsageError(f"eps must be finite and at least 0, got {eps}")
    if clip is not None and not clip[0] <= clip[1]:
        raise UsageError(f"the box of the pixels must be (least, largest), got {tuple(clip)}")


def check_attacked(x: Array, eps: float, clip: tuple[float, float] | None = None) -> None:
    """Raise `UsageError` unless x holds examples in single or double precision, and the budget is one."""
    check_budget(eps, clip)
    xp = namespace(x)
    if not xp.isdtype(x.dtype, "real floating") or xp.finfo(x.dtype).bits < 32:
        raise UsageError(f"attacks work in float32 or float64, got inputs of {x.dtype}")
    if len(x.shape) < 2:
        raise UsageError(f"expected a batch of examples, the first axis theirs, got inputs of shape {tuple(x.shape)}")


def check_steps(steps: int, step_size: float = 0.0) -> None:
    if steps < 1:
        raise UsageError(f"an attack needs at least one step, got {steps}")
    if not (math.isfinite(step_size) and step_size >= 0):
        raise UsageError(f"the step size must be finite and at least 0, got {step_size}")


def check_inputs(params: Params, x: Array, n: int) -> None:
    """Raise `UsageError` unless x has at least one row, of n numbers, in the dtype that all parameters have."""
    dtype = params["b1"].dtype
    if any(p.dtype != dtype for p in params.values()):
        found = ", ".join(f"{name} {p.dtype}" for name, p in params.items())
        raise UsageError(f"the parameters have different dtypes: {found}")
    if x.dtype != dtype or 0 in x.shape or x.shape[-1] != n:
        raise UsageError(f"expected inputs {dtype}(1 or more, {n}), got {x.dtype}{tuple(x.shape)}")


def check_labels(y: Array, shape: tuple[int, ...], classes: int) -> None:
    """Raise `UsageError` unless y are whole numbers of this shape, on the host also unless from 0 to classes - 1.

    Elsewhere the values are not looked at, which would wait for the device.
    """
    if tuple(y.shape) != tuple(shape) or not namespace(y).isdtype(y.dtype, "integral"):
        raise UsageError(f"expected labels of whole numbers {tuple(shape)}, got {y.dtype}{tuple(y.shape)}")
    if isinstance(y, np.ndarray) and y.size and not 0 <= int(y.min()) <= int(y.max()) < classes:
        raise UsageError(f"labels must be from 0 to {classes - 1}, got {y.min()} to {y.max()}")


def check_radii(eps_weights: float | Mapping[str, float], params: Params) -> dict[str, float]:
    """The radius of each weight matrix: one number for all, or by name, those without a name unperturbed."""
    layers = list(weights(params))
    radii: dict[str, Any] = (
        dict(eps_weights) if isinstance(eps_weights, Mapping) else dict.fromkeys(layers, eps_weights)
    )
    if not layers:
        raise UsageError(f"this net has no weight matrices W1, W2, ... to perturb, but {', '.join(params)}")
    for name, radius in radii.items():
        if name not in layers:
            raise UsageError(f"no layer is called {name}: those with weights to perturb are {', '.join(layers)}")
        if not (math.isfinite(radius) and radius >= 0):
            raise UsageError(f"eps of the weights {name} must be finite and at least 0, got {radius}")
    return radii
