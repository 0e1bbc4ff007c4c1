"""refimpl attack"""

import itertools
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import click

from refimpl.attacks import ATTACKS, Attack
from refimpl.errors import UsageError
from refimpl.measures import AttackResult
from refimpl.runs.trained import Evaluation, TrainedRun, check_attack

from . import options
from .console import Bar, note, percent, report, table, warn
from .derived import CHOSEN, Number, Option, listed, names_of, options_of
from .help import SectionedCommand
from .session import open_run

EVALUATION = "Evaluation"
OWN = [
    Option(
        ["--surrogate"], type=options.FOLDER, section="Attack", show_default="RUN",
        help="Of a warm start: the run whose gradient it follows.",
    ),
    Option(
        ["--match-nuclear"], is_flag=True, section="Attack",
        help="Scale eps of lora-pgd until its nuclear norm is that of pgd-l2.",
    ),
    Option(
        ["--certify"], is_flag=True, section="Attack",
        help="Of input-weight, for fcnn: also count the inputs that no perturbation within the radii can change.",
    ),
    Option(
        ["--examples"], type=click.IntRange(min=1), section=EVALUATION, show_default="all",
        help="Attack the first so many test images.",
    ),
    Option(
        ["--truncate"], type=Number(), section=EVALUATION,
        help="Attack the net with all layers but the last truncated to this fraction of the rank, 50% or 0.5.",
    ),
    Option(
        ["--save-images/--no-save-images"], default=False, show_default="no", section=EVALUATION,
        help="Keep the adversarial images, as they are, beside the result of each example.",
    ),
]  # fmt: skip

SHARED = options.parameters(options.where, options.as_json())


def _attack(run: Path, as_json: bool, **given: Any) -> None:
    """Attack the net in RUN and report the fooling ratio.

    The fooling ratio is the share of the correctly classified test inputs whose label changes under attack, with its
    denominator and the exact 95 % interval for that many inputs. `input-weight` perturbs the weights, too, in one way
    for all these inputs, and RUN stays as it is; --eps 0 perturbs the weights alone. Settings with several values,
    --eps 0.01,8/255, are tried one by one. Results go to RUN/attacks/.
    """
    attacks = _asked(given)
    led, match_nuclear, certify = bool(given["surrogate"]), given["match_nuclear"], given["certify"]
    check_attack(attacks[0], led=led, match_nuclear=match_nuclear, certify=certify)
    trained = open_run(run, given)
    if given["truncate"] is not None:
        trained = trained.truncated(given["truncate"])
    how = Evaluation(
        examples=given["examples"],
        surrogate=open_run(given["surrogate"], given) if led else None,
        match_nuclear=match_nuclear,
        certify=certify,
        save_images=given["save_images"],
    )
    results = evaluate(trained, attacks, how)
    summaries = [result.summary for result in results]
    if as_json:
        report({"run": str(run), "epoch": trained.epoch, "attacks": summaries})
    else:
        show(summaries)
        if all(result.file for result in results):
            note(f"results of each example are in {run / 'attacks'}")


def _chooser() -> Option:
    return Option(
        ["--attack"], type=click.Choice(ATTACKS.names()), default="pgd", show_default="pgd", section="Attack",
        help="Which attack.",
    )  # fmt: skip


def _derived() -> list[Option]:
    """The settings of all attacks."""
    taken = names_of([*OWN, *SHARED, _chooser()])
    return options_of(dict(ATTACKS.items()), "Attack", ("attack", CHOSEN), taken=taken, several=True)


def _parameters() -> list[click.Parameter]:
    return [click.Argument(["run"], type=options.FOLDER), _chooser(), *_derived(), *OWN, *SHARED]


attack = SectionedCommand("attack", callback=_attack, derive=_parameters, help=_attack.__doc__)


def _asked(given: dict[str, Any]) -> list[Attack]:
    """One attack for each combination of the values given. Raises `UsageError` for options of other attacks."""
    name, kind = given["attack"], ATTACKS[given["attack"]]
    known = {one.name for one in fields(kind)}
    values: dict[str, tuple[Any, ...]] = {}
    lists = []
    for option in _derived():
        value = given[str(option.name)]
        if value is None:
            continue
        field = option.path[-1]
        if field not in known:
            owners = [owner for owner, other in ATTACKS.items() if field in {one.name for one in fields(other)}]
            raise UsageError(f"{option.opts[0]} belongs to {listed(owners)}, not to {name}")
        values[field] = value if isinstance(value, tuple) else (option.meant(value),)
        if len(values[field]) > 1:
            lists.append(f"{option.opts[0]} was read as {listed(list(map(str, value)))}")
    try:
        return [kind(**dict(zip(values, chosen, strict=True))) for chosen in itertools.product(*values.values())]
    except UsageError as error:
        raise UsageError("; ".join([str(error), *lists])) from None


def evaluate(trained: TrainedRun, attacks: Sequence[Attack], how: Evaluation) -> list[AttackResult]:
    """The attacks on the test images, with a bar."""
    names = ", ".join(dict.fromkeys(attack.name for attack in attacks))
    n = len(trained.data.test.labels[: how.examples])
    with Bar(f"attacking ({names})", n, "images") as bar:
        return trained.attack_all(attacks, how, bar.update)


def show(summaries: Sequence[dict[str, Any]]) -> None:
    """A table of fooling ratios, then what the reader must know of each."""
    rows = []
    for s in summaries:
        low, high = s["fooling_ratio_interval_95"]
        about = ATTACKS[s["attack"]]().ball
        norm = "" if s["norm"] == about else f" l_{s['norm']}"
        norm += f", rank {s['rank']}" if s.get("rank") else ""
        interval = f"{100 * low:.2f} to {100 * high:.2f} %"
        counts = f"{s['n_fooled']} of {s['n_correct']}"
        rows.append((s["attack"] + norm, _budget(s), percent(s["fooling_ratio"]), interval, counts))
    table(("attack", "eps", "fooling ratio", "95 % interval", "fooled, of correct"), rows)
    for s in summaries:
        if "n_certified" in s:
            note(f"certified at eps {_budget(s)}: {s['n_certified']} of {s['n_correct']}")
        if s["zero_gradients"]:
            warn(
                f"{s['zero_gradients']} of {s['n_correct']} inputs have a zero loss gradient: {s['attack']} cannot move"
                " them, so its fooling ratio is too small (masked gradients, or float32 underflow: try --dtype float64)"
            )


def _budget(summary: dict[str, Any]) -> str:
    radii = summary.get("eps_weights")
    if isinstance(radii, dict):
        return f"{summary['eps']:g}, weights {','.join(f'{name[1:]}={value:g}' for name, value in radii.items())}"
    return f"{summary['eps']:g}" + ("" if radii is None else f", weights {radii:g}")
