"""What must not be in the site: links that lead nowhere, addresses of other machines, formulas left as LaTeX."""

import re
from collections.abc import Iterator, Mapping
from html.parser import HTMLParser
from posixpath import dirname, join, normpath

VERBATIM = {"pre", "code", "script", "style", "math"}
"""Elements whose text is not prose."""

RAW = re.compile(r"\$[^$]+\$|\\[a-zA-Z]{2,}")


class _Page(HTMLParser):
    """The anchors, links, loaded files and prose of a page."""

    def __init__(self, content: bytes) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.prose: list[str] = []
        self._verbatim = 0
        self.feed(content.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self._verbatim += tag in VERBATIM
        self.ids += [given["id"]] if "id" in given else []
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        else:
            self.loaded += [given[name] for name in ("href", "src") if name in given]
        self.prose += [given[name] for name in ("alt", "aria-label") if name in given]

    def handle_endtag(self, tag: str) -> None:
        self._verbatim -= tag in VERBATIM

    def handle_data(self, data: str) -> None:
        if not self._verbatim:
            self.prose.append(data)


def problems(files: Mapping[str, bytes]) -> Iterator[str]:
    """What is wrong, a line a problem, with the page. Links to papers, by https, are allowed; nothing is loaded so."""
    pages = {address: _Page(content) for address, content in files.items() if address.endswith(".html")}
    for address, page in pages.items():
        for name in sorted({one for one in page.ids if page.ids.count(one) > 1}):
            yield f"{address}: the anchor {name} is there twice"
        for target in page.loaded:
            if target != "data:," and _file(target, address) not in files:
                yield f"{address}: it loads {target}, which is not in the site"
        for target in dict.fromkeys(page.links):
            yield from _broken(target, address, pages, files)
        if found := RAW.search(" ".join(page.prose)):
            yield f"{address}: the formula {found[0]} is left as it was"
    for address, content in files.items():
        if address.endswith(".css") and re.search(rb"url\(|@import", content):
            yield f"{address}: it loads another file"


def _file(target: str, address: str) -> str:
    return normpath(join(dirname(address), target))


def _broken(target: str, address: str, pages: Mapping[str, _Page], files: Mapping[str, bytes]) -> Iterator[str]:
    if target.startswith("https://"):
        return
    path, _, anchor = target.partition("#")
    file = _file(path, address) if path else address
    if file not in files:
        yield f"{address}: the link {target} leads nowhere"
    elif anchor and anchor not in pages[file].ids:
        yield f"{address}: there is no anchor {target}"
