"""A few test inputs, what PGD at the paper's budget adds to them, and the sums, with labels before and after."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from refimpl.attacks import PGD
from refimpl.layers.images import scale
from refimpl.measures.fooling import AttackResult
from refimpl.runs.trained import Evaluation

from ..drawing import Drawing
from .source import AbsentError, Source, figure, norm, rounded

FIRST = 50
"""Test images that are attacked; those classified correctly can be shown."""

SHOWN = 8
ROWS = ("input", "perturbation", "adversarial input")


def draw(source: Source) -> Drawing:
    trained, attack = source.trained, PGD()
    test = trained.data.test
    (result,) = trained.attack_all([attack], Evaluation(examples=FIRST, save=False))
    if not len(result.index):
        raise AbsentError(f"none of {FIRST} test images, drawn at random, is classified correctly")
    rows = _rows(result, np.asarray(scale(test.images[result.index], trained.config.dtype), float))
    settings = f"PGD, ε = {attack.eps:g} (ℓ{norm(attack.ball)}), {attack.steps} steps of {attack.step_size:g}"
    fooled = f"{int(result.fooled.sum())} of {len(result.index)} correctly classified of {result.n} are fooled"
    drawn = _draw(rows, trained.data.shape, attack.eps, figure(source, f"{settings}; {fooled}", 3.3))
    header = ("test_index", "picture", "label")
    columns: dict[str, Any] = {key: [row[key] for row in rows] for key in header}
    for j, pixels in enumerate(np.array([row["pixels"] for row in rows]).T):
        columns[f"p{j}"] = [rounded(pixel) for pixel in pixels]
    return Drawing(f"{source.name}-examples", drawn, columns)


def _rows(result: AttackResult, x: np.ndarray) -> list[dict[str, Any]]:
    """Three pictures for each of the first examples; a perturbation has no label."""
    rows = []
    for i in range(min(SHOWN, len(x))):
        after = np.asarray(result.x_adv[i], float)
        labels = (int(result.label[i]), "", int(result.adversarial_label[i]))
        for picture, label, pixels in zip(ROWS, labels, (x[i], after - x[i], after), strict=True):
            rows.append({"test_index": int(result.index[i]), "picture": picture, "label": label, "pixels": pixels})
    return rows


def _draw(rows: list[dict[str, Any]], shape: tuple[int, int, int], eps: float, drawn: Figure) -> Figure:
    axes = drawn.subplots(len(ROWS), SHOWN, squeeze=False)
    for ax in axes.ravel():
        ax.set(xticks=[], yticks=[])
        ax.spines[:].set_visible(False)
    seen = {}
    for i, row in enumerate(rows):
        ax = axes[i % len(ROWS), i // len(ROWS)]
        seen[row["picture"]] = _show(ax, row["pixels"].reshape(shape), eps, row["picture"] == "perturbation")
        if row["label"] != "":
            changed = row["label"] != rows[i // len(ROWS) * len(ROWS)]["label"]
            ax.set_xlabel(f"label {row['label']}", color="C1" if changed else "black", labelpad=2)
    coloured = shape[0] == 3
    for ax, words in zip(
        axes[:, 0], ("input", "perturbation" + "\n(grey is 0)" * coloured, "adversarial\ninput"), strict=True
    ):
        ax.set_ylabel(words)
    if not coloured:
        drawn.colorbar(seen["input"], ax=axes[0, :], pad=0.01, label="pixel")
        drawn.colorbar(seen["perturbation"], ax=axes[1, :], pad=0.01, label="change", ticks=[-eps, 0, eps])
        drawn.colorbar(seen["adversarial input"], ax=axes[2, :], pad=0.01, label="pixel")
    return drawn


def _show(ax: Axes, image: np.ndarray, eps: float, perturbation: bool) -> Any:
    """Three channels in colour, a perturbation scaled to [0, 1]; otherwise the mean of the channels."""
    if len(image) == 3:
        coloured = image / (2 * eps) + 0.5 if perturbation else image
        return ax.imshow(np.clip(np.moveaxis(coloured, 0, -1), 0, 1), interpolation="nearest")
    look: dict[str, Any] = {"cmap": "RdBu_r", "vmin": -eps, "vmax": eps} if perturbation else {"cmap": "gray"}
    return ax.imshow(image.mean(axis=0), interpolation="nearest", **{"vmin": 0, "vmax": 1, **look})
