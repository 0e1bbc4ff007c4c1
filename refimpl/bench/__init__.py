"""How fast, as a ratio: the same work by us and by a peer, in one process, turn by turn, on as many threads.

Absolute times say more about a machine than about a program; a ratio of medians of interleaved repeats says something.
Beside each time stands what was computed in it, so that nobody wins by doing less.
"""

from .attack import bench_attack
from .cost import bench_cost
from .information import bench_information
from .low_rank_attack import bench_low_rank_attack
from .low_rank_training import bench_low_rank_training
from .nuclear import bench_nuclear
from .race import Row
from .train import bench_train

__all__ = [
    "Row",
    "bench_attack",
    "bench_cost",
    "bench_information",
    "bench_low_rank_attack",
    "bench_low_rank_training",
    "bench_nuclear",
    "bench_train",
]
