"""Where many runs are computed side by side: processes here, or the workers of a Dask cluster."""

import multiprocessing
import os
import signal
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from multiprocessing.connection import Connection
from typing import Any

from refimpl.errors import UsageError

from .session import sigterm_interrupts

TIMEOUT = 5  # seconds to reach a scheduler
GRACE = 60.0  # seconds in which a process without a parent may write its checkpoint


def cores() -> int:
    return os.cpu_count() or 1


@contextmanager
def processes(jobs: int | None) -> Iterator[Executor]:
    """A process a core, or `jobs` of them; each run pins its BLAS to one thread.

    Where the block ends with an error or an interrupt, they are asked to end what they are at, as SIGTERM would.
    """
    with Processes(jobs or cores()) as pool:
        try:
            yield pool
        except BaseException:
            pool.interrupt()
            raise


class Processes(Executor):
    """Functions of modules in processes of their own; one that dies fails its call alone, with `BrokenExecutor`.

    A thread for each process hands it its calls. The processes end with this one, however it ends.
    """

    def __init__(self, jobs: int) -> None:
        self._workers: list[Worker] = []
        self._interrupted = False
        self._mine = threading.local()
        self._threads = ThreadPoolExecutor(jobs, initializer=_block_ctrl_c)

    def submit(self, f: Callable[..., Any], /, *arguments: Any, **options: Any) -> Future:
        return self._threads.submit(self._call, f, arguments, options)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self._threads.shutdown(wait, cancel_futures=cancel_futures)
        for worker in self._workers:
            worker.close()

    def interrupt(self) -> None:
        """Begin no more calls, and let those under way end with KeyboardInterrupt."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._interrupted = True
        for worker in list(self._workers):
            worker.process.terminate()

    def _call(self, f: Callable[..., Any], arguments: tuple[Any, ...], options: dict[str, Any]) -> Any:
        if not hasattr(self._mine, "worker"):
            self._mine.worker = Worker()
            self._workers.append(self._mine.worker)
        if self._interrupted:
            raise BrokenExecutor("interrupted")
        try:
            return self._mine.worker.call(f, arguments, options)
        except BrokenExecutor:
            self._workers.remove(self._mine.worker)
            del self._mine.worker
            raise


class Worker:
    """A process that makes one call after another."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs,))
        self.process.start()
        theirs.close()

    def call(self, f: Callable[..., Any], arguments: tuple[Any, ...], options: dict[str, Any]) -> Any:
        """What the function returns, or what it raises. Raises `BrokenExecutor` where the process dies."""
        try:
            self._pipe.send((f, arguments, options))
            value, error = self._pipe.recv()
        except (EOFError, OSError):
            self.close()
            raise BrokenExecutor(f"process {self.process.pid} died") from None
        if error is not None:
            raise error
        return value

    def close(self) -> None:
        self._pipe.close()
        self.process.join()


def _serve(pipe: Connection) -> None:
    """Make the calls that come through the pipe until it is closed, or until SIGTERM."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    answer: tuple[Any, Exception | None]
    while True:
        try:
            f, arguments, options = pipe.recv()
            with sigterm_interrupts():
                answer = f(*arguments, **options), None
        except (EOFError, KeyboardInterrupt):
            return
        except Exception as error:
            error.add_note("".join(traceback.format_exception(error)))
            answer = None, error
        pipe.send(answer)


def _end_with_parent() -> None:
    """Ask this process to end, as SIGTERM does, when the one that started it is gone; after a while, end it."""
    parent = multiprocessing.parent_process()
    assert parent is not None, "this runs in a process that another one started"
    parent.join()
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE)
    os._exit(1)


def _block_ctrl_c() -> None:
    """Keep Ctrl-C, which a terminal sends to all processes, from those that this thread starts."""
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})


@contextmanager
def cluster(address: str) -> Iterator[Executor]:
    """The workers of the Dask scheduler at `address`. A run whose worker dies goes on at another."""
    try:
        from distributed import Client, KilledWorker
    except ImportError:
        raise UsageError("--scheduler needs Dask: `pip install 'refimpl[dask]'` installs it") from None
    try:
        client = Client(address, timeout=TIMEOUT)
    except (OSError, ValueError) as error:
        raise UsageError(f"no Dask scheduler answers at {address}: {error}") from None
    with client:
        yield Cluster(client.get_executor(), KilledWorker)


class Cluster(Executor):
    """The workers of a Dask cluster; a call that the scheduler gives up fails alone, with `BrokenExecutor`."""

    def __init__(self, workers: Executor, given_up: type[Exception]) -> None:
        self._workers, self._given_up = workers, given_up

    def submit(self, f: Callable[..., Any], /, *arguments: Any, **options: Any) -> Future:
        found: Future = Future()
        call = self._workers.submit(f, *arguments, **options)
        call.add_done_callback(partial(self._hand_on, found))
        return found

    def _hand_on(self, found: Future, call: Future) -> None:
        if not found.set_running_or_notify_cancel():
            return
        if call.cancelled() or isinstance(call.exception(), self._given_up):
            found.set_exception(BrokenExecutor("the scheduler is gone, or the workers died"))
        elif error := call.exception():
            found.set_exception(error)
        else:
            found.set_result(call.result())


def interrupted(scheduler: str | None) -> str:
    """What becomes of the runs under way, and what to do."""
    under_way = "the workers train the runs under way to their ends" if scheduler else "saving the runs under way"
    return f"interrupted: {under_way}; the same command continues"
