"""refimpl attack"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from refimpl.adversary import ATTACKS, Attack
from refimpl.evaluate import Outcome, fooling
from refimpl.records import write_outcome
from refimpl.runs import Run

from . import joint, options
from .console import Bar, note, percent, report, table, warn
from .session import Session, blas_threads, open_run


@click.command()
@click.argument("run", type=options.FOLDER)
@click.option(
    "--attack", "name", type=click.Choice((*ATTACKS, "joint")), default="pgd", show_default=True, help="Which attack."
)
@click.option(
    "--eps",
    type=options.Numbers(float),
    default="0.05",
    show_default=True,
    help="Budget, or several: 0.01,0.05,0.1. In units of pixels in [0, 1].",
)
@click.option(
    "--steps", type=click.IntRange(min=1), show_default="20 for pgd and joint, 5 for gnm", help="Number of steps."
)
@click.option("--step-size", type=float, show_default="eps/10", help="Of pgd, in units of pixels.")
@click.option(
    "--norm",
    type=click.Choice(["inf", "2", "1"]),
    default="inf",
    show_default=True,
    help="Of the budget; 2 and 1 for gnm.",
)
@joint.options()
@options.clip()
@click.option("--random-start/--no-random-start", default=False, show_default=True, help="Of pgd, within the budget.")
@click.option(
    "--restarts",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Random starts of pgd; for each example the strongest counts.",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the random starts.")
@click.option(
    "--examples", type=click.IntRange(min=1), show_default="all", help="Attack the first so many test images."
)
@click.option(
    "--save-images/--no-save-images",
    default=True,
    show_default=True,
    help="Keep the adversarial images, as they are, beside the result of each example.",
)
@options.data_dir()
@options.backend()
@options.threads()
@options.as_json()
def attack(
    run: Path,
    name: str,
    eps: tuple[float, ...],
    examples: int | None,
    save_images: bool,
    data_dir: Path | None,
    backend: str | None,
    threads: int | None,
    clip: bool,
    eps_weights: tuple[joint.Radii, ...] | None,
    mode: str | None,
    certify: bool | None,
    as_json: bool,
    **budget: Any,
) -> None:
    """Attack the net in RUN and report the fooling ratio.

    The fooling ratio is the share of the correctly classified test inputs whose label changes under attack, with its
    denominator and the exact 95 % interval for that many inputs. `joint` perturbs the weights, too, in one way for all
    these inputs, and RUN stays as it is; --eps 0 perturbs the weights alone. Results go to RUN/attacks/.
    """
    pixels = (0.0, 1.0) if clip else None
    together: list[joint.JointAttack] = []
    apart: list[Attack] = []
    if name == "joint":
        together = joint.attacks(eps, clip, eps_weights, mode, budget)
    else:
        joint.refuse(name, {"eps_weights": eps_weights, "mode": mode, "certify": certify})
        apart = [Attack(name=name, eps=value, clip=pixels, **budget) for value in eps]
    session = open_run(run, data_dir, backend, threads)
    with blas_threads(session.config.blas_threads):
        if together:
            outcomes = joint.evaluate(session, together, examples, certify)
        else:
            outcomes = evaluate(session, apart, examples)
    specs: Sequence[Attack | joint.JointAttack] = together or apart
    for spec, outcome in zip(specs, outcomes, strict=True):
        save(session.run, spec, outcome, session.epoch, save_images)
    summaries = [outcome.summary for outcome in outcomes]
    if as_json:
        report({"run": str(run), "epoch": session.epoch, "attacks": summaries})
    else:
        show(summaries)
        note(f"per-example results are in {run / 'attacks'}")


def evaluate(session: Session, attacks: Sequence[Attack], examples: int | None) -> list[Outcome]:
    test, what = session.data.test, ", ".join(dict.fromkeys(attack.name for attack in attacks))
    with Bar(f"attacking ({what})", len(test.labels[:examples]), "images") as bar:
        return fooling(
            session.network, session.params, test.images[:examples], test.labels[:examples], attacks,
            backend=session.backend, dtype=session.config.dtype, progress=bar.update,
        )  # fmt: skip


def save(run: Run, attack: Attack | joint.JointAttack, outcome: Outcome, epoch: int, images: bool) -> None:
    outcome.summary["epoch"] = epoch
    write_outcome(run.folder / "attacks", str(attack), outcome, images)


def show(summaries: Sequence[dict[str, Any]]) -> None:
    rows = []
    for s in summaries:
        low, high = s["fooling_ratio_interval_95"]
        norm = "" if s["norm"] == "inf" else f" l_{s['norm']}"
        interval = f"{100 * low:.2f} to {100 * high:.2f} %"
        counts = f"{s['n_fooled']} of {s['n_correct']}"
        weights = f", weights {joint.radius(s['eps_weights'])}" if "eps_weights" in s else ""
        rows.append((s["attack"] + norm, f"{s['eps']:g}{weights}", percent(s["fooling_ratio"]), interval, counts))
    table(("attack", "eps", "fooling ratio", "95 % interval", "fooled, of correct"), rows)
    for s in summaries:
        if "n_certified" in s:
            note(f"certified at eps {s['eps']:g}, weights {joint.radius(s['eps_weights'])}:"
                 f" {s['n_certified']} of {s['n_correct']}")  # fmt: skip
        if s["zero_gradients"]:
            warn(
                f"{s['zero_gradients']} of {s['n_correct']} inputs have a zero loss gradient: {s['attack']} cannot move"
                " them, so its fooling ratio is too small (masked gradients, or float32 underflow: try --dtype float64)"
            )
