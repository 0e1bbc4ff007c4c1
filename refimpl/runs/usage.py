"""What work takes of this process: seconds of the clock and of all cores, and memory."""

import contextlib
import time
from pathlib import Path

STATUS, CLEAR_REFS = Path("/proc/self/status"), Path("/proc/self/clear_refs")


class Usage:
    """Counts from now on; what other threads of the process do meanwhile counts, too."""

    def __init__(self) -> None:
        self._began, self._began_cpu = time.monotonic(), time.process_time()
        with contextlib.suppress(OSError):  # where it is refused, the peak is that since the process began
            CLEAR_REFS.write_text("5")

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._began

    @property
    def cpu_seconds(self) -> float:
        return time.process_time() - self._began_cpu

    @property
    def peak_memory(self) -> int | None:
        """The most resident memory in bytes, not counting a GPU's; None where the system does not tell. Linux does."""
        return memory("VmHWM") if STATUS.exists() else None


def memory(key: str) -> int:
    """A line of the system's status of this process, in bytes: `VmRSS`, `VmHWM`."""
    (line,) = (line for line in STATUS.read_text().splitlines() if line.startswith(key))
    return 1024 * int(line.split()[1])
