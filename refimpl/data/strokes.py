"""The built-in data set: ten digits drawn with a pen that trembles. No font, no image file, no network.

Each image takes a glyph of `glyphs`, moves its guiding points about, shears, scales, turns and shifts it, smooths
the strokes, and darkens each pixel by its distance to them. The same seed gives the same bits on every machine,
because nothing is used but uniform random numbers and + - * / sqrt min max round, which IEEE 754 fixes to the last
bit.
"""

import functools

import numpy as np
from jaxtyping import Float32, UInt8

from .dataset import Dataset, Split
from .glyphs import GLYPHS, Glyph
from .idx import serialise, sha256

SIDE = 28
CHUNK = 16  # images drawn at once: their distances fit in the cache

# How far a hand strays, in pixels, tangents and ratios: uniform on (-a, a), or between two ends.
TREMBLE, TURN, SHEAR, SHIFT = 1.5, 0.16, 0.35, 2.5
SIZE, ASPECT, PEN = (0.7, 1.1), (0.8, 1.0), (0.8, 1.6)

Segments = tuple[Float32[np.ndarray, "n segments 2"], Float32[np.ndarray, "n segments 2"]]


@functools.cache
def strokes(seed: int = 0, n_train: int = 12_000, n_test: int = 2_000) -> Dataset:
    """`n_train` and `n_test` digits of 28 x 28, as many of each class as of every other, or one more.

    The two sets have random streams of their own: a larger training set does not change the test set. Takes
    about a second.
    """
    streams = np.random.SeedSequence(seed).spawn(2)
    train, test = (
        _draw(n, np.random.Generator(np.random.PCG64(s))) for n, s in zip((n_train, n_test), streams, strict=True)
    )
    hashes = {
        f"{part}_{kind}": sha256(serialise(getattr(split, kind)))
        for part, split in (("train", train), ("test", test))
        for kind in ("images", "labels")
    }
    return Dataset("strokes", train, test, hashes, "built in")


def _draw(n: int, rng: np.random.Generator) -> Split:
    """All random numbers first, a row an image, then glyph by glyph."""
    most = max(len(glyph.points) for glyph in GLYPHS)
    hand, tremble = rng.random((n, 7), np.float32), 2 * rng.random((n, 2, most), np.float32) - 1
    choice = rng.integers(0, 6, n)  # of 1, 2 or 3 styles, all equally likely
    labels = rng.permutation(np.arange(n) % 10).astype(np.uint8)
    images = np.empty((n, SIDE, SIDE), np.uint8)
    for digit in range(10):
        styles = [glyph for glyph in GLYPHS if glyph.digit == digit]
        for k, glyph in enumerate(styles):
            rows = np.flatnonzero((labels == digit) & (choice % len(styles) == k))
            for chunk in (rows[i : i + CHUNK] for i in range(0, len(rows), CHUNK)):
                segments = _write(glyph, hand[chunk], TREMBLE * tremble[chunk, :, : len(glyph.points)])
                images[chunk] = render(segments, _between(PEN, hand[chunk, 0]))
    return Split(images, labels)


def _write(glyph: Glyph, hand: Float32[np.ndarray, "n 7"], tremble: Float32[np.ndarray, "n 2 points"]) -> Segments:
    """The ends of the straight pieces that make up each image's strokes, in pixels from the top left."""
    x, y = (tremble + np.array(glyph.points, np.float32).T).transpose(1, 0, 2)
    size = _between(SIZE, hand[:, 3:4])
    x, y = (x - _about(SHEAR, hand[:, 2:3]) * y) * size * _between(ASPECT, hand[:, 4:5]), y * size
    t = _about(TURN, hand[:, 1:2])  # a turn by 2 arctan t, without sines
    cos, sin = (1 - t * t) / (1 + t * t), 2 * t / (1 + t * t)
    centre = np.float32((SIDE - 1) / 2)
    right, down = centre + _about(SHIFT, hand[:, 5:6]), centre + _about(SHIFT, hand[:, 6:7])
    points = np.stack([cos * x - sin * y + right, sin * x + cos * y + down], axis=-1)
    lines = [points[:, list(stroke)] for stroke in glyph.strokes]
    lines = [_smooth(line) if line.shape[1] > 2 else line for line in lines]
    return np.concatenate([line[:, :-1] for line in lines], axis=1), np.concatenate(
        [line[:, 1:] for line in lines], axis=1
    )


def _smooth(line: Float32[np.ndarray, "n points 2"]) -> Float32[np.ndarray, "n more 2"]:
    """Cut every corner twice (Chaikin 1974), which tends to a quadratic B-spline; the ends stay."""
    for _ in range(2):
        a, b = line[:, :-1], line[:, 1:]
        cut = np.stack([0.75 * a + 0.25 * b, 0.25 * a + 0.75 * b], axis=2).reshape(len(line), -1, 2)
        cut[:, 0], cut[:, -1] = line[:, 0], line[:, -1]
        line = cut
    return line


def render(segments: Segments, pen: Float32[np.ndarray, "n"]) -> UInt8[np.ndarray, "n 28 28"]:
    r"""Ink where the nearest segment is nearer than the pen is thick, with an edge one pixel soft.

    With u the unit vector along a segment, c its middle, h half its length and v = p - c, the squared distance of
    pixel p is $\max(|\langle v, u \rangle| - h, 0)^2 + \langle v, u^\perp \rangle^2$: along it, and across.
    """
    start, end = segments
    along = end - start
    length = np.sqrt(along[..., 0] * along[..., 0] + along[..., 1] * along[..., 1])
    dot = length == 0  # has no direction: let it be (1, 0)
    ux, uy = (along[..., 0] + dot) / (length + dot), along[..., 1] / (length + dot)
    grid = np.arange(SIDE, dtype=np.float32)
    vx, vy = (grid - (0.5 * (start[..., i] + end[..., i]))[..., None] for i in (0, 1))
    nearest = np.full((len(pen), SIDE, SIDE), np.inf, np.float32)
    for k in range(length.shape[1]):
        x, y, u, w = vx[:, k, None, :], vy[:, k, :, None], ux[:, k, None, None], uy[:, k, None, None]
        beyond = np.maximum(np.abs(x * u + y * w) - 0.5 * length[:, k, None, None], 0)
        across = y * u - x * w
        np.minimum(nearest, beyond * beyond + across * across, out=nearest)
    ink = np.clip(pen[:, None, None] + np.float32(0.5) - np.sqrt(nearest), 0, 1)
    return np.rint(255 * ink).astype(np.uint8)


def _about(a: float, u: Float32[np.ndarray, "..."]) -> Float32[np.ndarray, "..."]:
    return a * (2 * u - 1)


def _between(ends: tuple[float, float], u: Float32[np.ndarray, "..."]) -> Float32[np.ndarray, "..."]:
    return ends[0] + (ends[1] - ends[0]) * u
