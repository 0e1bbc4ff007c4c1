"""refimpl attack"""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import click

from refimpl.attacks import ATTACKS, Attack
from refimpl.errors import UsageError
from refimpl.measures import AttackResult, worst_cases
from refimpl.parameters import number
from refimpl.runs.trained import Evaluation, TrainedRun, check_attack

from . import options
from .console import Bar, count, note, percent, report, table, warn
from .derived import CHOSEN, Number, Option, Several, listed, names_of, options_of
from .help import SectionedCommand
from .session import open_run

EVALUATION = "Evaluation"
OWN = [
    Option(
        ["--surrogate"], type=options.RUN, section="Attack", show_default="RUN",
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
        help="Attack so many test images, drawn at random.",
    ),
    Option(
        ["--examples-seed"], type=click.IntRange(min=0), section=EVALUATION, show_default="0",
        help="Seed of that draw.",
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

SHARED = options.parameters(options.where, options.out("the results"), options.as_json())


def _attack(run: Path, as_json: bool, **given: Any) -> None:
    """Attack the net in RUN and report the fooling ratio.

    The fooling ratio is the fraction of the correctly classified test inputs whose label changes under attack, with its
    denominator and the exact 95 % interval for that many inputs. `input-weight` perturbs the weights, too, in one way
    for all these inputs, and RUN stays as it is; --eps 0 perturbs the weights alone. Robust accuracy is the fraction of
    all test inputs that are classified correctly before and under attack. Settings with several values, --eps
    0.01,8/255, are tried one by one, and so are attacks, --attack fgsm,pgd; where several have a budget, also the worst
    case over them is shown, input by input. Results go to RUN/attacks/, those of zoo:NAME only where --out says.
    """
    attacks = _asked(given)
    led, match_nuclear, certify = bool(given["surrogate"]), given["match_nuclear"], given["certify"]
    for one in attacks:
        check_attack(one, led=led, match_nuclear=match_nuclear, certify=certify)
    if given["examples_seed"] is not None and given["examples"] is None:
        raise UsageError("--examples-seed is that of the draw of --examples: give both")
    trained = open_run(run, given)
    if given["truncate"] is not None:
        trained = trained.truncated(given["truncate"])
    how = Evaluation(
        examples=given["examples"],
        examples_seed=given["examples_seed"] or 0,
        surrogate=open_run(given["surrogate"], given) if led else None,
        match_nuclear=match_nuclear,
        certify=certify,
        save_images=given["save_images"],
        out=given["out"],
    )
    results = evaluate(trained, attacks, how)
    summaries, worst = [result.summary for result in results], worst_cases(results)
    if as_json:
        more = {"worst_case": worst} if worst else {}
        report({"run": str(run), "epoch": trained.epoch, "attacks": summaries, **more})
    else:
        show(summaries, worst)
        if all(result.file for result in results):
            note(f"results of each example are in {given['out'] or run / 'attacks'}")
        elif trained.folder is None:
            note(f"{trained.title} is read only: --out names a folder for the results of each example")


def _chooser() -> Option:
    return Option(
        ["--attack"], type=Several(click.Choice(ATTACKS.names())), default="pgd", show_default="pgd", section="Attack",
        help=f"Which attack, or a list of them: {', '.join(ATTACKS.names())}.",
    )  # fmt: skip


def _derived() -> list[Option]:
    """The settings of all attacks."""
    taken = names_of([*OWN, *SHARED, _chooser()])
    return options_of(dict(ATTACKS.items()), "Attack", ("attack", CHOSEN), taken=taken, several=True)


def _parameters() -> list[click.Parameter]:
    return [click.Argument(["run"], type=options.RUN), _chooser(), *_derived(), *OWN, *SHARED]


attack = SectionedCommand("attack", callback=_attack, derive=_parameters, help=_attack.__doc__)


def _asked(given: dict[str, Any]) -> list[Attack]:
    """Of each attack named one for each combination of the values given of its settings.

    Raises `UsageError` for options that none of them has.
    """
    names = list(dict.fromkeys(given["attack"]))
    known = {name: {one.name for one in fields(ATTACKS[name])} for name in names}
    values: dict[str, tuple[Any, ...]] = {}
    lists = []
    for option in _derived():
        value = given[str(option.name)]
        if value is None:
            continue
        field = option.path[-1]
        if not any(field in own for own in known.values()):
            owners = [owner for owner, other in ATTACKS.items() if field in {one.name for one in fields(other)}]
            raise UsageError(f"{option.opts[0]} belongs to {listed(owners)}, not to {listed(names)}")
        values[field] = value if isinstance(value, tuple) else (option.meant(value),)
        if len(values[field]) > 1:
            lists.append(f"{option.opts[0]} was read as {listed(list(map(str, value)))}")
    try:
        return [one for name in names for one in _combined(ATTACKS[name], values, known[name])]
    except UsageError as error:
        raise UsageError("; ".join([str(error), *lists])) from None


def _combined(kind: type[Attack], values: Mapping[str, tuple[Any, ...]], known: set[str]) -> list[Attack]:
    own = {field: several for field, several in values.items() if field in known}
    return [kind(**dict(zip(own, chosen, strict=True))) for chosen in itertools.product(*own.values())]


def evaluate(trained: TrainedRun, attacks: Sequence[Attack], how: Evaluation) -> list[AttackResult]:
    """The attacks on the test images, with a bar."""
    names = ", ".join(dict.fromkeys(attack.name for attack in attacks))
    n = len(trained.data.test.labels)
    n = min(n, how.examples or n)
    with Bar(f"attacking ({names})", n, "images") as bar:
        return trained.attack_all(attacks, how, bar.update)


def show(summaries: Sequence[dict[str, Any]], worst: Sequence[dict[str, Any]] = ()) -> None:
    """A table of fooling ratios and robust accuracy, then what the reader must know of each."""
    rows = [(_named(s), *_numbers(s)) for s in summaries]
    rows += [("worst case, by input" + (f", l_{s['norm']}" if s["norm"] != "inf" else ""), *_numbers(s)) for s in worst]
    columns = ("attack", "eps", "fooling ratio", "95 % interval", "fooled, of correct", "robust accuracy")
    table(columns, rows)
    for s in summaries[:1]:
        if "examples_seed" in s:
            note(f"on {count(s['n'], 'test image')} drawn at random, seed {s['examples_seed']}")
    for s in summaries:
        if "median_distance" in s:
            found = "none" if not math.isfinite(s["median_distance"]) else f"{s['median_distance']:.4g}"
            note(f"{_named(s)}, eps {_budget(s)}: median of the smallest perturbations, l_{s['norm']} norm: {found}")
        if "n_reached" in s:
            note(f"{_named(s)}: {s['n_reached']} of the fooled are given class {s['target_class']}, which was aimed at")
        if "n_certified" in s:
            note(f"certified at eps {_budget(s)}: {s['n_certified']} of {s['n_correct']}")
        if s["zero_gradients"]:
            warn(
                f"{s['zero_gradients']} of {s['n_correct']} inputs have a zero loss gradient: {s['attack']} cannot move"
                " them, so its fooling ratio is too small (masked gradients, or float32 underflow: try --dtype float64)"
            )


def _named(s: dict[str, Any]) -> str:
    """The attack, with its norm where that is not the usual one, and its rank."""
    norm = "" if s["norm"] == ATTACKS[s["attack"]]().ball else f" l_{s['norm']}"
    return s["attack"] + norm + (f", rank {s['rank']}" if s.get("rank") else "")


def _numbers(s: dict[str, Any]) -> tuple[str, ...]:
    low, high = s["fooling_ratio_interval_95"]
    interval, counts = f"{100 * low:.2f} to {100 * high:.2f} %", f"{s['n_fooled']} of {s['n_correct']}"
    return _budget(s), percent(s["fooling_ratio"]), interval, counts, percent(s["robust_accuracy"])


def _eps(eps: float) -> str:
    """A budget in pixels, as grey levels over 255 where it is a whole number of them and no short decimal."""
    levels = round(eps * 255)
    return f"{levels}/255" if eps == levels / 255 and float(f"{eps:.3g}") != eps else f"{eps:g}"


def _budget(summary: dict[str, Any]) -> str:
    radii = summary.get("eps_weights")
    if isinstance(radii, dict):
        return (
            f"{_eps(summary['eps'])}, weights {','.join(f'{number(name)}={value:g}' for name, value in radii.items())}"
        )
    return _eps(summary["eps"]) + ("" if radii is None else f", weights {radii:g}")
