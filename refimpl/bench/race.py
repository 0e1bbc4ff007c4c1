"""Timing that survives a noisy machine: a warm-up, then turns, then medians."""

import os
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

Row = dict[str, Any]


def race(runners: Mapping[str, Callable[[], object]], repeats: int) -> dict[str, list[float]]:
    """Seconds of each runner in each of `repeats` rounds, everybody once a round; the first does not count."""
    times: dict[str, list[float]] = {name: [] for name in runners}
    for _ in range(repeats + 1):
        for name, run in runners.items():
            began = time.perf_counter()
            run()
            times[name].append(time.perf_counter() - began)
    return {name: taken[1:] for name, taken in times.items()}


def row(name: str, ours: list[float], peer: str, theirs: list[float], threads: int, **results: Any) -> Row:
    """One comparison: `ratio` is peer_s / ours_s, both medians, above 1 where we are faster; spreads best to worst."""
    ours_s, peer_s = statistics.median(ours), statistics.median(theirs)
    return {
        "name": name,
        "ours_s": ours_s,
        "ours_spread_s": [min(ours), max(ours)],
        "peer": peer,
        "peer_s": peer_s,
        "peer_spread_s": [min(theirs), max(theirs)],
        "ratio": peer_s / ours_s,
        "threads": threads,
        "repeats": len(ours),
        **results,
    }


def absent(name: str, peer: str, threads: int) -> Row:
    """The row of a peer that is not installed."""
    return {"name": name, "peer": peer, "threads": threads, "absent": f"{peer} is not installed: `pip install {peer}`"}


def pin(threads: int) -> None:
    """Hold this process, whatever threads its libraries start, to `threads` processors where the system allows it.

    Call it before a peer is imported: JAX counts processors once.
    """
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[variable] = str(threads)
