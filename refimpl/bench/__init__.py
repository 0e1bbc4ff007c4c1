"""Benchmarks: the same work by us and by a peer, in one process, in turn, on as many threads.

Absolute times say more about a machine than about a program; a ratio of medians of interleaved repeats says something.
Beside each time stands what was computed in it, so that nobody wins by doing less. A benchmark is one file that
registers its settings; read `timing` and `base`, then any other. `peers` imports the other libraries.
"""

from .base import BENCHMARKS, Benchmark, NetworkBenchmark, Note
from .timing import Row, interleave, row

__all__ = ["BENCHMARKS", "Benchmark", "NetworkBenchmark", "Note", "Row", "interleave", "row"]
