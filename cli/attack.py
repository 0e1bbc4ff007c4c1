"""refimpl attack"""

import hashlib
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import click

from refimpl.attacks import ATTACKS, Attack, InputAttack, InputWeight
from refimpl.errors import DataError, UsageError
from refimpl.measures import AttackResult, LabelledImages, fooling, fooling_weights
from refimpl.measures.perturbation_spectrum import describe, matched
from refimpl.runs.results import write_result
from refimpl.runs.session import Session, full, truncated

from . import options
from .console import Bar, note, percent, report, table, warn
from .derived import CHOSEN, Number, Option, listed, names_of, options_of
from .help import SectionedCommand
from .session import blas_threads, open_run

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


@dataclass(frozen=True)
class Evaluation:
    """How attacks are carried out: on how many test images, following which net, with what else, of which net."""

    examples: int | None = None
    surrogate: Session | None = None
    match_nuclear: bool = False
    certify: bool = False
    truncated: float | None = None


def _attack(run: Path, as_json: bool, **given: Any) -> None:
    """Attack the net in RUN and report the fooling ratio.

    The fooling ratio is the share of the correctly classified test inputs whose label changes under attack, with its
    denominator and the exact 95 % interval for that many inputs. `input-weight` perturbs the weights, too, in one way
    for all these inputs, and RUN stays as it is; --eps 0 perturbs the weights alone. Settings with several values,
    --eps 0.01,8/255, are tried one by one. Results go to RUN/attacks/.
    """
    attacks = _asked(given)
    _check(attacks[0], given)
    session = open_run(run, given)
    if given["truncate"] is not None:
        session = truncated(session, given["truncate"])
    surrogate = open_run(given["surrogate"], given) if given["surrogate"] else None
    how = Evaluation(given["examples"], surrogate, given["match_nuclear"], given["certify"], given["truncate"])
    with blas_threads(session.config.blas_threads):
        attacks, results = carried_out(session, attacks, how)
    saved = save(session, [_called(spec, how) for spec in attacks], results, given["save_images"])
    summaries = [result.summary for result in results]
    if as_json:
        report({"run": str(run), "epoch": session.epoch, "attacks": summaries})
    else:
        show(summaries)
        if saved:
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


def _check(attack: Attack, given: dict[str, Any]) -> None:
    """Options beside an attack's own settings that make no sense with it."""
    follows = isinstance(attack, InputAttack) and attack.follows_surrogate
    if given["surrogate"] and not (follows and getattr(attack, "warm_start", True)):
        raise UsageError("a surrogate leads a warm start: give --attack lora-pgd --warm-start beside --surrogate")
    if given["match_nuclear"] and not follows:
        raise UsageError(f"--match-nuclear belongs to lora-pgd, not to {attack.name}")
    if given["certify"] and not isinstance(attack, InputWeight):
        raise UsageError(f"--certify belongs to input-weight, not to {attack.name}")


def carried_out(
    session: Session, attacks: Sequence[Attack], how: Evaluation
) -> tuple[list[Attack], list[AttackResult]]:
    """The attacks with the budgets that were used in the end, and what came of each."""
    shape = session.data.shape
    asked: list[Any] = [attack.for_images(shape) for attack in attacks]
    if isinstance(asked[0], InputWeight):
        return asked, _marked(_perturb_weights(full(session), asked, how), how)
    images = session.data.test.images[: how.examples]
    led = {"surrogate": str(how.surrogate.run.folder)} if how.surrogate else {}
    more = [led | ({"matched_eps": one.eps} if how.match_nuclear else {}) for one in asked]
    if how.match_nuclear:
        asked = [matched(one, images, lambda both: evaluate(session, both, how)) for one in asked]
    results = evaluate(session, asked, how)
    for one, result, settings in zip(asked, results, more, strict=True):
        result.summary.update(settings | (describe(images, result) if one.ball == "2" and shape[0] == 1 else {}))
    return asked, _marked(results, how)


def _marked(results: list[AttackResult], how: Evaluation) -> list[AttackResult]:
    """The results, saying where they are of a truncated net."""
    for result in results:
        result.summary.update({} if how.truncated is None else {"truncated": how.truncated})
    return results


def evaluate(session: Session, attacks: Sequence[InputAttack], how: Evaluation = Evaluation()) -> list[AttackResult]:
    """The attacks on the test images, with a bar."""
    inputs = _inputs(session, how)
    follow = how.surrogate.network.gradients(how.surrogate.params) if how.surrogate else None
    names = ", ".join(dict.fromkeys(attack.name for attack in attacks))
    with Bar(f"attacking ({names})", len(inputs.labels), "images") as bar:
        return fooling(session.network, session.params, inputs, attacks, surrogate=follow, progress=bar.update)


def _perturb_weights(session: Session, attacks: Sequence[InputWeight], how: Evaluation) -> list[AttackResult]:
    inputs = _inputs(session, how)
    with Bar("attacking (input-weight)", len(inputs.labels), "images") as bar:
        return fooling_weights(
            session.network, session.params, inputs, attacks, certify=how.certify, progress=bar.update
        )


def _inputs(session: Session, how: Evaluation) -> LabelledImages:
    test = session.data.test
    return LabelledImages(
        test.images[: how.examples], test.labels[: how.examples], session.backend, session.config.dtype
    )


def _called(attack: Attack, how: Evaluation) -> str:
    """A name for files with everything that makes the result another one."""
    parts = [str(attack)]
    if how.surrogate:
        folder = how.surrogate.run.folder.resolve()
        parts.append(f"surrogate-{folder.name}-{hashlib.sha256(bytes(folder)).hexdigest()[:8]}")
    if how.match_nuclear:
        parts.append("matched")
    if how.truncated is not None:
        parts.append(f"truncated{how.truncated!r}")
    if how.examples is not None:
        parts.append(f"first{how.examples}")
    return "-".join(parts)


def save(session: Session, called: Sequence[str], results: Sequence[AttackResult], images: bool) -> bool:
    """Whether the results could be written; one line where they could not, as in a course's read-only runs."""
    for result in results:
        result.summary.update(session.origin)
    try:
        for name, result in zip(called, results, strict=True):
            write_result(session.run.folder / "attacks", name, result, images)
    except DataError as error:
        warn(f"the results could not be saved: {error}")
        return False
    return True


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
