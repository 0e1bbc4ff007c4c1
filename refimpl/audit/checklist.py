"""The list of "On Evaluating Adversarial Robustness" (Carlini et al. 2019), in our words, answered from an audit."""

from dataclasses import dataclass
from typing import Any

from .run_checks import Audit

SEVERE, PITFALLS, SPECIAL = "severe flaws", "common pitfalls", "special cases"


@dataclass(frozen=True)
class Item:
    """`says` is what an evaluation should do; `checks` are those that answer it, `words` an answer without a check.

    An item without either was not done, and `todo` says why, or what is left to do.
    """

    part: str
    says: str
    checks: tuple[str, ...] = ()
    words: str = ""
    todo: str = ""


THREAT = (
    "each pixel may change by eps {eps:g}, {pixels}; the attacker knows the net and wants any label but the true one"
)

ITEMS = (
    Item(SEVERE, "think about this evaluation, not only about its list", todo="nobody can do it for you"),
    Item(SEVERE, "state a precise threat model", words=THREAT),
    Item(
        SEVERE, "attack the whole defence, with a loss that fits it",
        ("slope", "zero-gradients", "dlr", "loss-scale"),
    ),
    Item(SEVERE, "release model and source", words="the run folder holds configuration, weights and their hashes"),
    Item(SEVERE, "report clean accuracy", words="{accuracy} of {n} images"),
    Item(SEVERE, "iterative attacks beat single steps", ("attack-order",)),
    Item(SEVERE, "a larger budget fools more, up to all", ("security-curve",)),
    Item(SEVERE, "draw success against budget", ("security-curve",)),
    Item(SEVERE, "report distances of attacks without a budget", ("smallest-perturbation",)),
    Item(
        SEVERE, "attacks that know the net beat all others, example by example",
        ("square", "noise", "random-signs", "transfer-seed", "transfer-natural"),
    ),
    Item(SEVERE, "describe the attacks with all their parameters", words="{attacks} attacks, in a table"),
    Item(PITFALLS, "apply a diverse set of attacks", words="{kinds}"),
    Item(PITFALLS, "try an attack without gradients", ("square",)),
    Item(PITFALLS, "try an attack that sees labels alone", todo="there is no decision-based attack here"),
    Item(PITFALLS, "transfer from a substitute as similar as possible", ("transfer-seed", "transfer-natural")),
    Item(PITFALLS, "average over randomness", ("deterministic",)),
    Item(PITFALLS, "differentiate through what has no derivative", ("slope", "zero-gradients")),
    Item(PITFALLS, "twice the iterations change nothing", ("twice-the-steps", "incomplete-optimization")),
    Item(
        PITFALLS, "explore step sizes and other parameters", ("silent-success", "loss-scale"),
        todo="repeat with other --step-size",
    ),
    Item(PITFALLS, "start at random points", ("attack-order",)),
    Item(PITFALLS, "compare with earlier work", todo="`refimpl compare` puts runs beside each other, not other work"),
    Item(
        PITFALLS, "test broader threat models: rotations, translations, corruptions",
        todo="l_inf alone is audited; `refimpl attack RUN --attack pgd-l2` attacks in l_2",
    ),
    Item(PITFALLS, "add noise of growing strength", todo="noise of strength eps alone is added"),
    Item(SPECIAL, "prove what can be proved", ("certificates",)),
    Item(SPECIAL, "try random noise of the right norm", ("noise", "random-signs")),
    Item(
        SPECIAL, "use targeted attacks and untargeted ones",
        words="one APGD aims at each other class in turn, the rest are untargeted",
    ),
    Item(SPECIAL, "remove parts of the defence one by one", ("transfer-natural", "weight-scale")),
    Item(
        SPECIAL, "validate attacks on defences that are known to be broken",
        words="the tests of the audit turn it on nets that are broken on purpose",
    ),
    Item(SPECIAL, "say whether it is about images alone", words="images alone"),
    Item(SPECIAL, "report the worst case for each example", ("worst-case",)),
)  # fmt: skip


def answered(audit: Audit) -> list[dict[str, Any]]:
    """A row for each item: its part of the list, what it says, `done`, and the answer."""
    facts, rows = _facts(audit), []
    for item in ITEMS:
        found = {name: audit.findings[name] for name in item.checks if name in audit.findings}
        missing = [name for name in item.checks if name not in found or not found[name].done]
        answers = [f"{name}: {one.colour}, {one.value}" for name, one in found.items() if one.done]
        done = bool(item.words) or (bool(item.checks) and not missing)
        said = [item.words.format(**facts)] if item.words else answers
        said += [f"not done: {', '.join(missing)}"] if missing else []
        said += [item.todo] if item.todo else []
        rows.append({"part": item.part, "says": item.says, "done": done, "answer": "; ".join(said)})
    return rows


def _facts(audit: Audit) -> dict[str, Any]:
    subject = audit.subject
    kinds = dict.fromkeys(one.attack.name for one in subject.attacks.values())
    return {
        "eps": subject.eps,
        "pixels": "and stays in [0, 1]" if subject.clip else "without limit",
        "accuracy": f"{100 * len(subject.y) / subject.n:.2f} %",
        "n": str(subject.n),
        "attacks": str(len(subject.attacks)),
        "kinds": ", ".join(kinds),
    }
