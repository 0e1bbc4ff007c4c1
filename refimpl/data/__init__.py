"""Data sets: those of the paper, verified by hash, a built-in one, and data of one's own.

Read `dataset`, what a data set is, and `load`, one by its name. `registry` knows the paper's, `find` says where they
are, `idx` reads their files, `fetch` gets them by `download`; `strokes` draws the built-in one from `glyphs` and needs
no files; `own` reads anybody's.
"""

from .dataset import MEMORY, Dataset, Split, on
from .fetch import fetch
from .find import find, places
from .load import BUILT_IN, NAMES, load, resolve
from .registry import REGISTRY
from .strokes import strokes

__all__ = [
    "BUILT_IN",
    "MEMORY",
    "NAMES",
    "REGISTRY",
    "Dataset",
    "Split",
    "fetch",
    "find",
    "load",
    "on",
    "places",
    "resolve",
    "strokes",
]
