"""p_eps against eps for w and Qw: Gaussian classes on a subspace, universal and per-example perturbations."""

import numpy as np

from refimpl.theory.linear import adversarial_error, gaussian_error, l1_norm, projection, sparsity

from .drawing import Drawing, figure

N_PIXELS, DIMENSION, EXAMPLES = 50, 5, 2000
HOW_TO_READ = (
    f"Gaussian classes on a subspace of {DIMENSION} of {N_PIXELS} dimensions. Lines: the exact error; marks: that of "
    f"{EXAMPLES:,} examples (seed 0). Each is perturbed by itself (per example), or all in the same way (universal)."
)


def draw() -> Drawing:
    """w is the best classifier on the subspace plus noise off it, which does not change its output on the subspace."""
    rng = np.random.default_rng(0)
    V = np.linalg.qr(rng.normal(size=(N_PIXELS, DIMENSION)))[0]
    mean = V @ rng.normal(size=DIMENSION)
    Q = projection(V)
    w = mean + (np.eye(N_PIXELS) - Q) @ rng.normal(size=N_PIXELS) * 0.5
    y = rng.choice([-1.0, 1.0], EXAMPLES)
    x = y[:, None] * mean + rng.normal(size=(EXAMPLES, DIMENSION)) @ V.T
    eps = np.linspace(0, 0.5, 51)
    drawn = figure(3.9, "The error under attack of a linear classifier w and of its projection Qw", HOW_TO_READ)
    ax = drawn.subplots()
    columns: dict[str, np.ndarray] = {"eps": eps}
    for color, (name, u) in zip(("C0", "C1"), (("w", w), ("Qw", Q @ w)), strict=True):
        for style, adversary, words in (("-", "sample", "per example"), ("--", "universal", "universal")):
            curve = np.array([gaussian_error(u, mean, V @ V.T, e, adversary) for e in eps])
            ax.plot(eps, curve, style, color=color, label=f"{name}, {words}", linewidth=1)
            sampled = np.array([adversarial_error(u, x, y, e, adversary) for e in eps[::5]])
            ax.plot(eps[::5], sampled, "o" if style == "-" else "s", color=color, markersize=3, markerfacecolor="none")
            columns[f"p_eps({name}), {words}"] = curve
    ax.set(
        xlabel=r"budget $\epsilon$ ($\ell_\infty$, in units of a pixel)",
        ylabel=r"error under attack, $p_\epsilon$",
        ylim=(0, 1.02),
        xlim=(0, 0.5),
    )
    norms = ", ".join(
        rf"$s({name})$ = {sparsity(u):.2f}, $\|{name}\|_1$ = {l1_norm(u):.1f}" for name, u in (("w", w), ("Qw", Q @ w))
    )
    ax.set_title(norms)
    drawn.legend(loc="outside lower center", ncols=4)
    return Drawing("theory-errors", drawn, columns)
