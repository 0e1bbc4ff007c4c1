"""The rows of the first weight matrix as images; of a convolution its filters. One scale for all; grey separates."""

import math

import numpy as np
from jaxtyping import Float

from refimpl.errors import UsageError

from ..drawing import WIDTH, Drawing, colours
from .source import AbsentError, Source, figure, rounded

MOST = 64
"""Rows that are shown, so that each can be made out."""


def draw(source: Source) -> Drawing:
    W = next(iter(source.weights.values()))
    images = W if W.ndim == 4 else _as_images(W, source)
    shown = images[:MOST]
    whole = f"the first {MOST} of {len(W)}" if len(W) > MOST else f"all {len(W)}"
    beside = f", {images.shape[1]} channels side by side" if images.shape[1] > 1 else ""
    what = "filters of the first layer" if W.ndim == 4 else "rows of W1 as images"
    picture = mosaic(shown)
    height = min(max(WIDTH * 0.85 * picture.shape[0] / picture.shape[1], 1.2), 7.0)
    drawn = figure(source, f"Weights: {whole} {what}{beside}", height + 0.1)
    ax = drawn.subplots()
    most = float(np.abs(shown).max()) or 1.0
    seen = ax.imshow(picture, cmap=colours("RdBu_r"), vmin=-most, vmax=most, interpolation="nearest")
    ax.set_axis_off()
    drawn.colorbar(seen, ax=ax, shrink=0.8, pad=0.02, label="weight")
    flat = shown.reshape(len(shown), -1)
    columns = {f"w{j}": [rounded(value) for value in column] for j, column in enumerate(flat.T)}
    return Drawing(f"{source.name}-weights", drawn, {"row": list(range(len(flat))), **columns})


def _as_images(W: Float[np.ndarray, "units n"], source: Source) -> Float[np.ndarray, "units channels height width"]:
    try:
        shape = source.config.network.image_shape(W.shape[1])
    except UsageError as error:
        raise AbsentError(str(error)) from None
    return W.reshape(len(W), *shape)


def mosaic(images: Float[np.ndarray, "n channels height width"]) -> Float[np.ndarray, "rows columns"]:
    """The images in rows, channels of one beside each other, with lines of nan between them; about twice as wide."""
    n, channels, height, width = images.shape
    gap = max(1, round(height / 14))
    tiles = np.concatenate(np.moveaxis(images, 1, 0), axis=-1)
    wide = channels * width
    across = min(n, max(1, round(math.sqrt(2 * n * (height + gap) / (wide + gap)))))
    picture = np.full((-(-n // across) * (height + gap) - gap, across * (wide + gap) - gap), np.nan)
    for i, tile in enumerate(tiles):
        top, left = (i // across) * (height + gap), (i % across) * (wide + gap)
        picture[top : top + height, left : left + wide] = tile
    return picture
