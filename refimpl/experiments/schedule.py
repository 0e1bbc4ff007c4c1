"""Many experiments side by side, each when the run it starts from is done, on whatever runs functions elsewhere."""

from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from pathlib import Path
from typing import Any

from .plan import Experiment
from .run_experiment import carry_out

Results = dict[str, dict[str, Any]]


def schedule(
    experiments: Iterable[Experiment],
    root: Path,
    executor: Executor,
    data_dir: Path | None = None,
    on_result: Callable[[Experiment], None] = lambda experiment: None,
) -> Results:
    """`carry_out` for each, and the results by name.

    `executor` is a pool of processes here, or of workers on a cluster that see the same files. The first error is
    raised once the experiments under way have ended; those not begun are given up, and a later call goes on.
    """
    waiting, results = list(experiments), Results()
    running: dict[Future, Experiment] = {}
    names = {experiment.name for experiment in waiting}
    try:
        while waiting or running:
            ready = [e for e in waiting if e.source not in names or e.source in results]
            for experiment in ready:
                running[executor.submit(carry_out, root, experiment, data_dir)] = experiment
                waiting.remove(experiment)
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                experiment = running.pop(future)
                results[experiment.name] = future.result()
                on_result(experiment)
    finally:
        for future in running:
            future.cancel()
    return results
