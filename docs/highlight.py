"""Source code as HTML: coloured by kind of token, names linked to where they are defined."""

from collections.abc import Callable, Iterator
from html import escape

from pygments.lexers import get_lexer_by_name
from pygments.token import STANDARD_TYPES, _TokenType
from pygments.util import ClassNotFound

Resolve = Callable[[str], str | None]
"""The address of a dotted name as it is written somewhere, if it is one of ours."""


def highlight(code: str, language: str, resolve: Resolve = lambda name: None) -> str:
    """The content of a `pre` element. An unknown language is plain text."""
    try:
        lexer = get_lexer_by_name(language, stripnl=False, ensurenl=False)
    except ClassNotFound:
        return escape(code, quote=False)
    return "".join(_linked(list(lexer.get_tokens(code)), resolve))


def _linked(tokens: list[tuple[_TokenType, str]], resolve: Resolve) -> Iterator[str]:
    dotted = ""
    for kind, text in tokens:
        css = _class(kind)
        if text == ".":
            dotted += "." if dotted else ""
        elif STANDARD_TYPES.get(kind, "").startswith("n") and css not in ("nf", "nc"):
            dotted = dotted + text if dotted.endswith(".") else text
        else:
            dotted = ""
        html = f'<span class="{css}">{escape(text, quote=False)}</span>' if css else escape(text, quote=False)
        address = resolve(dotted) if dotted and text != "." else None
        yield f'<a href="{escape(address)}">{html}</a>' if address else html


def _class(kind: _TokenType) -> str:
    """The first letter or two of Pygments' class that the style sheet knows: k, s, c, m, nf, nc, nd."""
    short = STANDARD_TYPES.get(kind, "")
    if short[:2] in ("nf", "nc", "nd", "nb"):
        return short[:2]
    return short[:1] if short[:1] in ("k", "s", "c", "m", "g") else ""
