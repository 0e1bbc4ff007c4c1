"""What a command needs before it can work on a run: its data, threads, and what SIGTERM does."""

import os
import signal
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from threadpoolctl import threadpool_limits

from refimpl.data import Dataset, load, resolve
from refimpl.runs import trained
from refimpl.runs.trained import TrainedRun

from .console import note, warn


def find_data(name: str, wished: str, data_dir: Path | None) -> Dataset:
    """The data set that `name` means, with a line where it is not the one wished for."""
    found, remark = resolve(name, wished, data_dir)
    if remark:
        note(remark)
    return load(found, data_dir=data_dir)


def open_run(folder: Path, where: Mapping[str, Any]) -> TrainedRun:
    """A trained run; `where` has the options of `options.where`."""
    found = {name: where[name] for name in ("data_dir", "backend", "threads")}
    return trained.open_run(folder, **found, warn=warn)


@contextmanager
def blas_threads(count: int) -> Iterator[None]:
    with threadpool_limits(count, user_api="blas"):
        yield


@contextmanager
def sigterm_interrupts() -> Iterator[None]:
    """Let SIGTERM, by which clusters end a job, do what Ctrl-C does.

    Where an exception cannot leave (a callback of the garbage collector, `__del__`) Python prints it and goes on. An
    interrupt that ends so is sent again.
    """

    def interrupt(number: int, frame: FrameType | None) -> Any:
        raise KeyboardInterrupt

    def send_again(lost: "sys.UnraisableHookArgs") -> None:
        if issubclass(lost.exc_type, KeyboardInterrupt):
            threading.Timer(0.01, os.kill, (os.getpid(), signal.SIGTERM)).start()
        else:
            shown(lost)

    previous = signal.signal(signal.SIGTERM, interrupt)
    shown, sys.unraisablehook = sys.unraisablehook, send_again
    try:
        yield
    finally:
        sys.unraisablehook = shown
        signal.signal(signal.SIGTERM, previous)
