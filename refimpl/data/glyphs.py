"""Ten digits as pen strokes, typed by hand: what `strokes` deforms and draws.

Coordinates are pixels from the centre of the digit, x to the right and y down, so a digit is about 18 tall. A
stroke names the points it is guided by; it begins at its first, ends at its last and is drawn to the points
between without touching them (a B-spline). A corner is a point where one stroke ends and another begins. Digits
that people write in more than one way have more than one glyph.
"""

from typing import NamedTuple


class Glyph(NamedTuple):
    """One way to write a digit: guiding points (x, y), and strokes as indices of points."""

    digit: int
    points: tuple[tuple[float, float], ...]
    strokes: tuple[tuple[int, ...], ...]


GLYPHS = (
    Glyph(0, ((0, -9), (7, -9), (7, 9), (-7, 9), (-7, -9)), ((0, 1, 2, 3, 4, 0),)),
    Glyph(1, ((0, -9), (0, 9)), ((0, 1),)),
    Glyph(1, ((-5, -5), (0, -9), (0, 9)), ((0, 1), (1, 2))),
    Glyph(1, ((-4, -5), (0, -9), (0, 9), (-4, 9), (4, 9)), ((0, 1), (1, 2), (3, 4))),
    Glyph(2, ((-6, -5), (-4, -11), (7, -10), (6, -1), (-6, 9), (6, 9)), ((0, 1, 2, 3, 4), (4, 5))),
    Glyph(
        2,
        ((-6, -5), (-3, -11), (8, -9), (3, 8), (-7, 11), (-6, 4), (2, 6), (6, 9)),
        ((0, 1, 2, 3, 4, 5, 6, 7),),
    ),
    Glyph(
        3,
        ((-5, -7), (-1, -11), (8, -9), (5, -1), (-1, -1), (7, -1), (8, 9), (-1, 11), (-6, 7)),
        ((0, 1, 2, 3, 4), (4, 5, 6, 7, 8)),
    ),
    Glyph(
        3, ((-5, -9), (5, -9), (-1, -2), (6, -3), (8, 8), (0, 11), (-6, 7)), ((0, 1), (1, 2), (2, 3, 4, 5, 6))
    ),  # flat top
    Glyph(4, ((2, -9), (-6, 3), (7, 3), (3, -2), (3, 9)), ((0, 1), (1, 2), (3, 4))),
    Glyph(4, ((-5, -9), (-6, 1), (5, 1), (5, -9), (4, 9)), ((0, 1, 2), (3, 4))),  # open
    Glyph(
        5,
        ((6, -9), (-4, -9), (-5, -1), (0, -4), (8, -3), (7, 9), (-1, 11), (-6, 7)),
        ((0, 1), (1, 2), (2, 3, 4, 5, 6, 7)),
    ),
    Glyph(6, ((4, -9), (-5, -8), (-8, 9), (2, 11), (8, 4), (1, -3), (-5, 3)), ((0, 1, 2, 3, 4, 5, 6),)),
    Glyph(7, ((-6, -9), (6, -9), (-1, 9)), ((0, 1), (1, 2))),
    Glyph(7, ((-6, -9), (6, -9), (-1, 9), (-3, 0), (6, 0)), ((0, 1), (1, 2), (3, 4))),  # crossed
    Glyph(
        8,
        ((0, -1), (6, -4), (6, -10), (-6, -10), (-6, -4), (7, 2), (7, 10), (-7, 10), (-7, 2)),
        ((0, 1, 2, 3, 4, 0), (0, 5, 6, 7, 8, 0)),
    ),
    Glyph(9, ((5, -5), (4, -10), (-7, -10), (-7, 0), (4, 1), (5, -6), (4, 9)), ((0, 1, 2, 3, 4, 5), (5, 6))),
    Glyph(
        9,
        ((5, -5), (4, -10), (-7, -10), (-7, 0), (5, 1), (6, -6), (6, 9), (0, 11), (-5, 8)),
        ((0, 1, 2, 3, 4, 5), (5, 6, 7, 8)),
    ),
)
