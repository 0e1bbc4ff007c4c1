"""Times on a noisy machine: one round to warm up, then everybody in turn, then medians."""

import os
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

Row = dict[str, Any]

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")


def interleave(competitors: Mapping[str, Callable[[], object]], repeats: int) -> dict[str, list[float]]:
    """Seconds of each competitor in each of `repeats` rounds, everybody once a round; the first does not count."""
    times: dict[str, list[float]] = {name: [] for name in competitors}
    for _ in range(repeats + 1):
        for name, run in competitors.items():
            began = time.perf_counter()
            run()
            times[name].append(time.perf_counter() - began)
    return {name: taken[1:] for name, taken in times.items()}


def row(name: str, ours: list[float], peer: str, theirs: list[float], **results: Any) -> Row:
    """One comparison: `ratio` is peer_s / ours_s, both medians, above 1 where we are faster; spreads from min to max.

    Each of the results `key` belongs with one called `peer_key`.
    """
    ours_s, peer_s = statistics.median(ours), statistics.median(theirs)
    return {
        "name": name,
        "ours_s": ours_s,
        "ours_spread_s": [min(ours), max(ours)],
        "peer": peer,
        "peer_s": peer_s,
        "peer_spread_s": [min(theirs), max(theirs)],
        "ratio": peer_s / ours_s,
        "repeats": len(ours),
        **results,
    }


def alone(name: str, ours: list[float], **results: Any) -> Row:
    """Our times where no peer takes part."""
    spread = [min(ours), max(ours)]
    return {"name": name, "ours_s": statistics.median(ours), "ours_spread_s": spread, "repeats": len(ours), **results}


@contextmanager
def pinned(threads: int) -> Iterator[None]:
    """Hold this process, whatever threads its libraries start, to `threads` processors where the system allows it.

    To be entered before a peer is imported: JAX counts processors once.
    """
    before = os.sched_getaffinity(0) if hasattr(os, "sched_setaffinity") else None
    variables = {name: os.environ.get(name) for name in THREAD_VARIABLES}
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, str(threads)))
    if before:
        os.sched_setaffinity(0, sorted(before)[:threads])
    try:
        yield
    finally:
        if before:
            os.sched_setaffinity(0, before)
        for name, value in variables.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value
