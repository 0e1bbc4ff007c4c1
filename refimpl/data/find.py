"""Where data sets are looked for, in this order: `--data-dir`, REFIMPL_DATA, the user's cache, the system's folder."""

import os
import shlex
from pathlib import Path
from typing import NamedTuple

import platformdirs

from ..errors import DataError
from .registry import FILES

SYSTEM = Path("/usr/share/datasets")
"""Debian packages Fashion-MNIST there."""


class Place(NamedTuple):
    """A folder that was looked into, why, and which of the four files it lacks."""

    label: str
    path: Path
    missing: tuple[str, ...]

    @property
    def present(self) -> bool:
        return not self.missing


def cache() -> Path:
    """The user's cache folder, where `refimpl data fetch` puts things."""
    return Path(platformdirs.user_cache_dir("refimpl"))


def places(name: str, data_dir: Path | None = None) -> list[Place]:
    """Every folder that data set `name` is looked for in, in order of preference.

    A folder given by --data-dir or REFIMPL_DATA may hold the files itself, or in a folder of the data set's name.
    """
    given = [("--data-dir", data_dir), ("REFIMPL_DATA", os.environ.get("REFIMPL_DATA"))]
    found = []
    for label, folder in given:
        if folder:
            nested, flat = (_look(label, path) for path in (Path(folder) / name, Path(folder)))
            found.append(flat if len(flat.missing) < len(nested.missing) else nested)
    return [*found, _look("cache", cache() / name), _look("system", SYSTEM / name)]


def find(name: str, data_dir: Path | None = None) -> Path | None:
    """The first folder that holds data set `name`; None where there is none.

    Raises `DataError` for a folder that was asked for and does not exist, and for one that holds only some of the
    files.
    """
    for label, given in (("--data-dir", data_dir), ("REFIMPL_DATA", os.environ.get("REFIMPL_DATA"))):
        if given and not Path(given).is_dir():
            raise DataError(f"{label} {given} is not a folder")
    for place in places(name, data_dir):
        if place.present:
            return place.path
        if len(place.missing) < len(FILES):
            raise DataError(
                f"{place.path} holds only some files of {name}: {', '.join(place.missing)} missing;"
                f" `refimpl data fetch {name} --to {shlex.quote(str(place.path.parent))}` completes it"
            )
    return None


def file_in(folder: Path, file: str) -> Path | None:
    """`file`, plain or compressed, in `folder`."""
    return next((path for path in (folder / file, folder / f"{file}.gz") if path.is_file()), None)


def _look(label: str, folder: Path) -> Place:
    return Place(label, folder, tuple(file for file in FILES.values() if file_in(folder, file) is None))
