"""The page of an audit: its checks, the worst case, the curve, slices of the loss, the attacks, the checklist."""

import base64
import io
from collections.abc import Iterator, Mapping
from html import escape
from itertools import groupby
from typing import Any

from refimpl.webpage import Markup, Section, definitions, made_with, table, webpage

UNBROKEN = "\u2011"
"""A hyphen at which no line breaks."""
COLOURS = ("red", "amber", "green", "grey")
OF_EVERY_ATTACK = (
    "attack", "norm", "by", "eps", "clip", "n", "n_correct", "n_fooled", "fooling_ratio", "robust_accuracy", "seconds",
)  # fmt: skip
TERMS = {
    "red": "the number cannot be trusted: the net or an attack is not what the other attacks take it for",
    "amber": "to be looked at, or not done",
    "green": "nothing speaks against the number",
    "grey": "does not apply, or has no verdict",
    "fooling ratio": "the fraction of the correctly classified images whose label changes under attack",
    "robust accuracy": "the fraction of all images that are classified correctly, and still so under attack",
    "worst case": "an image counts as fooled where at least one attack within the budget fools it",
    "0.2 points": "what comparisons of attacks may be off by: more than that, and more than one image, is red",
}


def page(found: Mapping[str, Any]) -> str:
    """The HTML of what audit.json holds."""
    return webpage(f"Audit of {found['run']}", _summary(found), list(sections(found)), _provenance(found))


def sections(found: Mapping[str, Any]) -> Iterator[Section]:
    """The parts of the page, which other pages may show, too."""
    details = {one["check"]: one["details"] for one in found["checks"]}
    yield Section("terms", "Terms", definitions(TERMS))
    yield Section("checks", "Checks", _checks(found))
    yield Section("worst-case", "Worst case", _worst_case(found, details.get("worst-case", {})))
    if "curve" in details.get("security-curve", {}):
        yield Section("curve", "Robust accuracy against eps", _curve(details["security-curve"]["curve"], found))
    if "slices" in details.get("loss-surface", {}):
        yield Section("surface", "Slices of the loss surface", _slices(details["loss-surface"]["slices"], found))
    yield Section("attacks", "Attacks and their parameters", _attacks(found))
    yield Section("checklist", "On Evaluating Adversarial Robustness", _checklist(found))


def _summary(found: Mapping[str, Any]) -> Markup:
    low, high = found["robust_accuracy_interval_95"]
    counts = []
    for colour in COLOURS:
        names = [one["check"] for one in found["checks"] if one["colour"] == colour]
        if names:
            said = f": {', '.join(names)}" if colour == "red" else ""
            counts.append(f'<span class="{colour}">{len(names)} {colour}{escape(said)}</span>')
    robust = f"{100 * found['robust_accuracy']:.2f} % ({100 * low:.2f} to {100 * high:.2f} %, 95 % interval)"
    return Markup(
        f"Of {len(found['checks'])} checks {', '.join(counts)}. Robust accuracy in the worst case of"
        f" {len(found['attacks'])} attacks at eps {found['settings']['eps']:g}: {robust}, of {found['n']} images."
    )


def _provenance(found: Mapping[str, Any]) -> dict[str, str]:
    return made_with(
        run=f"{found['run']}, {found['network']}, {found['method']} training, epoch {found['epoch']}",
        data=found["dataset"],
        checkpoint=f"SHA-256 {found['checkpoint_sha256']}",
        examples_and_starts=f"seed {found['settings']['seed']}",
        duration=f"{found['seconds']:.0f} seconds",
    )


def _checks(found: Mapping[str, Any]) -> str:
    rows = []
    for one in found["checks"]:
        todo = f" To do: {one['todo']}." if one["todo"] else ""
        verdict = Markup(f'<span class="{one["colour"]}">{one["colour"]}</span>')
        rows.append((one["check"], verdict, one["value"], one["reason"] + "." + todo, one["asks"], one["source"]))
    return table("One line a check", ("check", "verdict", "finding", "reason", "question", "source"), rows)


def _worst_case(found: Mapping[str, Any], details: Mapping[str, Any]) -> str:
    first, alone = details.get("found_first", {}), details.get("found_alone", {})
    if not first:
        return "<p>No attack fooled an image within the budget.</p>"
    rows = [(name, str(count), str(alone.get(name, 0))) for name, count in first.items()]
    names = ("attack", "first to fool", "alone in fooling")
    return table(
        "Which attack found the adversarial examples, in the order in which they were carried out", names, rows
    )


def _curve(rows: list[dict[str, Any]], found: Mapping[str, Any]) -> str:
    from matplotlib.figure import Figure

    from .drawing import styled

    with styled():
        figure = Figure(figsize=(6.0, 3.2))
        ax = figure.subplots()
        for (pixels, of), marker in zip(groupby(rows, key=lambda row: row["pixels"]), "os", strict=False):
            points = [(0.0, found["accuracy"]), *((row["eps"], row["robust_accuracy"]) for row in of)]
            ax.plot(*zip(*((eps, 100 * value) for eps, value in points), strict=True), marker=marker, label=pixels)
        ax.axvline(found["settings"]["eps"], color="0.6", linestyle=":", label="eps of the audit")
        ax.set_xscale("symlog", linthresh=min(row["eps"] for row in rows))
        ax.set(xlabel="ε, ℓ∞ norm, pixels in [0, 1]", ylabel="robust accuracy under PGD, %", ylim=(-2, 102))
        ax.set_xlim(left=0)
        ax.legend()
    numbers = [
        (
            f"{row['eps']:g}",
            row["pixels"],
            f"{100 * row['fooling_ratio']:.1f} %",
            f"{100 * row['robust_accuracy']:.1f} %",
        )
        for row in rows
    ]
    alt = f"Robust accuracy under PGD against the budget, of {found['run']}: one line with pixels clipped, one without."
    columns = ("eps", "pixels", "fooling ratio", "robust accuracy")
    return _image(figure, alt, "A net whose gradients can be followed ends at zero.") + table(
        "The curve", columns, numbers
    )


def _slices(slices: list[dict[str, Any]], found: Mapping[str, Any]) -> str:
    import numpy as np
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    from .drawing import styled

    eps = found["settings"]["eps"]
    with styled():
        figure = Figure(figsize=(2.6 * len(slices) + 0.8, 2.9))
        axes = figure.subplots(1, len(slices), squeeze=False, sharey=True)[0]
        most = max(float(np.max(one["loss"])) for one in slices)
        for ax, one in zip(axes, slices, strict=True):
            steps = np.array(one["steps"]) / eps
            shown = ax.pcolormesh(
                steps, steps, np.array(one["loss"]), vmin=0, vmax=most, cmap="viridis", shading="nearest"
            )
            if np.min(one["margin"]) < 0 < np.max(one["margin"]):
                ax.contour(steps, steps, np.array(one["margin"]), levels=[0], colors="white", linewidths=1)
            ax.add_patch(Rectangle((-1, -1), 2, 2, fill=False, edgecolor="red", linestyle="--", linewidth=0.8))
            ax.set(
                title=f"test image {one['index']}, label {one['label']}", xlabel="signs of the gradient / ε", aspect=1
            )
        axes[0].set_ylabel("random signs / ε")
        figure.colorbar(shown, ax=axes.tolist(), shrink=0.8, label="cross-entropy, nats")
    labels = ", ".join(f"{one['index']} (label {one['label']})" for one in slices)
    alt = f"The cross-entropy around test images {labels}, along the signs of its gradient and along random signs."
    caption = "Dashed: eps along each direction. A white line, where there is one: the label changes."
    return _image(figure, alt, caption)


def _attacks(found: Mapping[str, Any]) -> str:
    rows = []
    for one in found["attacks"]:
        others = {name: value for name, value in one.items() if name not in OF_EVERY_ATTACK and value is not None}
        rows.append(
            (
                one["attack"], one["by"].replace("-", UNBROKEN) or "the net", f"{one['eps']:g}", one["norm"],
                "[0, 1]" if one["clip"] else "no",
                ", ".join(f"{_words(name)} {_said(value)}" for name, value in others.items()),
                f"{one['n_fooled']} of {one['n_correct']}", f"{100 * one['robust_accuracy']:.1f} % of {one['n']}",
                f"{one['seconds']:.1f}",
            )
        )  # fmt: skip
    names = ("attack", "gradient of", "eps", "norm", "pixels", "settings", "fooled", "robust accuracy", "seconds")
    return table("Every attack that was carried out, with all its parameters", names, rows)


def _checklist(found: Mapping[str, Any]) -> str:
    parts = []
    for part, items in groupby(found["checklist"], key=lambda one: one["part"]):
        rows = [(one["says"], "yes" if one["done"] else "not done", one["answer"]) for one in items]
        parts.append(table(f"Carlini et al. (2019): {part}", ("an evaluation should", "done", "answer"), rows))
    return "".join(parts)


def _words(name: str) -> str:
    return name.replace("_", " ")


def _said(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _image(figure: Any, alt: str, caption: str) -> str:
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=150, metadata={"Software": None})
    source = base64.b64encode(content.getvalue()).decode()
    return (
        f'<figure><img alt="{escape(alt)}" src="data:image/png;base64,{source}">'
        f"<figcaption>{escape(caption)}</figcaption></figure>\n"
    )
