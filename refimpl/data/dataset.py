"""What a data set is: grey levels and labels, as they are in the files, with the hashes that identify them."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8

from ..backend import Backend
from ..errors import DataError
from ..training.loop import Examples


@dataclass(frozen=True)
class Split:
    """Images (n, 28, 28) of grey levels 0..255, and a label for each. `DataError` where the numbers differ."""

    images: UInt8[np.ndarray, "images 28 28"]
    labels: UInt8[np.ndarray, "labels"]

    def __post_init__(self) -> None:
        if len(self.images) != len(self.labels):
            raise DataError(
                f"{len(self.images)} images but {len(self.labels)} labels: the files do not belong together"
            )


@dataclass(frozen=True)
class Dataset:
    """`sha256` of the decompressed IDX files, by role; `source` says where they came from."""

    name: str
    train: Split
    test: Split
    sha256: dict[str, str]
    source: str


def on(backend: Backend, data: Dataset) -> Examples:
    """The data set where the computation is."""
    return Examples(
        backend.asarray(data.train.images),
        backend.asarray(data.train.labels, "int64"),
        backend.asarray(data.test.images),
        backend.asarray(data.test.labels, "int64"),
    )
