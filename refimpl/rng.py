"""Named streams of random numbers, drawn on the host so that every backend sees the same draws."""

import numpy as np

STREAMS = ("init", "shuffle", "attack", "noise", "examples")


def stream(seed: int, name: str, *index: int) -> np.random.Generator:
    """The generator of stream `name` of `seed`; `index` picks an independent part of it, an epoch's say.

    Nothing is drawn from a stream but by its owner, so a longer attack or another batch size does not change the
    initial weights, and epoch 17 is shuffled the same way whether or not the run was interrupted before it.
    """
    key = (STREAMS.index(name), *index)
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=key)))


def drawn(total: int, n: int, seed: int = 0) -> np.ndarray:
    """n of the numbers below `total`, drawn at random, in increasing order; those of a smaller n are among them."""
    return np.sort(stream(seed, "examples").permutation(total)[:n])
