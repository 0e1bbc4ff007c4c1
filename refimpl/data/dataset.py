"""What a data set is: grey levels and labels, as they are in the files, with the hashes that identify them."""

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import UInt8

from ..backend import Backend
from ..errors import DataError
from ..layers.images import Shape
from ..training.loop import Examples

MEMORY = "memory"
"""The source of data that are arrays, in no file."""


@dataclass(frozen=True)
class Split:
    """Images (n, height, width) or (n, channels, height, width) of grey levels 0..255, and a label 0, 1, ... for each.

    Raises `DataError` for none, for other shapes and types, and where the numbers of images and labels differ.
    """

    images: UInt8[np.ndarray, "images *shape"]
    labels: UInt8[np.ndarray, "labels"]

    def __post_init__(self) -> None:
        if self.images.ndim not in (3, 4) or 0 in self.images.shape:
            raise DataError(f"expected images of height x width, with or without channels; got {self.images.shape}")
        if len(self.images) != len(self.labels):
            raise DataError(
                f"{len(self.images)} images but {len(self.labels)} labels: the files do not belong together"
            )


@dataclass(frozen=True)
class Dataset:
    """`sha256` of its parts, by role; `source` says where they came from. Raises `DataError` for unlike splits."""

    name: str
    train: Split
    test: Split
    sha256: dict[str, str]
    source: str
    classes: int = 10

    def __post_init__(self) -> None:
        if self.train.images.shape[1:] != self.test.images.shape[1:]:
            raise DataError(
                f"{self.name}: training images of {self.train.images.shape[1:]}, but test images of"
                f" {self.test.images.shape[1:]}"
            )

    @property
    def shape(self) -> Shape:
        """Channels, height and width of the images."""
        *channels, height, width = self.train.images.shape[1:]
        return (channels[0] if channels else 1), height, width

    @classmethod
    def from_arrays(
        cls,
        train: tuple[np.ndarray, np.ndarray],
        test: tuple[np.ndarray, np.ndarray],
        *,
        name: str = "arrays",
        layout: str = "",
        source: str = MEMORY,
    ) -> "Dataset":
        """A data set from (images, labels) for training and for testing.

        Images are (n, height, width), or have channels before or behind; `layout` "NCHW" or "NHWC" says which where
        the sizes do not. They are uint8, or floats in [0, 1], which become the nearest of 256 grey levels: a pixel
        moves by at most 0.002. Labels are whole numbers from 0 to 255. Raises `DataError`, naming the array, for
        anything else, for fewer than two classes in either part, and for labels of which there is nothing to learn.
        """
        splits = {
            part: _split(images, labels, part, layout) for part, (images, labels) in (("train", train), ("test", test))
        }
        shape, other = (split.images.shape[1:] for split in splits.values())
        if shape != other:
            raise DataError(f"x_train has images of {shape}, but x_test of {other}")
        unknown = np.setdiff1d(splits["test"].labels, splits["train"].labels)
        if unknown.size:
            raise DataError(f"y_test has the label {unknown[0]}, of which x_train has no example")
        classes = 1 + int(max(split.labels.max() for split in splits.values()))
        hashes = {
            f"{part}_{kind}": hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()
            for part, split in splits.items()
            for kind, array in (("images", split.images), ("labels", split.labels))
        }
        return cls(name, splits["train"], splits["test"], hashes, source, classes)


def _split(images: Any, labels: Any, part: str, layout: str) -> Split:
    x, y = grey_levels(images, f"x_{part}", layout), as_labels(labels, f"y_{part}")
    if len(x) != len(y):
        raise DataError(f"x_{part} has {len(x)} images, but y_{part} {len(y)} labels: they do not belong together")
    if len(np.unique(y)) < 2:
        raise DataError(f"y_{part} has a single class, there is nothing to tell apart")
    return Split(x, y)


def grey_levels(images: Any, name: str, layout: str = "") -> UInt8[np.ndarray, "n *shape"]:
    """Images as bytes, channels before height and width. Raises `DataError` as `Dataset.from_arrays` does."""
    images = np.asarray(images)
    if images.ndim not in (3, 4) or 0 in images.shape:
        raise DataError(f"{name} must hold images, N x H x W or with channels; it has the shape {images.shape}")
    if np.issubdtype(images.dtype, np.floating):
        if not np.isfinite(images).all():
            raise DataError(f"{name} has values that are not finite")
        if images.min() < 0 or images.max() > 1:
            raise DataError(f"{name}: floats must be in [0, 1], got {images.min():g} to {images.max():g}")
        images = np.rint(images * 255).astype(np.uint8)
    if images.dtype != np.uint8:
        raise DataError(f"{name} must be uint8, or floats in [0, 1]; it is {images.dtype}")
    if layout not in ("", "NCHW", "NHWC"):
        raise DataError(f"the layout of {name} must be NCHW or NHWC, got {layout!r}")
    if layout and images.ndim == 3:
        raise DataError(f"{name} has the shape {images.shape}, without the channels of the layout {layout}")
    if images.ndim == 4 and _channels_last(images.shape, name, layout):
        images = images.transpose(0, 3, 1, 2)
    return np.ascontiguousarray(images)


def _channels_last(shape: tuple[int, ...], name: str, layout: str) -> bool:
    """By `layout`, else by which end has 1, 3 or 4 channels."""
    before, behind = shape[1] in (1, 3, 4), shape[3] in (1, 3, 4)
    if not layout and before == behind:
        raise DataError(f"{name} has the shape {shape}: say with the key layout whether it is NCHW or NHWC")
    return layout == "NHWC" or (not layout and behind)


def as_labels(labels: Any, name: str) -> UInt8[np.ndarray, "n"]:
    """Labels as bytes. Raises `DataError` as `Dataset.from_arrays` does."""
    labels = np.asarray(labels)
    if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
        raise DataError(f"{name} must hold one whole number an image, got {labels.dtype}{labels.shape}")
    if not len(labels) or labels.min() < 0 or labels.max() > 255:
        found = f"{labels.min()} to {labels.max()}" if len(labels) else "none"
        raise DataError(f"{name} must hold labels from 0 to 255, got {found}")
    return labels.astype(np.uint8)


def on(backend: Backend, data: Dataset) -> Examples:
    """The data set where the computation is."""
    return Examples(
        backend.asarray(data.train.images),
        backend.asarray(data.train.labels, "int64"),
        backend.asarray(data.test.images),
        backend.asarray(data.test.labels, "int64"),
    )
