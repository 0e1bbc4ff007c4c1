"""A data set by name, every byte of it checked."""

import difflib
from dataclasses import replace
from pathlib import Path

from ..errors import DataError, UsageError
from . import own
from .dataset import Dataset, Split
from .find import file_in, find, places
from .idx import parse_images, parse_labels, read_decompressed, sha256
from .registry import FILES, REGISTRY
from .strokes import strokes

BUILT_IN: dict[str, dict[str, int]] = {
    "strokes": {"n_train": 12_000, "n_test": 2_000},
    "strokes-small": {"n_train": 1000, "n_test": 300},
}
"""Numbers of images for training and testing."""

NAMES = (*REGISTRY, *BUILT_IN)


def load(name: str | Path, *, data_dir: Path | None = None) -> Dataset:
    """MNIST, Fashion-MNIST, the built-in `strokes`, of which `strokes-small` has a few, or the data at a path.

    Raises `UsageError` for another name, `DataError` where files are missing, damaged, or not those of the registry.
    """
    if isinstance(name, Path) or own.is_path(name):
        return own.read(Path(name))
    _known(name)
    if name in BUILT_IN:
        return replace(strokes(**BUILT_IN[name]), name=name)
    folder = find(name, data_dir)
    if folder is None:
        raise DataError(
            f"{name} was not found in {_looked(name, data_dir)}; `refimpl data fetch {name}` gets it,"
            " `--dataset strokes` does without"
        )
    content = {role: _checked(name, role, folder) for role in FILES}
    paths = {role: folder / file for role, file in FILES.items()}
    train, test = (
        Split(
            parse_images(content[f"{part}_images"], paths[f"{part}_images"]),
            parse_labels(content[f"{part}_labels"], paths[f"{part}_labels"]),
        )
        for part in ("train", "test")
    )
    return Dataset(name, train, test, dict(REGISTRY[name].sha256), str(folder))


def resolve(name: str, wished: str, data_dir: Path | None = None) -> tuple[str, str | None]:
    """The data set that `name` means, and a remark where it is not the one wished for.

    "auto" is the data set `wished`, the paper's for a network, where it is found, else `strokes`.
    """
    if name != "auto":
        if not own.is_path(name):
            _known(name)
        return name, None
    if find(wished, data_dir):
        return wished, None
    remark = (
        f"{wished} was not found in {_looked(wished, data_dir)}: using the built-in set `strokes`;"
        f" `refimpl data fetch {wished}` gets the real one"
    )
    return "strokes", remark


def _checked(name: str, role: str, folder: Path) -> bytes:
    path = file_in(folder, FILES[role])
    assert path is not None, "find() has seen all four files"
    content = read_decompressed(path)
    expected, got = REGISTRY[name].sha256[role], sha256(content)
    if got != expected:
        raise DataError(
            f"{path} is not the {role.replace('_', ' ')} of {name}: its SHA-256 begins {got[:12]}, expected"
            f" {expected[:12]}; remove it and run `refimpl data fetch {name}`"
        )
    return content


def _known(name: str) -> None:
    if name not in NAMES:
        close = difflib.get_close_matches(name, NAMES, n=1)
        raise UsageError(
            f"unknown data set {name!r}; "
            + (
                f"did you mean {close[0]}?"
                if close
                else f"there are {', '.join(NAMES)}; or give the path of a folder or an .npz file"
            )
        )


def _looked(name: str, data_dir: Path | None) -> str:
    return ", ".join(f"{place.path} ({place.label})" for place in places(name, data_dir))
