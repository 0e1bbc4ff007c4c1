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


class SharedUsage(Usage):
    """One model's part of the seconds of a stack: at any time those of the models that are left share them equally."""

    def __init__(self, models: int) -> None:
        super().__init__()
        self._models, self._counted, self._parts = models, (0.0, 0.0), (0.0, 0.0)

    @property
    def seconds(self) -> float:
        return self._count()[0]

    @property
    def cpu_seconds(self) -> float:
        return self._count()[1]

    def shared_by(self, models: int) -> None:
        """From now on; the last one keeps the clock."""
        self._count()
        self._models = max(models, 1)

    def _count(self) -> tuple[float, float]:
        now = super().seconds, super().cpu_seconds
        wall, cpu = (
            part + (at - before) / self._models
            for part, at, before in zip(self._parts, now, self._counted, strict=True)
        )
        self._counted, self._parts = now, (wall, cpu)
        return self._parts


def memory(key: str) -> int:
    """A line of the system's status of this process, in bytes: `VmRSS`, `VmHWM`."""
    (line,) = (line for line in STATUS.read_text().splitlines() if line.startswith(key))
    return 1024 * int(line.split()[1])
