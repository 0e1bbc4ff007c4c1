"""Markdown, formulas and source code as HTML: nothing is passed over."""

import pytest
from refimpl_docs.check import problems
from refimpl_docs.highlight import highlight
from refimpl_docs.markdown import Scope, inline, render
from refimpl_docs.mathml import mathml
from refimpl_docs.module_page import with_examples

from refimpl.errors import DataError


@pytest.mark.parametrize(
    ("latex", "expected"),
    [
        (r"x^2", "<msup><mi>x</mi><mn>2</mn></msup>"),
        (r"\frac{a}{b}", "<mfrac><mrow><mi>a</mi></mrow><mrow><mi>b</mi></mrow></mfrac>"),
        (r"\mathrm{sign}(g)", "<mtext>sign</mtext>"),
        (r"\arg\min_l M_l", "arg&#x02009;min"),
        (r"\|W\|", '<mo stretchy="false" lspace="0" rspace="0">&#x02016;</mo>'),
        (r"\begin{aligned} a &= b \\ &= c \end{aligned}", "<mtr>"),
    ],
)
def test_a_formula_is_mathml(latex, expected):
    assert expected in mathml(latex)
    assert mathml(latex, display=True).startswith('<math display="block">')


def test_what_is_below_an_operator_in_a_displayed_formula():
    assert "<munder><mo>min</mo>" in mathml(r"\min_{x} f", display=True)
    assert "<msub><mo>min</mo>" in mathml(r"\min_{x} f")


@pytest.mark.parametrize("latex", [r"\frobnicate x", r"a & b", r"\frac{a"])
def test_a_formula_that_cannot_be_converted_is_refused(latex):
    with pytest.raises(DataError, match=r"cannot be converted to MathML"):
        mathml(latex)


@pytest.mark.parametrize("text", ["$x$ is 5", "5 $x$", "it is $2x$, 3", "a $x + 1$ at eps 0.05"])
def test_formulas_beside_digits_are_formulas(text):
    assert "<math>" in inline(text)
    assert "$" not in inline(text)


def test_names_in_code_are_links_and_others_are_not():
    scope = Scope("here", resolve={"pgd": "pgd.html"}.get)
    assert render("`pgd` and `x`", scope).html == (
        '<p><a href="pgd.html"><code>pgd</code></a> and <code>x</code></p>\n'
    )
    assert render("[`pgd`](other.md)", scope).html.count("<a ") == 1
    assert highlight("ri.pgd(x)  # pgd", "python", {"ri.pgd": "a.html"}.get) == (
        'ri.<a href="a.html">pgd</a>(x)  <span class="c"># pgd</span>'
    )


def test_a_page_has_anchors_and_scrolling_tables():
    page = render("# A *title*\n\n## Of `x`\n\n| a | b |\n| - | - |\n| 1 | <i> |\n", Scope("here"))
    assert [(one.level, one.anchor, one.html) for one in page.headings] == [
        (1, "a-title", "A <em>title</em>"),
        (2, "of-x", "Of <code>x</code>"),
    ]
    assert '<h2 id="of-x">' in page.html
    assert 'tabindex="0"><table>' in page.html
    assert "<td>&lt;i&gt;</td>" in page.html


def test_what_nobody_knows_is_refused_and_where_it_stands_is_said():
    with pytest.raises(DataError, match=r"^lesson.md: no directive is called \{walk\}"):
        render("```{walk}\n```", Scope("lesson.md"))
    with pytest.raises(DataError, match=r"^lesson.md: the formula \$\\nonsense\$"):
        render(r"$\nonsense$", Scope("lesson.md"))
    with pytest.raises(DataError, match="has no alternative text"):
        render("![](picture.png)", Scope("lesson.md"))


def test_examples_of_a_docstring_are_code_and_not_quotations():
    html = render(with_examples("Half.\n\n>>> 1 / 2\n0.5\n\nIt is."), Scope("here")).html
    assert "<blockquote>" not in html
    assert "<p>It is.</p>" in html


GOOD = (
    b'<link href="style.css"><h1 id="a">A</h1><a href="#a">a</a><a href="sub/b.html#b">b</a><pre>$x$</pre>'
    b'<a href="https://arxiv.org/abs/1901.10371">paper</a>'
)
FILES = {"a.html": GOOD, "sub/b.html": b'<p id="b"><a href="../a.html">back</a>', "style.css": b"p {}"}


def test_a_site_without_problems_has_none():
    assert list(problems(FILES)) == []


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (b'<a href="c.html">c</a>', "the link c.html leads nowhere"),
        (b'<a href="sub/b.html#c">c</a>', "no anchor sub/b.html#c"),
        (b'<img src="https://example.org/x.png" alt="x">', "it loads https://example.org/x.png"),
        (b'<script src="//example.org/x.js"></script>', "it loads //example.org/x.js"),
        (b'<p id="a">', "the anchor a is there twice"),
        (rb"<p>Of $\epsilon$ and", r"the formula $\epsilon$ is left"),
        (rb"<p>the \frac of", r"the formula \frac is left"),
        (rb'<img src="style.css" alt="$x$">', "the formula $x$ is left"),
    ],
)
def test_a_problem_of_a_page_is_found(wrong, words):
    (found,) = problems(FILES | {"a.html": GOOD + wrong})
    assert words in found


def test_a_style_sheet_that_loads_is_found():
    assert list(problems(FILES | {"style.css": b"@import 'x.css'"})) == ["style.css: it loads another file"]
