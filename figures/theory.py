"""Theorem 1 in the plane, the error under attack against the budget, and how often projecting helps."""

from collections.abc import Iterable
from pathlib import Path

from . import theory_errors, theory_plane, theory_ratios
from .base import FIGURES
from .drawing import Drawing


class Theory:
    """Needs no runs."""

    reproduces = True
    on_record = True

    def drawings(self, runs: Path | None, assumption: str) -> Iterable[Drawing]:
        for module in (theory_plane, theory_errors, theory_ratios):
            yield module.draw()


FIGURES.register("theory")(Theory())
