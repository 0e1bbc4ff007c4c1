"""What `refimpl attack --attack joint` takes and does: inputs and weights perturbed together."""

from collections.abc import Sequence
from itertools import product
from typing import Any

import click

from refimpl.attacks.input_weight import MODES
from refimpl.attacks.input_weight_settings import STEPS, JointAttack
from refimpl.errors import UsageError
from refimpl.low_rank.network import dense
from refimpl.measures.fooling import Outcome
from refimpl.measures.fooling_weights import joint_fooling

from .console import Bar
from .options import Decorator
from .session import Session

Radii = float | dict[str, float]


class Radius(click.ParamType):
    """Radii of all layers, `0.002,0.01`, each tried by itself; or of single layers, `1=0.01,2=0.02`, tried together."""

    name = "radii"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[Radii, ...]:
        if isinstance(value, tuple):
            return value
        try:
            if "=" not in value:
                return tuple(float(part) for part in value.split(","))
            pairs = [part.split("=") for part in value.split(",")]
            return ({f"W{int(layer)}": float(radius) for layer, radius in pairs},)
        except ValueError:
            self.fail(f"{value!r} is neither a list like 0.002,0.01 nor one like 1=0.01,2=0.02", param, ctx)


def options() -> Decorator:
    return lambda command: _eps_weights(_mode(_certify(command)))


_eps_weights = click.option(
    "--eps-weights",
    type=Radius(),
    show_default="0.01",
    help="Of joint: by how much each weight may change; several for all layers (0.002,0.01), or by layer"
    " (1=0.01,2=0.02). Biases are not perturbed.",
)
_mode = click.option(
    "--mode",
    type=click.Choice(MODES),
    show_default=MODES[0],
    help="Of joint: both gradients at one point, or the weights' where the inputs have moved.",
)
_certify = click.option(
    "--certify/--no-certify",
    default=None,
    show_default="no-certify",
    help="Of joint, for fcnn: also count the inputs that no perturbation within the radii can change.",
)


def refuse(name: str, owner: str, given: dict[str, Any]) -> None:
    """Options of the attack `owner` beside another."""
    for option, value in given.items():
        if value:
            raise UsageError(f"--{option.replace('_', '-')} belongs to {owner}, not to {name}")


def attacks(
    eps: Sequence[float], clip: bool, eps_weights: Sequence[Radii] | None, mode: str | None, budget: dict[str, Any]
) -> list[JointAttack]:
    """One for each pair of radii. Raises `UsageError` for options that belong to other attacks."""
    usual = {"step_size": None, "norm": "inf", "random_start": False, "restarts": 1, "seed": 0}
    for option, value in usual.items():
        if budget[option] != value:
            raise UsageError(
                f"--{option.replace('_', '-')} does not belong to joint, which starts at the inputs and takes l_inf"
                " steps of a tenth of each radius"
            )
    return [
        JointAttack(
            eps=inputs, eps_weights=weights, mode=mode or MODES[0], steps=budget["steps"] or STEPS,
            clip=(0.0, 1.0) if clip else None,
        )
        for inputs, weights in product(eps, eps_weights or (0.01,))
    ]  # fmt: skip


def evaluate(
    session: Session, attacks: Sequence[JointAttack], examples: int | None, certify: bool | None
) -> list[Outcome]:
    test = session.data.test
    with Bar("attacking (joint)", len(test.labels[:examples]), "images") as bar:
        return joint_fooling(
            session.network, dense(session.params), test.images[:examples], test.labels[:examples], attacks,
            backend=session.backend, dtype=session.config.dtype, certify=bool(certify), progress=bar.update,
        )  # fmt: skip


def radius(weights: Radii) -> str:
    if isinstance(weights, dict):
        return ",".join(f"{name[1:]}={value:g}" for name, value in weights.items())
    return f"{weights:g}"
