"""refimpl attack"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from refimpl.attacks.base import IN_L2, STEPS, Attack, Guide
from refimpl.errors import UsageError
from refimpl.measures.fooling import Outcome, fooling
from refimpl.measures.perturbation_spectrum import describe, matched
from refimpl.runs.config import EPS_L2
from refimpl.runs.folder import Run
from refimpl.runs.results import write_outcome

from . import joint, options
from .console import Bar, note, percent, report, table, warn
from .session import Session, blas_threads, open_run


@click.command()
@click.argument("run", type=options.FOLDER)
@click.option(
    "--attack", "name", type=click.Choice([*STEPS, "joint"]), default="pgd", show_default=True, help="Which attack."
)
@click.option(
    "--eps",
    type=options.Numbers(float),
    show_default="0.05; 0.5 for pgd-l2 and lora-pgd",
    help="Budget, or several: 0.01,0.05,0.1. In units of pixels in [0, 1].",
)
@click.option(
    "--steps",
    type=click.IntRange(min=1),
    show_default="20 for pgd and joint, 5 for gnm, else 10",
    help="Number of steps.",
)
@click.option(
    "--step-size", type=float, show_default="eps/10; pgd-l2 1.8 eps/steps", help="Of pgd, pgd-l2, in units of pixels."
)
@click.option(
    "--norm",
    type=click.Choice(["inf", "2", "1"]),
    default="inf",
    show_default=True,
    help="Of the budget; 2 and 1 for gnm. pgd-l2 and lora-pgd have the norm 2.",
)
@click.option(
    "--rank",
    "ranks",
    type=options.Ranks(),
    show_default="lora-pgd 3, pgd-l2 full",
    help="Of the perturbation: a number, a share, 10%, or several: 1,3,50%. pgd-l2 is truncated to it at the end.",
)
@click.option("--warm", is_flag=True, help="Start lora-pgd at one step of PGD, truncated, not at random factors.")
@click.option("--guide", type=options.FOLDER, help="Of a warm start: the run whose gradient it follows. [default: RUN]")
@click.option("--match-nuclear", is_flag=True, help="Scale eps of lora-pgd until its nuclear norm is that of pgd-l2.")
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
    "--truncate",
    "share",
    type=options.Share(),
    help="Attack the net with its layers, but the last, truncated to this share of their full rank, 50% or 0.5.",
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
    eps: tuple[float, ...] | None,
    ranks: tuple[int, ...] | None,
    warm: bool,
    guide: Path | None,
    match_nuclear: bool,
    examples: int | None,
    share: float | None,
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
    budgets = eps or ((EPS_L2,) if name in IN_L2 else (Attack.eps,))
    if name == "joint":
        others = {"rank": ranks, "warm": warm, "guide": guide, "match_nuclear": match_nuclear}
        joint.refuse(name, "attacks in the l_2 ball", others)
        together = joint.attacks(budgets, clip, eps_weights, mode, budget)
        session = open_run(run, data_dir, backend, threads, share)
        with blas_threads(session.config.blas_threads):
            outcomes = joint.evaluate(session, together, examples, certify)
        names = [str(spec) for spec in together]
    else:
        joint.refuse(name, "joint", {"eps_weights": eps_weights, "mode": mode, "certify": certify})
        if guide and not warm:
            raise UsageError("a guide leads a warm start: give --warm beside --guide")
        if match_nuclear and name != "lora-pgd":
            raise UsageError(f"--match-nuclear belongs to lora-pgd, not to {name}")
        apart = [
            Attack(name=name, eps=value, rank=rank, warm=warm, clip=pixels, **budget)
            for value in budgets
            for rank in ranks or (None,)
        ]
        session = open_run(run, data_dir, backend, threads, share)
        leader = open_run(guide, data_dir, backend, threads) if guide else None
        with blas_threads(session.config.blas_threads):
            apart, outcomes = _apart(session, apart, examples, leader, match_nuclear)
        names = [str(spec) for spec in apart]
    for called, outcome in zip(names, outcomes, strict=True):
        save(session.run, called, outcome, session.epoch, save_images, share)
    summaries = [outcome.summary for outcome in outcomes]
    if as_json:
        report({"run": str(run), "epoch": session.epoch, "attacks": summaries})
    else:
        show(summaries)
        note(f"per-example results are in {run / 'attacks'}")


def _apart(
    session: Session, attacks: list[Attack], examples: int | None, leader: Session | None, match_nuclear: bool
) -> tuple[list[Attack], list[Outcome]]:
    """What each input by itself is put to, with the budgets that were used in the end."""
    images = session.data.test.images[:examples]
    follow = (leader.network, leader.params) if leader else None
    led: dict[str, Any] = {"guide": str(leader.run.folder)} if leader else {}
    settings = [led | ({"matched_eps": a.eps} if match_nuclear else {}) for a in attacks]
    if match_nuclear:
        attacks = [matched(a, images, lambda both: evaluate(session, both, examples, follow)) for a in attacks]
    outcomes = evaluate(session, attacks, examples, follow)
    for outcome, more in zip(outcomes, settings, strict=True):
        described = describe(images, outcome) if outcome.summary["attack"] in IN_L2 else {}
        outcome.summary.update(more | described)
    return attacks, outcomes


def evaluate(
    session: Session, attacks: Sequence[Attack], examples: int | None, guide: Guide | None = None
) -> list[Outcome]:
    test, what = session.data.test, ", ".join(dict.fromkeys(attack.name for attack in attacks))
    with Bar(f"attacking ({what})", len(test.labels[:examples]), "images") as bar:
        return fooling(
            session.network, session.params, test.images[:examples], test.labels[:examples], attacks,
            backend=session.backend, dtype=session.config.dtype, guide=guide, progress=bar.update,
        )  # fmt: skip


def save(run: Run, called: str, outcome: Outcome, epoch: int, images: bool, truncated: float | None = None) -> None:
    """Of a net truncated to a share of its rank, beside what was found of the net as it is."""
    outcome.summary["epoch"] = epoch
    name = f"{called}-guided" if "guide" in outcome.summary else called
    if truncated is not None:
        outcome.summary["truncated"] = truncated
        name += f"-truncated{truncated!r}"
    write_outcome(run.folder / "attacks", name, outcome, images)


def show(summaries: Sequence[dict[str, Any]]) -> None:
    rows = []
    for s in summaries:
        low, high = s["fooling_ratio_interval_95"]
        norm = "" if s["norm"] == "inf" or s["attack"] in IN_L2 else f" l_{s['norm']}"
        norm += f", rank {s['rank']}" if s.get("rank") else ""
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
