"""Every lesson has its parts, in their order; that it runs is tested where the site is built."""

import re
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

LESSONS = sorted((Path(__file__).parents[2] / "docs" / "lessons").glob("*.md"))


def test_there_are_fourteen_in_order():
    assert [int(path.name[:2]) for path in LESSONS] == list(range(1, 15))


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_a_lesson_has_its_parts(path):
    text = path.read_text()
    assert text.startswith("# ")
    assert text.count("\n**Question.** ") == 1
    assert "```{source} refimpl." in text
    assert text.count("```{run}\n") == text.count("\n# alt: ") == 1
    assert "## Experiment" in text.partition("```{run}")[0]
    prose, _, exercises = text.partition("\n## Exercises\n")
    assert re.findall(r"^\d+", exercises, re.M) == ["1", "2"]
    assert "\n## " not in exercises
    words = len(re.findall(r"[A-Za-z]{2,}", re.sub(r"```.*?```|\$\$.*?\$\$|\$[^$]*\$", "", prose, flags=re.S)))
    assert 400 <= words <= 1000, f"{words} words outside of code and formulas"
