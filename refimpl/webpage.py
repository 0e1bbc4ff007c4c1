"""A web page in one file: no network, no scripts, light and dark, readable on a phone and printed."""

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import NamedTuple

from .runs.manifest import environment, now

SENTENCE = 40
"""Characters of a cell, from which on it is read as a sentence."""

STYLE = """
:root {
  color-scheme: light dark;
  --text: #1c1c1c; --faint: #575757; --paper: #fff; --panel: #f4f4f2; --line: #d0d0cc; --link: #00518a;
  --green: #00664a; --amber: #7a4d00; --red: #a11a00;
}
@media (prefers-color-scheme: dark) {
  :root {
    --text: #e6e6e3; --faint: #adada8; --paper: #181a1b; --panel: #232627; --line: #454a4c; --link: #7cc0f2;
    --green: #5fcfa6; --amber: #f0b44c; --red: #ff9076;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body {
  font: 16px/1.5 system-ui, sans-serif; color: var(--text); background: var(--paper);
  max-width: 80rem; margin: 0 auto; padding: 1rem; overflow-wrap: break-word;
}
h1, h2, h3 { line-height: 1.25; text-wrap: balance; }
h2 { margin-top: 2.5rem; padding-top: .5rem; border-top: 1px solid var(--line); }
p, dd, li, figcaption, .summary { max-width: 46rem; }
a { color: var(--link); }
nav, .summary { background: var(--panel); border-radius: .4rem; padding: .7rem 1rem; }
.summary { font-size: 1.1rem; }
nav ul { columns: 16rem; margin: 0; padding-left: 1.2rem; }
dt { font-weight: 600; margin-top: .5rem; }
dd { margin-left: 1.5rem; }
.scroll { overflow-x: auto; margin: 1rem 0; }
.scroll:focus-visible, a:focus-visible { outline: 2px solid var(--link); outline-offset: 2px; }
table { border-collapse: collapse; font-size: .92rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; color: var(--faint); padding-bottom: .4rem; }
th, td { text-align: left; vertical-align: top; padding: .35rem 1rem .35rem 0; border-bottom: 1px solid var(--line); }
.number { white-space: nowrap; }
.words { min-width: 15rem; max-width: 40rem; }
th { font-weight: 600; }
tbody th { white-space: nowrap; }
thead th { border-bottom: 2px solid var(--faint); }
code { font-size: .9em; overflow-wrap: anywhere; }
pre { overflow-x: auto; background: var(--panel); padding: .7rem 1rem; }
figure { margin: 1.5rem 0; }
img { max-width: 100%; height: auto; background: #fff; }
figcaption { color: var(--faint); }
.green { color: var(--green); } .amber { color: var(--amber); } .red { color: var(--red); font-weight: 600; }
footer { color: var(--faint); font-size: .92rem; }
@media (max-width: 40rem) { tbody th { white-space: normal; } }
@media print {
  :root {
    color-scheme: light;
    --text: #000; --faint: #444; --paper: #fff; --panel: #fff; --line: #bbb; --link: #000;
    --green: #00664a; --amber: #7a4d00; --red: #a11a00;
  }
  @page { margin: 15mm; }
  body { font-size: 10pt; max-width: none; padding: 0; }
  nav { display: none; }
  .summary { padding: 0; }
  .scroll { overflow: visible; }
  table { font-size: 7.5pt; width: auto; max-width: 100%; }
  th, td, tbody th { padding: .2rem .5rem .2rem 0; min-width: 3.8em; white-space: normal; }
  td { overflow-wrap: anywhere; }
  .number { white-space: nowrap; min-width: 0; }
  .words { min-width: 8em; }
  thead { display: table-header-group; }
  tr, figure, dt { break-inside: avoid; }
  h2, h3, caption, dt { break-after: avoid; }
  img { max-height: 220mm; }
}
"""


class Markup(str):
    """Text that is HTML already; any other text is escaped."""

    __slots__ = ()


class Section(NamedTuple):
    """A part of a page: `id` is its anchor, `heading` its entry in the contents."""

    id: str
    heading: str
    html: str


def webpage(title: str, summary: str, sections: Sequence[Section], provenance: Mapping[str, str]) -> str:
    """The HTML of a page: title, a line of summary, contents, the sections, and where it comes from.

    `provenance` is what `made_with` gives, or any facts by name.
    """
    last = Section("provenance", "Provenance", definitions(provenance))
    contents = "\n".join(f'<li><a href="#{one.id}">{escape(one.heading)}</a></li>' for one in (*sections, last))
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{escape(title)}</title>
<link rel="icon" href="data:,">
<style>{STYLE}</style>
</head>
<body>
<header>
<h1>{escape(title)}</h1>
<p class="summary">{_html(summary)}</p>
</header>
<nav aria-label="Contents">
<ul>
{contents}
</ul>
</nav>
<main>
{"".join(map(_section, sections))}</main>
<footer>
{_section(last)}</footer>
</body>
</html>
"""


def made_with(backend: str = "numpy", **facts: str) -> dict[str, str]:
    """Version, date and class of machine of what is written now; `facts` come first: seeds, say."""
    here = environment(backend)
    git = here["git"]
    commit = f", commit {git['commit'][:10]}{' with changes' if git['dirty'] else ''}" if git else ""
    machine = [here["processor"], f"{here['cores']} cores", *([here["gpu"]] if "gpu" in here else []), here["platform"]]
    kernel = f", BLAS kernel {here['numpy_kernel']}" if here["numpy_kernel"] else ""
    software = f"Python {here['python']}, NumPy {here['packages']['numpy']}{kernel}"
    return {
        **{name.replace("_", " "): value for name, value in facts.items()},
        "refimpl": here["packages"]["refimpl"] + commit,
        "written": now(),
        "machine": ", ".join(machine),
        "software": software,
    }


def table(caption: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table that scrolls in a box of its own where it is too wide; the first cell of a row is its header.

    Cells are escaped unless they are `Markup`; the first is a short name, which does not break.
    """
    head = "".join(f'<th scope="col">{_html(column)}</th>' for column in columns)
    body = "\n".join(
        f'<tr><th scope="row">{_html(first)}</th>' + "".join(map(_cell, others)) + "</tr>" for first, *others in rows
    )
    return (
        f'<div class="scroll" role="region" tabindex="0" aria-label="{escape(caption)}"><table>\n'
        f"<caption>{escape(caption)}</caption>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table></div>\n"
    )


def definitions(terms: Mapping[str, str]) -> str:
    """Terms, each with what it means."""
    pairs = "\n".join(f"<dt>{_html(term)}</dt><dd>{_html(meaning)}</dd>" for term, meaning in terms.items())
    return f"<dl>\n{pairs}\n</dl>\n"


def _section(one: Section) -> str:
    return f'<section id="{one.id}">\n<h2>{escape(one.heading)}</h2>\n{one.html}</section>\n'


def _cell(text: str) -> str:
    """Numbers do not break; columns of sentences do not become narrow."""
    kind = "words" if len(text) > SENTENCE else "" if any(map(str.isalpha, text)) else "number"
    return f'<td class="{kind}">{_html(text)}</td>' if kind else f"<td>{_html(text)}</td>"


def _html(text: str) -> str:
    return text if isinstance(text, Markup) else escape(text)
