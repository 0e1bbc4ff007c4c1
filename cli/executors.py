"""Where many runs are computed side by side: processes here, or the workers of a Dask cluster."""

import multiprocessing
import os
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager

from refimpl.errors import UsageError

TIMEOUT = 5  # seconds to reach a scheduler


@contextmanager
def processes(jobs: int | None) -> Iterator[Executor]:
    """A process a core, or `jobs` of them; each run pins its BLAS to one thread."""
    with ProcessPoolExecutor(jobs or os.cpu_count() or 1, multiprocessing.get_context("spawn")) as pool:
        yield pool


@contextmanager
def cluster(address: str) -> Iterator[Executor]:
    """The workers of the Dask scheduler at `address`. A run whose worker dies goes on at another."""
    try:
        from distributed import Client
    except ImportError:
        raise UsageError("--scheduler needs Dask: `pip install 'refimpl[dask]'` installs it") from None
    try:
        client = Client(address, timeout=TIMEOUT)
    except (OSError, ValueError) as error:
        raise UsageError(f"no Dask scheduler answers at {address}: {error}") from None
    with client, client.get_executor() as executor:
        yield executor
