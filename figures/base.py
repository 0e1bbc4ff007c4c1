"""What a figure is: drawings, from runs or from the numbers on record. One file registers one with `FIGURES`."""

from abc import abstractmethod
from collections.abc import Iterable
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from refimpl.errors import DataError
from refimpl.registry import Registry

if TYPE_CHECKING:
    import matplotlib.figure

    from .drawing import Drawing

RECORD = "record"
Columns = dict[str, list[Any]]


class Figure(Protocol):
    """`reproduces` says that its runs are those of `refimpl reproduce`, or that it needs none.

    `on_record` says that it can be drawn without runs.
    """

    @property
    def reproduces(self) -> bool: ...

    @property
    def on_record(self) -> bool: ...

    def drawings(self, runs: Path | None, assumption: str) -> Iterable["Drawing"]:
        """From the runs under `runs`, from the record where that is None; raises `DataError` where they lack it."""


class RunsFigure:
    """A figure of numbers that are collected from runs and then drawn. Derive from it: `name`, `collect`, `draw`."""

    name: str
    reproduces: ClassVar[bool] = False

    @property
    def on_record(self) -> bool:
        return any(file.name.startswith(f"{self.name}.") for file in (files(__package__) / RECORD).iterdir())

    @abstractmethod
    def collect(self, runs: Path, assumption: str) -> Columns:
        """The numbers that are drawn, as columns as long as each other. Raises `DataError` where runs are missing."""

    @abstractmethod
    def draw(self, columns: Columns) -> "matplotlib.figure.Figure":
        """The picture of the numbers."""

    def title(self, assumption: str) -> str:
        """The name of the files, without what follows the dot."""
        return self.name

    def drawings(self, runs: Path | None, assumption: str) -> Iterable["Drawing"]:
        from .drawing import Drawing

        columns = self.collect(runs, assumption) if runs else self._recorded(assumption)
        yield Drawing(self.title(assumption), self.draw(columns), columns)

    def _recorded(self, assumption: str) -> Columns:
        from .drawing import read_csv

        file = files(__package__) / RECORD / f"{self.title(assumption)}.csv"
        if not file.is_file():
            raise DataError(f"there is no record of {self.title(assumption)}: name --runs")
        return read_csv(file.read_text())


class PaperFigure(RunsFigure):
    """A figure of the paper, of one net, drawn once for each assumption; `words` say what it shows."""

    arch: str
    words: str | None
    reproduces: ClassVar[bool] = True
    on_record: ClassVar[bool] = True

    def title(self, assumption: str) -> str:
        return f"{self.name}-{assumption}"

    def outcome(self, columns: Columns) -> str:
        """What can be seen in the figure, for those who cannot see it."""
        return ""


FIGURES: Registry[Figure] = Registry("figure", __package__)


def in_order(names: Iterable[str]) -> list[str]:
    """Numbers by size, then words."""
    return sorted(names, key=lambda name: (not name.isdecimal(), int(name) if name.isdecimal() else 0, name))
