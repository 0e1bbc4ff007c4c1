"""What can be read in a figure: whether a text is cut, or lies on another."""

import itertools
from typing import Any

from matplotlib.figure import Figure
from matplotlib.text import Text


def texts_of(figure: Figure) -> list[tuple[str, Any]]:
    """What can be read in a figure, and where it is, in pixels."""
    figure.draw_without_rendering()
    shown = [text for text in figure.findobj(Text) if text.get_visible() and text.get_text().strip()]
    hidden = {text for ax in figure.axes if not ax.get_visible() for text in ax.findobj(Text)}
    ticks = set()
    for ax in figure.axes:
        for axis, (low, high) in ((ax.xaxis, sorted(ax.get_xlim())), (ax.yaxis, sorted(ax.get_ylim()))):
            for tick in [*axis.get_major_ticks(), *axis.get_minor_ticks()]:
                if not low <= tick.get_loc() <= high:
                    ticks |= {tick.label1, tick.label2}
    return [(text.get_text(), text.get_window_extent()) for text in shown if text not in hidden | ticks]


def check_legible(figure: Figure) -> None:
    """As wide as the text of a page, no text cut, none on another."""
    assert figure.get_figwidth() == 6.5
    texts = texts_of(figure)
    assert len(texts) >= 3
    for text, box in texts:
        inside = box.x0 >= 0 and box.y0 >= 0 and box.x1 <= figure.bbox.x1 and box.y1 <= figure.bbox.y1
        assert inside, f"{text!r} is cut"
    for (one, box), (other, beside) in itertools.combinations(texts, 2):
        assert not box.overlaps(beside), f"{one!r} lies on {other!r}"
