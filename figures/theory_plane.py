"""Theorem 1 in the plane: data on a line V, the classifier w, its projection Qw, and the examples an attack fools."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from refimpl.theory.linear import adversarial_error, functional_margins, l1_norm, projection, sparsity

from .drawing import Drawing, figure

EPS = 0.35
EXAMPLES = (
    ("the premise holds", np.array([1.0, 0.7]), np.radians(4.0)),
    ("the premise fails", np.array([1.0, 0.0]), np.radians(22.5)),
)
HOW_TO_READ = (
    f"18 examples of two classes, budget ε = {EPS} in each pixel (ℓ∞). Qw: the projection of w, s: effective "
    "sparsity, p_ε: the fraction of examples that the attack fools. The premise of the theorem is s(Qw) ≤ s(w)."
)


def draw() -> Drawing:
    drawn = figure(6.2, "Theorem 1 in the plane: projecting a linear classifier w on the line of the data", HOW_TO_READ)
    axes = drawn.subplots(2, 2, sharex=True, sharey=True)
    rows: list[dict[str, Any]] = []
    for row, (premise, w, angle) in zip(axes, EXAMPLES, strict=True):
        v = np.array([np.cos(angle), np.sin(angle)])
        along = np.concatenate([np.linspace(-1.4, -0.1, 9), np.linspace(0.1, 1.4, 9)])
        x, y = along[:, None] * v, np.sign(along)
        Qw = projection(v[:, None]) @ w
        for ax, name, u in zip(row, ("w", "Qw"), (w, Qw), strict=True):
            rows += _panel(ax, f"{premise}: {name}", u, x, y, v)
    for ax in axes[-1]:
        ax.set_xlabel("pixel 1")
    for ax in axes[:, 0]:
        ax.set_ylabel("pixel 2")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    drawn.legend(handles, labels, loc="outside lower center", ncols=3)
    columns = {key: [row[key] for row in rows] for key in rows[0]}
    return Drawing("theory-plane", drawn, columns)


def _panel(ax: Axes, title: str, u: np.ndarray, x: np.ndarray, y: np.ndarray, v: np.ndarray) -> list[dict[str, Any]]:
    reached = functional_margins(u, x, y) < EPS * l1_norm(u)
    error = adversarial_error(u, x, y, EPS)
    reach = EPS * l1_norm(u) / abs(u @ v)  # largest change of the score along V
    _segment(ax, 1.7 * v, color="0.75", zorder=0, label="the data's line V")
    _segment(ax, reach * v, color="C4", linewidth=7, alpha=0.45, zorder=1, label="within the attack's reach")
    normal = np.array([-u[1], u[0]]) / np.linalg.norm(u)
    _segment(ax, 1.3 * normal, color="0.2", linestyle="--", linewidth=1, label="decision boundary")
    for label, marker, color in ((1, "o", "C0"), (-1, "s", "C2")):
        for fooled, words in ((False, "not reached"), (True, "fooled")):
            style: dict[str, Any] = {"color": color, "markersize": 4.5, "markerfacecolor": "none" if fooled else color}
            ax.plot(*x[(y == label) & (reached == fooled)].T, marker, **style, label=f"class {label}, {words}")
    arrow = {"arrowstyle": "->", "color": "C1", "linewidth": 1.6, "shrinkA": 0, "shrinkB": 0}
    ax.annotate("", (u[0], u[1]), (0, 0), arrowprops=arrow)
    ax.annotate(title.split(": ")[1], (u[0], u[1]), textcoords="offset points", xytext=(-2, -12), color="C1")
    target = x[-5]
    ax.add_patch(
        Rectangle(
            (target[0] - EPS, target[1] - EPS), 2 * EPS, 2 * EPS,
            fill=False, edgecolor="0.3", linestyle=":", label="an attack's box, worst corner",
        )
    )  # fmt: skip
    worst = np.array([target, target - EPS * np.sign(u)])
    ax.plot(*worst.T, ".-", color="0.3", linewidth=0.8, markersize=4)
    ax.set(xlim=(-1.75, 1.75), ylim=(-1.45, 1.45), aspect="equal")
    ax.set_title(f"{title}\n$s$ = {sparsity(u):.2f}, $\\|\\cdot\\|_1$ = {l1_norm(u):.2f}, $p_\\epsilon$ = {error:.2f}")
    return [
        {"panel": title, "x1": a[0], "x2": a[1], "label": int(b), "fooled": int(c)}
        for a, b, c in zip(x, y, reached, strict=True)
    ]


def _segment(ax: Axes, end: np.ndarray, **style: Any) -> None:
    """From -end to end."""
    ax.plot([-end[0], end[0]], [-end[1], end[1]], solid_capstyle="butt", **style)
