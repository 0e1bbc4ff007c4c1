"""refimpl attack"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from refimpl.adversary import IN_L2, STEPS, Attack, Guide
from refimpl.config import EPS_L2
from refimpl.errors import UsageError
from refimpl.evaluate import Outcome, fooling
from refimpl.records import write_outcome
from refimpl.runs import Run
from refimpl.spectra import describe, matched

from . import options
from .console import Bar, note, percent, report, table, warn
from .session import Session, blas_threads, open_run


@click.command()
@click.argument("run", type=options.FOLDER)
@click.option(
    "--attack", "name", type=click.Choice(list(STEPS)), default="pgd", show_default=True, help="Which attack."
)
@click.option(
    "--eps",
    type=options.Numbers(float),
    show_default="0.05; 0.5 for pgd-l2 and lora-pgd",
    help="Budget, or several: 0.01,0.05,0.1. In units of pixels in [0, 1].",
)
@click.option(
    "--steps", type=click.IntRange(min=1), show_default="20 for pgd, 5 for gnm, else 10", help="Number of steps."
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
    guide: Path | None,
    match_nuclear: bool,
    examples: int | None,
    share: float | None,
    save_images: bool,
    data_dir: Path | None,
    backend: str | None,
    threads: int | None,
    clip: bool,
    as_json: bool,
    **budget: Any,
) -> None:
    """Attack the net in RUN and report the fooling ratio.

    The fooling ratio is the share of the correctly classified test inputs whose label changes under attack, with its
    denominator and the exact 95 % interval for that many inputs. Results go to RUN/attacks/.
    """
    pixels = (0.0, 1.0) if clip else None
    budgets = eps or ((EPS_L2,) if name in IN_L2 else (Attack.eps,))
    attacks = [
        Attack(name=name, eps=value, rank=rank, clip=pixels, **budget) for value in budgets for rank in ranks or (None,)
    ]
    if guide and not budget["warm"]:
        raise UsageError("a guide leads a warm start: give --warm beside --guide")
    if match_nuclear and name != "lora-pgd":
        raise UsageError(f"--match-nuclear belongs to lora-pgd, not to {name}")
    session = open_run(run, data_dir, backend, threads, share)
    leader = open_run(guide, data_dir, backend, threads) if guide else None
    follow = (leader.network, leader.params) if leader else None
    with blas_threads(session.config.blas_threads):
        images = session.data.test.images[:examples]
        led: dict[str, Any] = {"guide": str(guide)} if guide else {}
        settings = [led | ({"matched_eps": a.eps} if match_nuclear else {}) for a in attacks]
        if match_nuclear:
            attacks = [matched(a, images, lambda both: evaluate(session, both, examples, follow)) for a in attacks]
        outcomes = evaluate(session, attacks, examples, follow)
        for outcome, more in zip(outcomes, settings, strict=True):
            outcome.summary.update(more | (describe(images, outcome) if name in IN_L2 else {}))
    for spec, outcome in zip(attacks, outcomes, strict=True):
        save(session.run, spec, outcome, session.epoch, save_images, share)
    summaries = [outcome.summary for outcome in outcomes]
    if as_json:
        report({"run": str(run), "epoch": session.epoch, "attacks": summaries})
    else:
        show(summaries)
        note(f"per-example results are in {run / 'attacks'}")


def evaluate(
    session: Session, attacks: Sequence[Attack], examples: int | None, guide: Guide | None = None
) -> list[Outcome]:
    test, what = session.data.test, ", ".join(dict.fromkeys(attack.name for attack in attacks))
    with Bar(f"attacking ({what})", len(test.labels[:examples]), "images") as bar:
        return fooling(
            session.network, session.params, test.images[:examples], test.labels[:examples], attacks,
            backend=session.backend, dtype=session.config.dtype, guide=guide, progress=bar.update,
        )  # fmt: skip


def save(run: Run, attack: Attack, outcome: Outcome, epoch: int, images: bool, truncated: float | None = None) -> None:
    """Of a net truncated to a share of its rank, beside what was found of the net as it is."""
    outcome.summary["epoch"] = epoch
    name = f"{attack}-guided" if "guide" in outcome.summary else str(attack)
    if truncated is not None:
        outcome.summary["truncated"] = truncated
        name += f"-truncated{truncated!r}"
    write_outcome(run.folder / "attacks", name, outcome, images)


def show(summaries: Sequence[dict[str, Any]]) -> None:
    rows = []
    for s in summaries:
        low, high = s["fooling_ratio_interval_95"]
        norm = "" if s["norm"] == "inf" or s["attack"] in IN_L2 else f" l_{s['norm']}"
        norm += f", rank {s['rank']}" if s["rank"] else ""
        interval = f"{100 * low:.2f} to {100 * high:.2f} %"
        counts = f"{s['n_fooled']} of {s['n_correct']}"
        rows.append((s["attack"] + norm, f"{s['eps']:g}", percent(s["fooling_ratio"]), interval, counts))
    table(("attack", "eps", "fooling ratio", "95 % interval", "fooled, of correct"), rows)
    for s in summaries:
        if s["zero_gradients"]:
            warn(
                f"{s['zero_gradients']} of {s['n_correct']} inputs have a zero loss gradient: {s['attack']} cannot move"
                " them, so its fooling ratio is too small (masked gradients, or float32 underflow: try --dtype float64)"
            )
