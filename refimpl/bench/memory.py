"""Peak memory as the system counts it, for a peer may not allocate where Python could see it."""

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import Any

from ..runs.usage import STATUS, memory


def peak_bytes(prepare: Callable[..., Callable[[], object]], *arguments: Any) -> int | None:
    """By how much the resident memory of a fresh process grows at most while `prepare(*arguments)()` runs.

    What `prepare` imports and loads before it returns does not count. None where the system does not tell; Linux does.
    """
    if not STATUS.exists():
        return None
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as fresh:
        return fresh.submit(_growth, prepare, arguments).result()


def _growth(prepare: Callable[..., Callable[[], object]], arguments: tuple[Any, ...]) -> int:
    work = prepare(*arguments)
    before = memory("VmRSS")
    work()
    return memory("VmHWM") - before
