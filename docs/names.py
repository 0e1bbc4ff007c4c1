"""Names to addresses: what a dotted name, as it is written in a module or a text, is defined by."""

from collections.abc import Iterable

from .sources import Block, Module


class Names:
    """The definitions of modules, found through imports and exports as Python would find them."""

    def __init__(self, modules: Iterable[Module]) -> None:
        self.modules = {module.name: module for module in modules}
        self.packages = {name.split(".")[0] for name in self.modules}
        self.blocks = {
            f"{module.name}.{block.name}": block
            for module in self.modules.values()
            for block in module.blocks
            if block.name
        }

    def definition(self, name: str, module: Module | None = None) -> tuple[Module, Block | None] | None:
        """The module, and the block in it, of a name as written in `module`, or of a full name."""
        full = self.full(name, module)
        if full is None:
            return None
        if full in self.modules:
            return self.modules[full], None
        owner = full.rpartition(".")[0]
        while owner not in self.modules:
            owner = owner.rpartition(".")[0]
        return self.modules[owner], self.blocks[full]

    def full(self, name: str, module: Module | None = None) -> str | None:
        """The full name of the definition or module."""
        if module is not None:
            first, _, rest = name.partition(".")
            if f"{module.name}.{first}" in self.blocks:
                return self._existing(f"{module.name}.{name}", 0)
            if first in module.imports:
                return self._existing(".".join(filter(None, [module.imports[first], rest])), 0)
            if module.is_package and f"{module.name}.{first}" in self.modules:
                return self._existing(f"{module.name}.{name}", 0)
        return self._existing(name, 0) if name.split(".")[0] in self.packages else None

    def _existing(self, full: str, depth: int) -> str | None:
        """The name of a definition or module that a full name leads to, through what packages import."""
        if full in self.blocks or depth > 8:
            return full if full in self.blocks else None
        parts = full.split(".")
        for cut in range(len(parts) - 1, 0, -1):
            owner, rest = self.modules.get(".".join(parts[:cut])), parts[cut:]
            if owner is None:
                continue
            if rest[0] in owner.imports and (target := owner.imports[rest[0]]) != full:
                return self._existing(".".join([target, *rest[1:]]), depth + 1)
            break
        return full if full in self.modules else None
