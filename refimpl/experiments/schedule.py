"""Many experiments side by side, each when the run it starts from is done, on whatever runs functions elsewhere.

Fully connected nets that start from one run are trained in stacks; they share their batches.
"""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, wait
from pathlib import Path
from typing import Any

from ..runs.sweep import STACK, Planned, units
from .plan import Experiment
from .run_experiment import run_stack

Results = dict[str, dict[str, Any]]


def schedule(
    experiments: Iterable[Experiment],
    root: Path,
    executor: Executor,
    data_dir: Path | None = None,
    on_result: Callable[[Experiment], None] = lambda experiment: None,
    on_loss: Callable[[Experiment], None] = lambda experiment: None,
) -> Results:
    """`run_stack` for what can be trained together, and the results by name.

    `executor` is a pool of processes here, or of workers on a cluster that see the same files. Runs whose process dies,
    a `BrokenExecutor`, have no result, nor have those that start from them; the others go on. Any other error is raised
    once the experiments under way have ended; those not begun are given up. A later call goes on.
    """
    waiting, results = list(experiments), Results()
    running: dict[Future, list[Experiment]] = {}
    names = {experiment.name for experiment in waiting}
    try:
        while True:
            ready = [one for one in waiting if one.source not in names or one.source in results]
            for stack in stacks(root, ready):
                running[executor.submit(run_stack, root, stack, data_dir)] = stack
            waiting = [one for one in waiting if one not in ready]
            if not running:
                return results
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                stack = running.pop(future)
                try:
                    results |= zip((one.name for one in stack), future.result(), strict=True)
                except BrokenExecutor:
                    for one in stack:
                        on_loss(one)
                else:
                    for one in stack:
                        on_result(one)
    finally:
        for future in running:
            future.cancel()


def stacks(root: Path, experiments: Sequence[Experiment]) -> list[list[Experiment]]:
    """What is trained together: runs from the weights of one, but for those that were begun alone or in other stacks.

    Runs without such weights are trained alone: they have other seeds, and gain more by processes of their own.
    """
    found = [[one] for one in experiments if one.source is None]
    by_source: dict[str, list[Experiment]] = {}
    for one in experiments:
        if one.source is not None:
            by_source.setdefault(one.source, []).append(one)
    for source, tuned in by_source.items():
        folder = (root / source).parent
        by_name = {Path(one.name).name: one for one in tuned}
        planned = [Planned(name, one.config) for name, one in by_name.items()]
        found += [[by_name[one.name] for one in unit] for unit in units(folder, planned, STACK)]
    return found
