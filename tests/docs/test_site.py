"""The site as readers have it: whole, without a network, in a browser wide and narrow, read by a screen reader."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from refimpl_docs.frame import LINKS, WHOLE_STYLE, relative
from refimpl_docs.site import build, site

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent.parent
MAIN = (
    "index.html",
    "equations.html",
    "modules/index.html",
    "modules/refimpl.attacks.pgd.html",
    "glossary.html",
    "search.html",
)
"""The six main pages; none runs code."""

AXE = Path(os.environ.get("AXE_CORE", ROOT / "node_modules" / "axe-core" / "axe.min.js"))


def written(folder: Path, files: dict[str, bytes]) -> Path:
    for address, content in files.items():
        path = folder / address
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


@pytest.fixture(scope="module")
def main(tmp_path_factory):
    """The main pages."""
    files = {"style.css": WHOLE_STYLE.encode()}
    for address in MAIN:
        files |= build(address)
    return written(tmp_path_factory.mktemp("site"), files)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The site as `refimpl docs` writes it, which has looked for broken links, remote addresses and raw formulas."""
    folder = tmp_path_factory.mktemp("whole")
    command = [sys.executable, "-W", "error", "-m", "refimpl", "docs", "--out", folder]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=folder)
    assert done.stderr == ""
    return folder


def test_addresses_are_relative_to_the_page():
    assert relative("modules/a.html#b", "lessons/c.html") == "../modules/a.html#b"
    assert relative("index.html#b", "index.html") == "#b"
    assert relative("index.html", "index.html") == "index.html"


def test_every_page_links_to_every_main_page_and_there_is_one(main):
    assert set(LINKS) <= set(site().pages)
    for address in MAIN:
        text = (main / address).read_text()
        assert all(f'href="{relative(target, address)}"' in text for target in LINKS)


def test_derivation_and_source_stand_side_by_side(main, chromium):
    chromium.open(main / "modules/refimpl.attacks.pgd.html", 1280)
    doc, code = (
        chromium.evaluate(f"document.querySelector('#pgd .{part}').getBoundingClientRect().toJSON()")
        for part in ("doc", "code")
    )
    assert doc["right"] < code["left"]
    assert doc["top"] == pytest.approx(code["top"], abs=20)
    assert chromium.evaluate("document.querySelectorAll('#pgd math').length") > 0


@pytest.mark.parametrize("address", MAIN)
@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (400, "dark")])
def test_a_main_page_fits_the_window_and_reports_no_error(chromium, main, address, width, scheme):
    chromium.problems.clear()
    chromium.open(main / address, width, scheme=scheme)
    assert chromium.overflowing() == []
    assert chromium.evaluate("document.documentElement.scrollWidth") == width
    assert chromium.problems == []


@pytest.mark.slow
@pytest.mark.parametrize("address", MAIN)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_an_accessibility_checker_finds_nothing_serious(chromium, main, address, scheme):
    if not AXE.is_file():
        pytest.skip(
            f"axe-core is not at {AXE}: `npm install axe-core` in the repository, or AXE_CORE, which names the file"
        )
    chromium.open(main / address, 1280, scheme=scheme)
    chromium.evaluate(AXE.read_text() + "; 0")
    few = (
        "{exclude: [['#found li:nth-child(n + 20)'], ['main > section:nth-of-type(n + 20)']]}"  # of rows that are alike
    )
    found = json.loads(chromium.evaluate(f"axe.run({few}).then(found => JSON.stringify(found.violations))"))
    serious = [f"{one['id']}: {one['nodes'][0]['html']}" for one in found if one["impact"] in ("serious", "critical")]
    assert serious == []


def test_search_shows_what_has_all_words(chromium, main):
    chromium.open(main / "search.html")
    shown = "[...document.querySelectorAll('#found li')].filter(li => !li.hidden).map(li => li.textContent)"
    assert len(chromium.evaluate(shown)) > 500
    chromium.evaluate("words.value = 'pgd projected madry'; words.oninput(); 0")
    found = chromium.evaluate(shown)
    assert "pgd refimpl.attacks.pgd" in found
    assert len(found) < 20
    assert chromium.evaluate("document.getElementById('count').textContent") == f"{len(found)} found"


def test_a_page_can_be_made_alone_and_one_that_is_not_there_is_refused(refimpl, tmp_path):
    refimpl("docs", "--out", tmp_path, "--only", "errata")
    assert {path.name for path in tmp_path.iterdir()} == {"errata.html", "style.css"}
    words = refimpl("docs", "--out", tmp_path, "--only", "nothing", code=3).output
    assert "no page has an address that begins with 'nothing'" in words


@pytest.mark.slow
def test_the_whole_site_is_written_without_a_warning(whole):
    assert {path.relative_to(whole).as_posix() for path in whole.rglob("*.html")} == set(site().pages)


@pytest.mark.slow
def test_the_same_sources_give_the_same_bytes(whole):
    for address in ("howto/own-network.html", "figures.html", *sorted(site().running)[-1:]):
        for name, content in build(address).items():
            assert (whole / name).read_bytes() == content, name


@pytest.mark.slow
@pytest.mark.parametrize(("width", "step"), [(1280, 1), (400, 4)])  # in a narrow window one page in four
def test_every_page_fits_the_window_and_reports_no_error(chromium, whole, width, step):
    chromium.problems.clear()
    for address in list(site().pages)[::step]:
        chromium.open(whole / address, width)
        assert (address, chromium.overflowing()) == (address, [])
        assert (address, chromium.problems) == (address, [])
