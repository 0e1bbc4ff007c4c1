"""Markdown to HTML: CommonMark with tables, formulas between dollar signs, and code blocks that do something.

One renderer for docstrings, the READMEs beside the code, lessons and how-to pages. Nothing is passed over: a formula
that cannot be converted, a link that leads nowhere and a directive that nobody knows raise `DataError`.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.token import Token
from mdit_py_plugins.dollarmath import dollarmath_plugin

from refimpl.errors import DataError

from .highlight import Resolve, highlight
from .mathml import mathml

Directive = Callable[[str, str, int], str]
"""What stands in the place of a block: its argument, its content, the line it begins at, to HTML."""

COMMENT = re.compile(r"<!--.*?-->\n?", re.S)


@dataclass(frozen=True)
class Scope:
    """Where a text stands: what its names, links and directives mean there.

    `link` gives the address for a link's target as written, or raises `DataError`.
    """

    where: str
    resolve: Resolve = lambda name: None
    link: Callable[[str], str] = lambda target: target
    directives: Mapping[str, Directive] = field(default_factory=dict)


@dataclass(frozen=True)
class Heading:
    level: int
    anchor: str
    html: str


@dataclass(frozen=True)
class Rendered:
    html: str
    headings: tuple[Heading, ...]


def render(text: str, scope: Scope) -> Rendered:
    """The text as HTML, with its headings. Raises `DataError`, which names `scope.where`."""
    headings: list[Heading] = []
    try:
        html = PARSER.render(COMMENT.sub("", text), {"scope": scope, "headings": headings})
    except DataError as error:
        raise DataError(f"{scope.where}: {error}") from error
    return Rendered(html, tuple(headings))


def inline(text: str) -> str:
    """Markdown of one paragraph, without the element around it."""
    return render(text, Scope(text)).html.removeprefix("<p>").removesuffix("</p>\n")


def slug(heading: str) -> str:
    """The anchor of a heading, as GitHub names it."""
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


LONG = 30
"""Characters of LaTeX from which a formula in a line may be wider than a narrow window."""


def scrolling(html: str, label: str, kind: str = "scroll") -> str:
    """What may be wider than the page, in a box of its own that the keyboard can scroll."""
    return f'<div class="{kind}" role="region" aria-label="{escape(label)}" tabindex="0">{html}</div>'


def code_block(code: str, language: str, resolve: Resolve = lambda name: None) -> str:
    return f'<pre tabindex="0"><code>{highlight(code.rstrip(), language, resolve)}\n</code></pre>\n'


def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    parser.use(dollarmath_plugin, allow_space=False, double_inline=True)
    for name, rule in (
        ("fence", _fence),
        ("code_block", _code_block),
        ("code_inline", _code_inline),
        ("math_inline", _math_inline),
        ("math_inline_double", _math_block),
        ("math_block", _math_block),
        ("heading_open", _heading_open),
        ("link_open", _link_open),
        ("image", _image),
        ("table_open", lambda *_: '<div class="scroll" role="region" aria-label="Table" tabindex="0"><table>\n'),
        ("table_close", lambda *_: "</table></div>\n"),
        ("th_open", _th_open),
    ):
        parser.add_render_rule(name, rule)
    return parser


Tokens = Sequence[Token]


def _fence(self: Any, tokens: Tokens, index: int, options: Any, env: dict[str, Any]) -> str:
    token, scope = tokens[index], env["scope"]
    kind, _, argument = token.info.strip().partition(" ")
    if not kind.startswith("{"):
        return code_block(token.content, kind or "text", scope.resolve)
    name = kind.strip("{}")
    if name not in scope.directives:
        raise DataError(f"no directive is called {{{name}}}; there are {', '.join(scope.directives) or 'none'} here")
    first = token.map[0] + 1 if token.map else 1
    return str(scope.directives[name](argument.strip(), token.content, first))


def _code_block(self: Any, tokens: Tokens, index: int, options: Any, env: dict[str, Any]) -> str:
    return code_block(tokens[index].content, "text")


def _code_inline(self: Any, tokens: Tokens, index: int, options: Any, env: dict[str, Any]) -> str:
    code = tokens[index].content
    html = f"<code>{escape(code, quote=False)}</code>"
    inside_link = sum(token.nesting for token in tokens[:index] if token.type.startswith("link_"))
    address = None if inside_link else env["scope"].resolve(code)
    return f'<a href="{escape(address)}">{html}</a>' if address else html


def _math_inline(self: Any, tokens: Tokens, index: int, options: Any, env: dict[str, Any]) -> str:
    """A formula in a line, which does not break: one that is wider than a narrow window scrolls there."""
    latex = tokens[index].content
    formula = mathml(latex)
    if len(latex) < LONG:
        return formula
    return f'<span class="scroll long" role="region" aria-label="Formula" tabindex="0">{formula}</span>'


def _math_block(self: Any, tokens: Tokens, index: int, options: Any, env: dict[str, Any]) -> str:
    return scrolling(mathml(tokens[index].content, display=True), "Formula", "display")


def _heading_open(self: Any, tokens: Tokens, index: int, options: Any, env: dict[str, Any]) -> str:
    inline = tokens[index + 1]
    anchor = slug(re.sub(r"[`$]", "", inline.content))
    html = self.renderInline(inline.children, options, env)
    env["headings"].append(Heading(int(tokens[index].tag[1]), anchor, re.sub(r"</?a\b[^>]*>", "", html)))
    return f'<{tokens[index].tag} id="{escape(anchor)}">'


def _link_open(self: Any, tokens: Tokens, index: int, options: Any, env: dict[str, Any]) -> str:
    target = str(tokens[index].attrs["href"])
    if target.startswith("https://"):
        return f'<a class="elsewhere" href="{escape(target)}">'
    return f'<a href="{escape(env["scope"].link(target))}">'


def _image(self: Any, tokens: Tokens, index: int, options: Any, env: dict[str, Any]) -> str:
    source, alt = str(tokens[index].attrs["src"]), tokens[index].content
    if not alt:
        raise DataError(f"the picture {source} has no alternative text")
    return f'<img src="{escape(env["scope"].link(source))}" alt="{escape(alt)}">'


def _th_open(self: Any, tokens: Tokens, index: int, options: Any, env: dict[str, Any]) -> str:
    tokens[index].attrs["scope"] = "col"
    return str(self.renderToken(tokens, index, options, env))


PARSER = _parser()
