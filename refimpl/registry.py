"""Things by the name that the command line gives them: one file each in a package, and third parties' entry points."""

import importlib
import pkgutil
from collections.abc import Callable
from importlib.metadata import entry_points
from typing import Generic, TypeVar

from .errors import UsageError

T = TypeVar("T")


class Registry(Generic[T]):
    """What a package offers under names, in the order in which its modules registered it.

    A module of `package` is imported, and an entry point of the group `package` loaded, when a name is first asked for;
    importing it must call `register`.
    """

    def __init__(self, kind: str, package: str) -> None:
        self.kind, self.package = kind, package
        self._found: dict[str, T] = {}
        self._complete = False

    def register(self, name: str) -> Callable[[T], T]:
        """A decorator that enters its argument under `name`. Raises `UsageError` where the name is taken."""

        def enter(thing: T) -> T:
            if name in self._found:
                raise UsageError(f"there is a {self.kind} called {name!r} already")
            self._found[name] = thing
            return thing

        return enter

    def names(self) -> tuple[str, ...]:
        self._load()
        return tuple(self._found)

    def items(self) -> tuple[tuple[str, T], ...]:
        self._load()
        return tuple(self._found.items())

    def __getitem__(self, name: str) -> T:
        """Raises `UsageError`, with the names there are, for another one."""
        self._load()
        if name not in self._found:
            raise UsageError(f"unknown {self.kind} {name!r}: choose one of {', '.join(self._found)}")
        return self._found[name]

    def __contains__(self, name: object) -> bool:
        return name in self.names()

    def _load(self) -> None:
        if self._complete:
            return
        self._complete = True
        package = importlib.import_module(self.package)
        for module in pkgutil.iter_modules(package.__path__):
            importlib.import_module(f"{self.package}.{module.name}")
        for plugin in entry_points(group=self.package):
            plugin.load()
