"""Shape-first hypothesis strategies: draw the sizes, then fill them from a seeded generator, away from kinks."""

import numpy as np
from hypothesis import strategies as st

sizes = st.integers(1, 7)
seeds = st.integers(0, 2**32 - 1)


@st.composite
def affine_inputs(draw):
    """x (batch, n), W (m, n), b (m,)."""
    batch, n, m = draw(sizes), draw(sizes), draw(sizes)
    rng = np.random.default_rng(draw(seeds))
    return rng.normal(size=(batch, n)), rng.normal(size=(m, n)), rng.normal(size=m)


@st.composite
def logits_and_labels(draw, spread=st.sampled_from([0.1, 1.0, 10.0])):
    """logits (batch, classes), y (batch,), at least two classes."""
    batch, classes = draw(sizes), draw(st.integers(2, 7))
    rng = np.random.default_rng(draw(seeds))
    return draw(spread) * rng.normal(size=(batch, classes)), rng.integers(0, classes, batch)


@st.composite
def matrices(draw):
    """A random matrix, of full rank almost surely, never zero."""
    rng = np.random.default_rng(draw(seeds))
    return rng.normal(size=(draw(sizes), draw(sizes)))


@st.composite
def linear_classifiers(draw, classes=st.integers(2, 5)):
    """A (K, n), and inputs x (batch, n)."""
    k, n, batch = draw(classes), draw(sizes), draw(sizes)
    rng = np.random.default_rng(draw(seeds))
    return rng.normal(size=(k, n)), rng.normal(size=(batch, n))


budgets = st.floats(1e-3, 2.0)
