"""Distribution of |Qw|_1 / |w|_1 over random subspaces of each dimension: below 1 projecting is robust."""

import numpy as np

from refimpl.theory.linear import l1_norm, projection, sparsity

from .drawing import Drawing, figure

N_PIXELS, DRAWS = 64, 2000
DASHES = {1: "-", 4: "--", 16: "-.", 48: ":"}
"""Of the line of each dimension k."""

HOW_TO_READ = (
    f"Distribution of the ratio over {DRAWS:,} random subspaces of k of {N_PIXELS} dimensions (seed 0). Left of 1 "
    "(grey) projecting is robust; no ratio exceeds (1 + √n)/2 (grey). The premise of Theorem 1 is s(Qw) ≤ s(w)."
)


def draw() -> Drawing:
    rng = np.random.default_rng(0)
    drawn = figure(
        3.9, "How much shorter projecting makes a classifier w, and so how much less an attack can do", HOW_TO_READ
    )
    axes = drawn.subplots(1, 2)
    columns: dict[str, np.ndarray] = {}
    one = np.eye(N_PIXELS)[0]
    for ax, kind in zip(axes, ("Gaussian w", "w with one nonzero entry"), strict=True):
        for k, dashes in DASHES.items():
            ratios, premise = np.empty(DRAWS), np.empty(DRAWS, bool)
            for i in range(DRAWS):
                w = rng.normal(size=N_PIXELS) if kind == "Gaussian w" else one
                Qw = projection(np.linalg.qr(rng.normal(size=(N_PIXELS, k)))[0]) @ w
                ratios[i], premise[i] = l1_norm(Qw) / l1_norm(w), sparsity(Qw) <= sparsity(w)
            columns[f"{kind}, k={k}"] = ratios
            label = f"{k}: s(Qw) ≤ s(w) in {premise.mean():.1%}, ratio < 1 in {(ratios < 1).mean():.1%}"
            ax.ecdf(ratios, label=label, linewidth=1.2, linestyle=dashes)
        ax.axvline(1, color="0.6", linewidth=0.8)
        ax.set(xlabel=r"$\|Qw\|_1 / \|w\|_1$", xlim=(0, None), ylim=(0, 1))
        ax.set_title(f"{kind}, {N_PIXELS} pixels")
        ax.legend(title="dimension k of the subspace", loc="upper center", bbox_to_anchor=(0.5, -0.18))
    axes[0].set_ylabel(f"fraction of {DRAWS:,} random subspaces")
    most = (1 + N_PIXELS**0.5) / 2
    axes[1].set_xlim(0, 1.05 * most)
    axes[1].axvline(most, color="0.6", linewidth=0.8)
    axes[1].annotate(
        r"$(1 + \sqrt{n})/2$", (most, 0.5), xytext=(3, 0), textcoords="offset points", rotation=90, va="center"
    )
    return Drawing("theory-ratios", drawn, columns)
