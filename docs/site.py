"""The site: its pages, what each is made of, and the links between them."""

import os
import re
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import cache, partial, reduce
from multiprocessing import get_context
from operator import or_
from pathlib import Path
from posixpath import dirname, join, normpath

from threadpoolctl import threadpool_limits

from refimpl.errors import DataError

from .frame import WHOLE_STYLE, frame, relative
from .lesson import Runner, source_directive
from .markdown import Directive, Rendered, Scope, render
from .names import Names
from .sources import Module, folder, modules, tests

Files = dict[str, bytes]
"""What is written: addresses within the site, and contents."""

DOCUMENTS = {
    "refimpl/experiments/README.md": "results.html",
    "refimpl/theory/README.md": "errata.html",
    "refimpl/bench/README.md": "performance.html",
    "docs/glossary.md": "glossary.html",
    "README.md": "index.html",
    "CONTRIBUTING.md": "howto/index.html",
}
"""Addresses of Markdown files that have an address of their own; the last two are not in the wheel, only linked to."""


class Site:
    """The pages by address, each a function that makes its files."""

    def __init__(self) -> None:
        self.names = Names([*modules(), *tests()])
        self.pages: dict[str, Callable[[], Files]] = {}
        self.running: set[str] = set()
        docs = folder("refimpl_docs")
        for kind in ("lessons", "howto"):
            for path in sorted((docs / kind).glob("*.md")):
                address = f"{kind}/{path.stem}.html"
                self.running.add(address)
                self.pages[address] = partial(self.document, f"docs/{kind}/{path.name}", path, address)

    def module_address(self, module: Module) -> str:
        return f"{'tests' if module.name.startswith('tests.') else 'modules'}/{module.name}.html"

    def definition_address(self, name: str, module: Module | None = None) -> str | None:
        """The place in the site of a name as written in `module`, or of a full name."""
        found = self.names.definition(name, module)
        if found is None:
            return None
        owner, block = found
        return self.module_address(owner) + (f"#{block.name}" if block else "")

    def document(self, source: str, path: Path, address: str) -> Files:
        """A page of Markdown, which is the file `source` of the repository; its code blocks are run."""
        pictures: Files = {}

        def save(svg: bytes) -> str:
            name = f"{address.removesuffix('.html')}-{len(pictures) + 1}.svg"
            pictures[name] = svg
            return relative(name, address)

        def here(name: str) -> str | None:
            target = self.definition_address(name)
            return relative(target, address) if target else None

        runner = Runner(source, self.names, here, save)
        directives: dict[str, Directive] = {"source": source_directive(self.names, here), "run": runner}
        scope = Scope(source, here, lambda target: self.link(target, source, address), directives)
        rendered = render(path.read_text(), scope)
        return {address: self.framed(address, rendered)} | pictures

    def framed(self, address: str, rendered: Rendered) -> bytes:
        first = next((heading for heading in rendered.headings if heading.level == 1), None)
        if first is None:
            raise DataError(f"{address} has no title: begin it with a line `# Title`")
        title = re.sub(r"<[^>]+>", "", first.html)
        return frame(address, title, rendered.html, rendered.headings).encode()

    def link(self, target: str, source: str, address: str) -> str:
        """The address, on the page `address`, of a link written in the file `source` of the repository."""
        path, _, anchor = target.partition("#")
        if not path:
            return target
        full = normpath(join(dirname(source), path))
        found = self.file_address(full)
        if found is None:
            raise DataError(f"the link {target} leads to {full}, which is no page of the site")
        elsewhere = full in ("README.md", "CONTRIBUTING.md")
        return relative(f"{found}#{anchor}" if anchor and not elsewhere else found, address)

    def file_address(self, path: str) -> str | None:
        """The page of a file of the repository."""
        if path in DOCUMENTS:
            return DOCUMENTS[path]
        for module in self.names.modules.values():
            if module.path == path:
                return self.module_address(module)
        if path.endswith(".md"):
            return path.removeprefix("docs/").removesuffix(".md") + ".html"
        return None


@cache
def site() -> Site:
    return Site()


def build(address: str) -> Files:
    """The files of a page. Code runs on one thread, so that the same numbers come out everywhere."""
    with threadpool_limits(1):
        return site().pages[address]()


def built(only: str = "") -> Files:
    """The files of all pages whose address begins with `only`; lessons run on all processors."""
    wanted = [address for address in site().pages if address.startswith(only)]
    if not wanted:
        known = ", ".join(sorted({address.split("/")[0] for address in site().pages}))
        raise DataError(f"no page has an address that begins with {only!r}; there are {known}")
    running = [address for address in wanted if address in site().running]
    files: Files = {"style.css": WHOLE_STYLE.encode()}
    if len(running) < 2:
        return reduce(or_, map(build, wanted), files)
    with ProcessPoolExecutor(min(len(running), os.cpu_count() or 1), mp_context=get_context("spawn")) as pool:
        started = [pool.submit(build, address) for address in running]
        files = reduce(or_, (build(address) for address in wanted if address not in site().running), files)
        return reduce(or_, (future.result() for future in started), files)
