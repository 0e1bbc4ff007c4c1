"""`idx` reads files, `registry` knows them, `find` says where they are, `fetch` gets them; `strokes` needs none."""

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
