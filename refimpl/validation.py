"""What is refused at the edge: one check, one message."""

import math
from collections.abc import Mapping

from .backend import Params
from .errors import UsageError


def check_budget(eps: float) -> None:
    if not (math.isfinite(eps) and eps >= 0):
        raise UsageError(f"eps must be finite and at least 0, got {eps}")


def check_steps(steps: int, step_size: float = 0.0) -> None:
    if steps < 1:
        raise UsageError(f"an attack needs at least one step, got {steps}")
    if not (math.isfinite(step_size) and step_size >= 0):
        raise UsageError(f"the step size must be finite and at least 0, got {step_size}")


def check_radii(eps_weights: float | Mapping[str, float], params: Params) -> dict[str, float]:
    """The radius of each weight matrix: one number for all, or by name, those without a name unperturbed."""
    layers = [name for name in params if name.startswith("W")]
    radii = dict(eps_weights) if isinstance(eps_weights, Mapping) else dict.fromkeys(layers, eps_weights)
    if not layers:
        raise UsageError(f"this net has no weight matrices W1, W2, ... to perturb, but {', '.join(params)}")
    for name, radius in radii.items():
        if name not in layers:
            raise UsageError(f"no layer is called {name}: those with weights to perturb are {', '.join(layers)}")
        if not (math.isfinite(radius) and radius >= 0):
            raise UsageError(f"eps of the weights {name} must be finite and at least 0, got {radius}")
    return radii
