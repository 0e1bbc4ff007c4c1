"""Data of one's own: a folder of IDX files, as MNIST and its kin come, or one `.npz` file."""

import hashlib
import io
import re
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..atomic import read_bytes
from ..errors import DataError
from .dataset import Dataset
from .idx import parse, read_decompressed, sha256

KEYS = ("x_train", "y_train", "x_test", "y_test")
MAX_BYTES = 2**31

ROLES = {
    "train_images": r"train.*images.*idx3.*",
    "train_labels": r"train.*labels.*idx1.*",
    "test_images": r"(t10k|test).*images.*idx3.*",
    "test_labels": r"(t10k|test).*labels.*idx1.*",
}
"""Names of the four files: `train-images-idx3-ubyte`, with anything before, plain or `.gz`."""


def is_path(name: str) -> bool:
    """Whether a data set's name is a file or a folder: it has a separator, ends in .npz, or is there."""
    return "/" in name or "\\" in name or name.endswith(".npz") or (bool(name) and Path(name).is_dir())


def read(path: Path) -> Dataset:
    """The data set in a folder or a file, called by its absolute path.

    Raises `DataError`, naming the file and the key, for what is not one: see `Dataset.from_arrays`.
    """
    path = path.expanduser().absolute()
    try:
        if path.is_dir():
            return _from_folder(path)
        if path.suffix == ".npz":
            return _from_npz(path)
    except DataError as error:
        raise DataError(str(error) if str(path) in str(error) else f"{path}: {error}") from None
    what = "is neither a folder of IDX files nor an .npz file" if path.exists() else "does not exist"
    raise DataError(f"{path} {what}; `refimpl data list` shows the data sets known by name")


def _from_folder(folder: Path) -> Dataset:
    files = sorted(file for file in folder.iterdir() if file.is_file())
    content = {}
    for role, pattern in ROLES.items():
        found = [file for file in files if re.search(pattern, file.name.lower())]
        if len(found) != 1:
            names = ", ".join(file.name for file in found) or "none"
            raise DataError(
                f"{folder} must hold one file of {role.replace('_', ' ')}, as MNIST's are called; found {names}"
            )
        content[role] = (found[0], read_decompressed(found[0]))
    arrays = {role: parse(data, file, 3 if "images" in role else 1) for role, (file, data) in content.items()}
    data = Dataset.from_arrays(
        (arrays["train_images"], arrays["train_labels"]), (arrays["test_images"], arrays["test_labels"]),
        name=str(folder), source=str(folder),
    )  # fmt: skip
    return replace(data, sha256={role: sha256(data) for role, (_, data) in content.items()})


def _array(file: Any, key: str) -> np.ndarray:
    """An array of an .npz file. Raises `ValueError`, naming the key, for one of Python objects, and a damaged one."""
    try:
        found: np.ndarray = file[key]
    except ValueError as error:
        what = "holds Python objects, not numbers" if "allow_pickle" in str(error) else f"is damaged: {error}"
        raise ValueError(f"{key} {what}") from None
    return found


def _from_npz(path: Path) -> Dataset:
    content = read_bytes(path, MAX_BYTES)
    if not zipfile.is_zipfile(io.BytesIO(content)):
        raise DataError(f"{path} is not an .npz file, as numpy.savez writes it")
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            missing = [key for key in KEYS if key not in file]
            if missing:
                raise DataError(f"{path} has no {', '.join(missing)}; it must hold {', '.join(KEYS)}")
            arrays = {key: _array(file, key) for key in KEYS}
            layout = str(file["layout"]) if "layout" in file else ""
    except (ValueError, OSError, EOFError, KeyError, zipfile.BadZipFile) as error:
        raise DataError(f"{path} is not a readable .npz file: {error}") from None
    data = Dataset.from_arrays(
        (arrays["x_train"], arrays["y_train"]), (arrays["x_test"], arrays["y_test"]),
        name=str(path), layout=layout, source=str(path),
    )  # fmt: skip
    return replace(data, sha256={"file": hashlib.sha256(content).hexdigest()})
