"""The search page: everything that has a name, in one list, which a short script makes shorter."""

import re
from collections.abc import Iterator, Mapping, Sequence
from html import escape

from .index import Place, place
from .markdown import Heading, Rendered, slug
from .module_page import link
from .sources import Module

SCRIPT = """
const form = document.getElementById('search'), words = document.getElementById('words');
const items = [...document.querySelectorAll('#found li')];
const texts = items.map(item => (item.textContent + ' ' + item.dataset.text).toLowerCase());
form.hidden = false;
form.onsubmit = event => event.preventDefault();
words.oninput = () => {
  const all = words.value.toLowerCase().split(/\\s+/);
  let found = 0;
  items.forEach((item, i) => { found += !(item.hidden = !all.every(word => texts[i].includes(word))); });
  document.getElementById('count').textContent = words.value ? found + ' found' : '';
};
"""


def search(modules: Sequence[Module], documents: Mapping[str, str]) -> Rendered:
    """All modules, their public definitions, and the sections of the documents, which are texts by address."""
    entries = sorted(
        [*_defined(modules), *_sections(documents)], key=lambda one: (one[0].words.lower(), one[0].address)
    )
    rows = "\n".join(
        f'<li data-text="{escape(_words(text))}">{link(where)} <span class="in">{escape(within)}</span></li>'
        for where, within, text in entries
    )
    html = (
        '<h1>Search</h1>\n<form id="search" role="search" hidden>'
        '<label for="words">Words that a name or its text has</label> '
        '<input id="words" type="search" autocomplete="off"> <output id="count" for="words"></output></form>\n'
        "<p>Every module, public definition and section. Without JavaScript, search this page with the browser.</p>\n"
        f'<ul id="found">\n{rows}\n</ul>\n<script>{SCRIPT}</script>\n'
    )
    return Rendered(html, (Heading(1, "", "Search"),))


def _defined(modules: Sequence[Module]) -> Iterator[tuple[Place, str, str]]:
    for module in modules:
        yield place(module), "module", module.doc
        for block in module.blocks:
            if block.name and not block.name.rpartition(".")[2].startswith("_"):
                yield place(module, block), module.name, block.doc


def _sections(documents: Mapping[str, str]) -> Iterator[tuple[Place, str, str]]:
    for address, text in documents.items():
        title = text.partition("\n")[0].removeprefix("# ")
        for heading, below in re.findall(
            r"^##? (.+)\n((?:(?!##? ).*\n?)*)", re.sub(r"```.*?```", "", text, flags=re.S), re.M
        ):
            name = re.sub(r"[`$]", "", heading)
            yield Place(f"{address}#{slug(name)}", name), "page" if heading == title else title, below


def _words(text: str) -> str:
    """Each word once."""
    return " ".join(dict.fromkeys(re.findall(r"[\w.-]*\w", text.lower())))
