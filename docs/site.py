"""The site: its pages by address, what each is made of, and the links between them."""

import os
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import cache, cached_property, partial, reduce
from html import escape
from multiprocessing import get_context
from operator import or_
from pathlib import Path
from posixpath import dirname, join, normpath

from threadpoolctl import threadpool_limits

from refimpl.errors import DataError

from . import contents, evidence
from .check import problems
from .explore import ADDRESS as EXPLORE
from .explore import explore
from .frame import WHOLE_STYLE, frame, relative
from .index import Entry, Place, index, place, uses
from .lesson import Runner, settings_directive, source_directive
from .markdown import Directive, Heading, Rendered, Scope, inline, render
from .module_page import module_page
from .names import Names
from .search import search
from .sources import PACKAGES, Module, folder, modules, tests

Files = dict[str, bytes]
"""What is written: addresses within the site, and contents."""

NAMED = {
    "refimpl/experiments/README.md": "results.html",
    "refimpl/theory/README.md": "errata.html",
    "refimpl/bench/README.md": "performance.html",
    "docs/glossary.md": "glossary.html",
}
"""The addresses of Markdown files that are main pages.

Others are `documents/PACKAGE.html`, `documents/PACKAGE/NAME.html`, or named as in `docs`.
"""

OUTSIDE = {"README.md": "index.html", "CONTRIBUTING.md": "howto/index.html", "figures/record": "figures.html"}
"""Files of the repository that are not installed, and the pages to which links to them lead."""

LISTS = {
    "lessons": (
        "Lessons",
        "In order; each has a question, a derivation, the code it became, an experiment and exercises. Others are"
        " checked by the computer: <code>refimpl exercise</code> lists them.",
    ),
    "howto": ("How to", "Work of your own with refimpl."),
}


class Site:
    """`pages` are functions that make the files of a page; those in `running` execute code."""

    def __init__(self) -> None:
        self.modules, self.tests = modules(), tests()
        self.names = Names([*self.modules, *self.tests])
        self.documents = dict(_documents())
        self.pages: dict[str, Callable[[], Files]] = {
            "index.html": lambda: self.files("index.html", contents.home(self.entries)),
            "equations.html": lambda: self.files("equations.html", contents.equations(self.entries)),
            "statements.html": lambda: self.files("statements.html", evidence.statements(self.names)),
            "figures.html": self.figures,
            EXPLORE: explore,
            "modules/index.html": self.list_of_modules,
            "search.html": lambda: self.files("search.html", search(self.modules, self.texts)),
        }
        self.pages |= {f"{kind}/index.html": partial(self.list_of_documents, kind) for kind in LISTS}
        self.pages |= {place(module).address: partial(self.module, module) for module in (*self.modules, *self.tests)}
        self.pages |= {address: partial(self.document, address) for address in self.documents}
        self.running = {address for address in self.documents if "```{run}" in self.texts[address]} | {
            "figures.html",
            EXPLORE,
        }

    @cached_property
    def texts(self) -> dict[str, str]:
        """The documents' Markdown, by address."""
        return {address: path.read_text() for address, (_, path) in self.documents.items()}

    @cached_property
    def used(self) -> dict[str, list[Place]]:
        """The tests of each definition, by its full name."""
        return uses(self.names, self.tests)

    @cached_property
    def entries(self) -> dict[str, Entry]:
        """The index of the paper's items, by key."""
        lessons = {Place(a, _title(text)): text for a, text in self.texts.items() if a.startswith("lessons/")}
        return {
            entry.item.key: entry for entry in index(self.modules, self.tests, self.used, lessons, evidence.tried())
        }

    def files(self, address: str, rendered: Rendered, wide: bool = False) -> Files:
        """A page in its frame. Raises `DataError` for one without a title."""
        first = next((heading for heading in rendered.headings if heading.level == 1), None)
        if first is None:
            raise DataError(f"{address} has no title: begin it with a line `# Title`")
        title = re.sub(r"<[^>]+>", "", first.html)
        return {address: frame(address, title, rendered.html, rendered.headings, wide).encode()}

    def module(self, module: Module) -> Files:
        address = place(module).address
        parts = [one for one in self.modules if one.name.rpartition(".")[0] == module.name]
        return self.files(address, module_page(module, address, self.find, self.used, parts), wide=True)

    def figures(self) -> Files:
        rendered, pictures = evidence.figures()
        return self.files("figures.html", rendered) | pictures

    def document(self, address: str) -> Files:
        """A page of Markdown; its code blocks are run."""
        source, _ = self.documents[address]
        attached: Files = {}

        def save(svg: bytes) -> str:
            name = f"{address.removesuffix('.html')}-{len(attached) + 1}.svg"
            attached[name] = svg
            return relative(name, address)

        def here(name: str) -> str | None:
            target = self.find(name)
            return relative(target, address) if target else None

        def link(target: str) -> str:
            return self.link(target, source, address, attached)

        directives: dict[str, Directive] = {
            "source": source_directive(self.names, here),
            "run": Runner(source, self.names, here, save),
            "settings": settings_directive,
        }
        rendered = render(self.texts[address], Scope(source, here, link, directives))
        return self.files(address, replace(rendered, html=rendered.html + self.neighbours(address))) | attached

    def neighbours(self, address: str) -> str:
        """Links to the lesson before and after."""
        lessons = [one for one in self.documents if one.startswith("lessons/")]
        if address not in lessons:
            return ""
        at = lessons.index(address)
        links = [
            f'<a href="{relative(lessons[i], address)}">{words}: {escape(_title(self.texts[lessons[i]]))}</a>'
            for i, words in ((at - 1, "Before"), (at + 1, "Next"))
            if 0 <= i < len(lessons)
        ]
        return f'<nav class="turn" aria-label="Lessons">{"".join(links)}</nav>\n'

    def list_of_documents(self, kind: str) -> Files:
        address, (title, words) = f"{kind}/index.html", LISTS[kind]
        listed = [one for one in self.documents if one.startswith(f"{kind}/")]
        rows = "".join(
            f'<li><a href="{relative(one, address)}">{inline(_title(self.texts[one]))}</a></li>\n' for one in listed
        )
        html = f"<h1>{title}</h1>\n<p>{words}</p>\n<ol>\n{rows}</ol>\n"
        return self.files(address, Rendered(html, (Heading(1, "", title),)))

    def list_of_modules(self) -> Files:
        title, parts = "Modules", ["<h1>Modules</h1>\n<p>What is said of each definition, beside its source.</p>\n"]
        headings = [Heading(1, "", title)]
        for package in (*PACKAGES.values(), "tests"):
            headings.append(Heading(2, package, package))
            listed = [one for one in (*self.modules, *self.tests) if one.name.split(".")[0] == package]
            rows = "".join(
                f'<li><a href="{relative(place(one).address, "modules/index.html")}">{one.name}</a>: '
                f"{inline(one.doc.partition(chr(10))[0])}</li>\n"
                for one in listed
            )
            parts.append(f'<h2 id="{package}">{package}</h2>\n<ul>\n{rows}</ul>\n')
        return self.files("modules/index.html", Rendered("".join(parts), tuple(headings)))

    def find(self, name: str, module: Module | None = None) -> str | None:
        """The address of a name as it is written in `module`, or of a full name."""
        found = self.names.definition(name, module)
        return place(*found).address if found else None

    def link(self, target: str, source: str, address: str, attached: Files) -> str:
        """The address, on the page `address`, of a link written in the file `source` of the repository.

        A file of a package that is no page is `attached` to the site. Raises `DataError` where there is neither.
        """
        path, _, anchor = target.partition("#")
        if not path:
            return target
        full = normpath(join(dirname(source), path))
        if full in OUTSIDE:
            return relative(OUTSIDE[full], address)
        found, file = self.file_address(full), _installed(full)
        if found is None and file is not None:
            found = f"files/{full}"
            attached[found] = file.read_bytes()
        if found is None:
            raise DataError(f"the link {target} leads to {full}, which is no page of the site")
        return relative(f"{found}#{anchor}" if anchor else found, address)

    def file_address(self, path: str) -> str | None:
        """The page of a file of the repository."""
        for address, (source, _) in self.documents.items():
            if source == path:
                return address
        return next((place(module).address for module in (*self.modules, *self.tests) if module.path == path), None)


def _documents() -> Iterator[tuple[str, tuple[str, Path]]]:
    """The address, name in the repository and file of each page that is written in Markdown."""
    for top, package in PACKAGES.items():
        root = folder(package)
        for path in sorted(root.rglob("*.md")):
            inside = path.relative_to(root)
            source = f"{top}/{inside.as_posix()}"
            name = inside.with_suffix("").as_posix()
            if top != "docs":
                name = f"documents/{name.removesuffix('/README')}"
            yield NAMED.get(source, f"{name}.html"), (source, path)


def _installed(path: str) -> Path | None:
    """A file of the repository, where it is in a package."""
    top, _, inside = path.partition("/")
    file = folder(PACKAGES[top]) / inside if top in PACKAGES else None
    return file if file and file.is_file() else None


def _title(text: str) -> str:
    return text.partition("\n")[0].removeprefix("# ")


@cache
def site() -> Site:
    return Site()


def build(address: str) -> Files:
    """The files of a page. Code runs on one thread, so that the same numbers come out everywhere."""
    with threadpool_limits(1):
        return site().pages[address]()


def built(only: str = "") -> Files:
    """The files of all pages whose address begins with `only`; what executes code is spread over the processors.

    Raises `DataError` where no address begins so, where a page cannot be made, and where the whole site has `problems`.
    """
    wanted = [address for address in site().pages if address.startswith(only)]
    if not wanted:
        known = ", ".join(sorted({address.split("/")[0] for address in site().pages}))
        raise DataError(f"no page has an address that begins with {only!r}; there are {known}")
    files: Files = {"style.css": WHOLE_STYLE.encode()} | _made(wanted)
    if not only and (found := list(problems(files))):
        raise DataError(f"{len(found)} problems in the site, first of them: {found[0]}")
    return files


def _made(addresses: list[str]) -> Files:
    running = [address for address in addresses if address in site().running]
    if len(running) < 2:
        return reduce(or_, map(build, addresses))
    with ProcessPoolExecutor(min(len(running), os.cpu_count() or 1), mp_context=get_context("spawn")) as pool:
        started = [pool.submit(build, address) for address in running]
        here = [build(address) for address in addresses if address not in site().running]
        return reduce(or_, [*here, *(future.result() for future in started)])
