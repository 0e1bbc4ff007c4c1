"""Many experiments side by side, each when the run it starts from is done, on whatever runs functions elsewhere."""

from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, wait
from pathlib import Path
from typing import Any

from .plan import Experiment
from .run_experiment import run_experiment

Results = dict[str, dict[str, Any]]


def schedule(
    experiments: Iterable[Experiment],
    root: Path,
    executor: Executor,
    data_dir: Path | None = None,
    on_result: Callable[[Experiment], None] = lambda experiment: None,
    on_loss: Callable[[Experiment], None] = lambda experiment: None,
) -> Results:
    """`run_experiment` for each, and the results by name.

    `executor` is a pool of processes here, or of workers on a cluster that see the same files. A run whose process
    dies, a `BrokenExecutor`, has no result, nor have those that start from it; the others go on. Any other error is
    raised once the experiments under way have ended; those not begun are given up. A later call goes on.
    """
    waiting, results = list(experiments), Results()
    running: dict[Future, Experiment] = {}
    names = {experiment.name for experiment in waiting}
    try:
        while True:
            for experiment in [e for e in waiting if e.source not in names or e.source in results]:
                running[executor.submit(run_experiment, root, experiment, data_dir)] = experiment
                waiting.remove(experiment)
            if not running:
                return results
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                experiment = running.pop(future)
                try:
                    results[experiment.name] = future.result()
                except BrokenExecutor:
                    on_loss(experiment)
                else:
                    on_result(experiment)
    finally:
        for future in running:
            future.cancel()
