"""The packages as they stand: modules cut into blocks of documentation and source, read without importing them."""

import ast
import importlib.util
import inspect
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

PACKAGES = {"refimpl": "refimpl", "cli": "refimpl_cli", "figures": "refimpl_figures", "docs": "refimpl_docs"}
"""The folders of the repository, and the names under which they are installed."""

Definition = ast.FunctionDef | ast.ClassDef


@dataclass(frozen=True)
class Block:
    """A piece of a module: a definition, a value with what is said below it, or the statements between them.

    `name` is the qualified name within the module, empty for imports and statements. `whole` is the source without
    `doc`; `source` of a class ends at its first method.
    """

    name: str
    kind: str
    doc: str
    source: str
    whole: str
    line: int
    end: int


@dataclass(frozen=True)
class Module:
    """A file: `name` to import it by, `path` in the repository."""

    name: str
    path: str
    text: str = field(repr=False)

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)

    @property
    def doc(self) -> str:
        return ast.get_docstring(self.tree) or ""

    @property
    def is_package(self) -> bool:
        return self.path.endswith("__init__.py")

    @cached_property
    def blocks(self) -> tuple[Block, ...]:
        return tuple(_blocks(self.tree.body[1:] if self.doc else self.tree.body, self.text.splitlines()))

    @cached_property
    def imports(self) -> dict[str, str]:
        """What each imported name stands for, as a dotted name."""
        return {name: target for node in ast.walk(self.tree) for name, target in self._imported(node)}

    def _imported(self, node: ast.AST) -> Iterator[tuple[str, str]]:
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield (alias.asname, alias.name) if alias.asname else (alias.name.split(".")[0],) * 2
        elif isinstance(node, ast.ImportFrom):
            stem = [node.module] if node.module else []
            if node.level:
                parts = self.name.split(".")
                stem = parts[: len(parts) - node.level + self.is_package] + stem
            for alias in node.names:
                yield alias.asname or alias.name, ".".join([*stem, alias.name])


def folder(package: str) -> Path:
    """Where an installed package is."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(package)
    return Path(spec.origin).parent


def tests_folder() -> Path:
    """The tests: beside `docs` in the repository, inside it where it is installed."""
    docs = Path(__file__).parent
    return next(path for path in (docs / "tests", docs.parent / "tests") if path.is_dir())


def modules() -> list[Module]:
    """Every module of the packages, by name."""
    found = []
    for top, package in PACKAGES.items():
        root = folder(package)
        for path in root.rglob("*.py"):
            inside = path.relative_to(root)
            if inside.parts[0] == "tests" or "__pycache__" in inside.parts:
                continue
            name = ".".join([package, *inside.with_suffix("").parts]).removesuffix(".__init__")
            found.append(Module(name, f"{top}/{inside.as_posix()}", path.read_text()))
    return sorted(found, key=lambda module: module.name)


def tests() -> list[Module]:
    """Every file of tests, by name."""
    root = tests_folder()
    paths = sorted(path.relative_to(root) for path in root.rglob("*.py"))
    return [
        Module(".".join(["tests", *path.with_suffix("").parts]), f"tests/{path.as_posix()}", (root / path).read_text())
        for path in paths
    ]


def _blocks(body: list[ast.stmt], lines: list[str], outer: str = "") -> Iterator[Block]:
    """The statements of a module or class in their order, neighbours without names joined."""
    pending: list[Block] = []
    skip = False
    for node, following in zip(body, [*body[1:], None], strict=False):
        if skip:
            skip = False
            continue
        doc = _text(following)
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield from _joined(pending, lines)
            pending = []
            yield from _definition(node, lines, outer)
        elif isinstance(node, ast.Assign | ast.AnnAssign) and doc is not None and following is not None:
            yield from _joined(pending, lines)
            pending, skip = [], True
            names = [target.id for target in _targets(node) if isinstance(target, ast.Name)]
            yield _block(outer + names[0] if names else "", "value", doc, lines, node)
        else:
            if pending and pending[-1].kind != _kind(node):
                yield from _joined(pending, lines)
                pending = []
            pending.append(_block("", _kind(node), "", lines, node))
    yield from _joined(pending, lines)


def _definition(node: Definition, lines: list[str], outer: str) -> Iterator[Block]:
    """A function whole; a class up to its first documented method, then its methods."""
    doc, name = ast.get_docstring(node) or "", outer + node.name
    if isinstance(node, ast.FunctionDef):
        yield _block(name, "function", doc, lines, node)
        return
    body = node.body[1:] if doc else node.body
    first = next((i for i, inner in enumerate(body) if isinstance(inner, ast.FunctionDef)), len(body))
    methods = body[first:]
    yield _block(name, "class", doc, lines, node, _start(methods[0], lines) - 1 if methods else None)
    yield from _blocks(methods, lines, f"{name}.")


def _start(node: ast.stmt, lines: list[str]) -> int:
    """The first line of a statement, its decorators and the comment above it included."""
    start = node.lineno
    if isinstance(node, Definition):
        start = min([start, *(decorator.lineno for decorator in node.decorator_list)])
    while start > 1 and lines[start - 2].lstrip().startswith("#"):
        start -= 1
    return start


def _block(name: str, kind: str, doc: str, lines: list[str], node: ast.stmt, end: int | None = None) -> Block:
    end = end or node.end_lineno or node.lineno
    start = _start(node, lines)
    said = range(0)
    if isinstance(node, Definition) and doc:
        said = range(node.body[0].lineno, (node.body[0].end_lineno or 0) + 1)

    if said and said.stop <= len(lines) and not lines[said.stop - 1].strip():
        said = range(said.start, said.stop + 1)

    def source(last: int) -> str:
        return _dedented("\n".join(lines[line - 1] for line in range(start, last + 1) if line not in said))

    return Block(name, kind, inspect.cleandoc(doc), source(end), source(node.end_lineno or end), start, end)


def _dedented(source: str) -> str:
    indent = len(source) - len(source.lstrip(" "))
    return "\n".join(line[indent:] if line[:indent].isspace() else line for line in source.splitlines()).rstrip()


def _joined(pending: list[Block], lines: list[str]) -> Iterator[Block]:
    if pending:
        first, last = pending[0], pending[-1]
        source = _dedented("\n".join(lines[first.line - 1 : last.end]))
        yield Block("", first.kind, "", source, source, first.line, last.end)


def _kind(node: ast.stmt) -> str:
    """Imports, and with them the list of what a package exports, or other statements."""
    exports = isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
    return "imports" if isinstance(node, ast.Import | ast.ImportFrom) or exports else "statements"


def _targets(node: ast.Assign | ast.AnnAssign) -> list[ast.expr]:
    return node.targets if isinstance(node, ast.Assign) else [node.target]


def _text(node: ast.stmt | None) -> str | None:
    """A string that stands as a statement of its own."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
        return node.value.value
    return None
