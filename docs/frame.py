"""The frame of every page of the site: the links on top, contents, the text, and where it comes from."""

from collections.abc import Sequence
from html import escape
from posixpath import dirname, relpath

from refimpl import __version__
from refimpl.webpage import STYLE

from .markdown import Heading

PAPER = (
    "On the Effect of Low-Rank Weights on Adversarial Robustness of Neural Networks (Langenberg, Balda, Behboodi and "
    "Mathar 2019)"
)

LINKS = {
    "index.html": "The paper",
    "lessons/index.html": "Lessons",
    "explore.html": "Explore",
    "equations.html": "Equations",
    "modules/index.html": "Modules",
    "howto/index.html": "How to",
    "glossary.html": "Glossary",
    "results.html": "Results",
    "errata.html": "Errata",
    "performance.html": "Performance",
    "search.html": "Search",
}
"""The main pages, in the order in which every page links to them."""

SITE_STYLE = """
:root { --name: #7a2f8f; --string: #1d6b2f; --keyword: #a11a4e; --number: #8a4b00; }
@media (prefers-color-scheme: dark) {
  :root { --name: #d8a6ea; --string: #8fd6a0; --keyword: #ff9dbd; --number: #f0b678; }
}
body { max-width: 82rem; }
body.wide { max-width: 110rem; }
.site ul { columns: auto; display: flex; flex-wrap: wrap; gap: .2rem 1.2rem; list-style: none; padding: 0; }
.site a[aria-current] { color: var(--text); font-weight: 600; text-decoration: none; }
.contents { margin: 1rem 0; }
.contents ul { list-style: none; padding: 0; }
.contents .deeper { padding-left: 1rem; }
main h2 { scroll-margin-top: 1rem; }
main h3 { margin-top: 1.8rem; }
table p { margin: 0; }
td code, th code { overflow-wrap: normal; }
td > a { overflow-wrap: anywhere; }
.display { max-width: 46rem; overflow-x: auto; overflow-y: hidden; padding: .4rem 0; margin: 1rem 0; }
.display math { text-align: left; }
math { font-family: "STIX Two Math", "Latin Modern Math", "Cambria Math", math; }
math { font-size: 1.06em; }
@media (max-width: 40rem) {
  .long { display: inline-block; max-width: 100%; margin: 0; overflow-y: hidden; vertical-align: bottom; }
}
pre { font-size: .84rem; line-height: 1.45; border-radius: .3rem; margin: .8rem 0; }
pre code { font-size: inherit; overflow-wrap: normal; }
pre a { color: inherit; text-decoration: underline dotted; text-underline-offset: .2em; }
pre:focus-visible, .display:focus-visible { outline: 2px solid var(--link); }
.k { color: var(--keyword); } .s { color: var(--string); } .m { color: var(--number); }
.c { color: var(--faint); font-style: italic; } .nd { color: var(--name); }
.nf, .nc { color: var(--name); font-weight: 600; }
a.elsewhere::after { content: "\\2197"; font-size: .8em; }
.pair { border-top: 1px solid var(--line); padding-top: .2rem; }
.pair h2, .pair h3 { border: 0; margin: .6rem 0 .3rem; padding: 0; font-size: 1.05rem; }
.pair > .doc { min-width: 0; } .pair > .code { min-width: 0; }
@media (min-width: 70rem) {
  .pair { display: grid; grid-template-columns: minmax(0, 2fr) minmax(0, 3fr); gap: 2rem; }
  .pair > .doc { position: sticky; top: 0; align-self: start; max-height: 100vh; overflow-y: auto; }
}
.run { border-left: 3px solid var(--link); padding-left: 1rem; margin: 1.2rem 0; }
.source figcaption { margin-top: -.4rem; font-size: .9rem; }
.output { background: none; border: 1px solid var(--line); }
.picture { display: block; max-width: 100%; height: auto; background: #fff; margin: .8rem 0; }
.places { margin: .3rem 0 1rem; }
.places dt { float: left; clear: left; width: 5rem; font-weight: 400; color: var(--faint); margin: 0; }
.places dd { margin: 0 0 .15rem 5rem; }
.in { color: var(--faint); font-size: .9rem; }
#found { list-style: none; padding: 0; }
input { font: inherit; padding: .2rem .4rem; max-width: 100%; }
.turn { display: flex; justify-content: space-between; gap: 1rem; margin-top: 2.5rem; }
summary { cursor: pointer; }
@media print {
  :root { --name: #000; --string: #000; --keyword: #000; --number: #000; }
  .pair { display: block; }
  .pair > .doc { max-height: none; overflow: visible; }
  pre { white-space: pre-wrap; border: 1px solid var(--line); }
  .display { overflow: visible; }
  .places { margin: .3rem 0 1rem; }
.places dt { float: left; clear: left; width: 5rem; font-weight: 400; color: var(--faint); margin: 0; }
.places dd { margin: 0 0 .15rem 5rem; }
.in { color: var(--faint); font-size: .9rem; }
#found { list-style: none; padding: 0; }
input { font: inherit; padding: .2rem .4rem; max-width: 100%; }
.turn { display: none; }
}
"""

WHOLE_STYLE = STYLE + SITE_STYLE


def relative(target: str, page: str) -> str:
    """The address of a page or file of the site, perhaps with an anchor, as a link on `page` has it."""
    path, _, anchor = target.partition("#")
    address = relpath(path, dirname(page) or ".") if path != page or not anchor else ""
    return f"{address}#{anchor}" if anchor else address


def frame(page: str, title: str, body: str, headings: Sequence[Heading] = (), wide: bool = False) -> str:
    """The HTML of the page at the address `page`; `headings` become its contents, but for the first."""
    links = "".join(f"<li>{_link(target, words, page)}</li>" for target, words in LINKS.items())
    name = title if page == "index.html" else f"{title} - refimpl"
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{escape(name)}</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="{relative("style.css", page)}">
</head>
<body{' class="wide"' if wide else ""}>
<nav class="site" aria-label="Site"><ul>{links}</ul></nav>
<main>
{body.replace("</h1>", "</h1>" + _contents(headings), 1)}</main>
<footer><p>refimpl {__version__}, reference implementation of {PAPER}.</p></footer>
</body>
</html>
"""


def _link(target: str, words: str, page: str) -> str:
    current = ' aria-current="page"' if target == page else ""
    return f'<a href="{relative(target, page)}"{current}>{words}</a>'


def _contents(headings: Sequence[Heading]) -> str:
    listed = [heading for heading in headings if heading.level in (2, 3)]
    if len(listed) < 3:
        return ""
    items = "\n".join(
        f'<li{" class=deeper" if heading.level == 3 else ""}><a href="#{heading.anchor}">{heading.html}</a></li>'
        for heading in listed
    )
    return f'\n<nav class="contents" aria-label="Contents"><ul>\n{items}\n</ul></nav>\n'
