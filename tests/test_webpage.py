"""The frame of every page: escaped, linked, and readable in a browser, wide, narrow, dark and printed."""

import re

import pytest

from refimpl.webpage import Markup, Section, definitions, made_with, table, webpage

WIDE = table("Wide & long", ["name", *(f"column {i}" for i in range(11))], [["a-row", *["some words"] * 11]] * 3)
SECTIONS = [
    Section("terms", "Terms", definitions({"p<q": "p is less than q"})),
    Section("numbers", "Numbers & tables", WIDE),
]


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "page.html"
    path.write_text(webpage("A <title>", "One & all.", SECTIONS, made_with(seeds="0, 1")))
    return path


def test_text_is_escaped_and_markup_is_not():
    made = table("a < b", ["x > y"], [["<i>", "1 & 2", Markup('<b class="red">3</b>')]])
    assert "<caption>a &lt; b</caption>" in made
    assert '<th scope="col">x &gt; y</th>' in made
    assert '<th scope="row">&lt;i&gt;</th><td class="number">1 &amp; 2</td><td><b class="red">3</b></td>' in made
    made = webpage("<t>", Markup("<b>s</b>"), [], {"a & b": "<c>"})
    for words in ("<h1>&lt;t&gt;</h1>", '<p class="summary"><b>s</b></p>', "<dt>a &amp; b</dt><dd>&lt;c&gt;</dd>"):
        assert words in made


def test_every_section_is_in_the_contents_and_the_last_says_where_the_page_is_from(page):
    text = page.read_text()
    links = re.findall(r'<li><a href="#([^"]+)">([^<]+)</a></li>', text)
    assert links == [("terms", "Terms"), ("numbers", "Numbers &amp; tables"), ("provenance", "Provenance")]
    assert re.findall(r'<section id="([^"]+)">', text) == [name for name, _ in links]
    facts = re.findall(r"<dt>([^<]+)</dt><dd>([^<]*)</dd>", text.partition('<section id="provenance">')[2])
    assert [name for name, _ in facts] == ["seeds", "refimpl", "written", "machine", "software"]
    assert dict(facts)["seeds"] == "0, 1"
    assert all(meaning for _, meaning in facts)


def test_a_page_needs_no_network_and_no_script(page):
    text = page.read_text()
    assert "<script" not in text
    assert not re.search(r"https?:|url\(|@import", text)


@pytest.mark.parametrize("width", [1280, 400])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_page_scrolls_down_only_and_wide_tables_scroll_in_their_box(chromium, page, width, scheme):
    chromium.open(page, width, scheme=scheme)
    assert chromium.overflowing() == []
    assert chromium.evaluate("document.documentElement.scrollWidth") == width
    box = "document.querySelector('.scroll')"
    assert chromium.evaluate(f"{box}.scrollWidth > {box}.clientWidth") == (width == 400)
    dark = chromium.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(24, 26, 27)"
    assert dark == (scheme == "dark")
    assert chromium.problems == []


def test_a_printed_page_is_light_and_nothing_of_it_is_cut(chromium, page):
    chromium.open(page, 680, scheme="dark", media="print")  # about the width of a sheet between its margins
    assert chromium.evaluate("getComputedStyle(document.body).color") == "rgb(0, 0, 0)"
    assert chromium.evaluate("getComputedStyle(document.querySelector('nav')).display") == "none"
    assert chromium.overflowing(boxes=False) == []
    assert chromium.pdf()[:5] == b"%PDF-"
