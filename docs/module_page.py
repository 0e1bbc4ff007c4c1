"""The page of a module: what is said of each definition beside its source."""

import re
from collections.abc import Callable, Mapping, Sequence
from html import escape

from .frame import relative
from .highlight import highlight
from .index import Place
from .markdown import Heading, Rendered, Scope, code_block, render
from .sources import Block, Module

Address = Callable[[str, Module], str | None]
"""The place in the site of a name as written in a module."""


def module_page(
    module: Module, address: str, find: Address, used: Mapping[str, Sequence[Place]], parts: Sequence[Module] = ()
) -> Rendered:
    """`used` has the tests of each definition by its full name; `parts` are the modules of a package."""

    def resolve(name: str) -> str | None:
        found = find(name, module)
        return relative(found, address) if found else None

    scope = Scope(module.path, resolve)
    body = [f"<h1>{escape(module.name)}</h1>\n<p><code>{module.path}</code></p>\n", render(module.doc, scope).html]
    if parts:
        body.append(_parts(parts, address))
    headings = [Heading(1, "", escape(module.name))]
    for block in module.blocks:
        if block.kind == "imports":
            body.append(f"<details><summary>Imports</summary>{code_block(block.source, 'python', resolve)}</details>\n")
            continue
        body.append(
            _pair(block, scope, [relative_place(one, address) for one in used.get(f"{module.name}.{block.name}", [])])
        )
        if block.name and "." not in block.name:
            headings.append(Heading(2, block.name, f"<code>{escape(block.name)}</code>"))
    return Rendered("".join(body), tuple(headings))


def with_examples(doc: str) -> str:
    """A docstring whose examples, from `>>>` to the next empty line, are blocks of code, not quotations."""
    return re.sub(r"^>>> .*(?:\n.+)*", r"```pycon\n\g<0>\n```", doc, flags=re.M)


def relative_place(one: Place, address: str) -> Place:
    return Place(relative(one.address, address), one.words)


def link(one: Place) -> str:
    return f'<a href="{escape(one.address)}">{escape(one.words)}</a>'


def _parts(parts: Sequence[Module], address: str) -> str:
    rows = "\n".join(
        f'<li><a href="{relative(f"modules/{part.name}.html", address)}">{part.name.rpartition(".")[2]}</a>: '
        f"{render(part.doc.splitlines()[0] if part.doc else '', Scope(part.path)).html[3:-5]}</li>"
        for part in parts
    )
    return f"<ul>\n{rows}\n</ul>\n"


def _pair(block: Block, scope: Scope, tests: Sequence[Place]) -> str:
    """A definition, what is said of it at the left and its source at the right; statements have a source only."""
    code = f'<pre tabindex="0"><code>{highlight(block.source, "python", scope.resolve)}\n</code></pre>'
    if not block.name:
        return f'<div class="pair"><div class="doc"></div><div class="code">{code}</div></div>\n'
    level = "h3" if "." in block.name else "h2"
    words = render(with_examples(block.doc), Scope(f"{scope.where}, {block.name}", scope.resolve)).html
    if tests:
        shown = "\n".join(f"<li>{link(one)}</li>" for one in tests)
        words += f"<details><summary>{len(tests)} test{'s' * (len(tests) > 1)}</summary><ul>{shown}</ul></details>"
    return (
        f'<section class="pair" id="{escape(block.name)}"><div class="doc"><{level}>'
        f'<a href="#{escape(block.name)}"><code>{escape(block.name)}</code></a></{level}>\n{words}</div>'
        f'<div class="code">{code}</div></section>\n'
    )
