"""Sweeps: many runs side by side in one folder, trained in stacks where they can be, on whatever runs functions.

Read `units`, which says what is trained together, then `train_unit` and `train_all`; what was begun goes on.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, wait
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from math import ceil
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_limits

from ..atomic import make_folder
from ..data import Dataset, load
from ..errors import DataError, NumericalError, UsageError
from .config import Config
from .fit import fit
from .fit_stack import alike, done, fitting_stack
from .folder import Run, Warn

STACK = 16
"""Models in a stack at most: among more a model's step is hardly faster."""

POLL = 1.0
"""Seconds between two looks at how far runs are."""


@dataclass(frozen=True)
class Planned:
    """A run: the name of its folder, and the configuration it has there."""

    name: str
    config: Config


Unit = tuple[Planned, ...]
"""What is trained together: the runs of a stack, or one."""


def opened(root: Path, planned: Planned) -> Run | None:
    """The run where it was begun. Raises `DataError` where its folder holds something else."""
    folder = root / planned.name
    return Run.open(folder, planned.config) if folder.exists() else None


def units(root: Path, planned: Sequence[Planned], size: int) -> list[Unit]:
    """What is trained together, in stacks of at most `size`; a run that was begun stays in the stack it was begun in.

    Models of one seed share their batches, which is what makes a stack fast; those that are alone with their seed are
    put together. Raises `UsageError` where a run was begun in a stack with others than those planned.
    """
    by_name = {one.name: one for one in planned}
    begun: dict[str, tuple[str, ...]] = {}
    for one in planned:
        run = opened(root, one)
        if run is None:
            continue
        stack = run.manifest.get("stack")
        names = stack["runs"] if stack else [one.name]
        left_out = [name for name in names if name not in by_name]
        if left_out and not done(run):
            raise UsageError(
                f"{run.folder} is trained in a stack with {left_out[0]}, which was not asked for: ask for all of the"
                " stack, or choose another --out"
            )
        begun |= dict.fromkeys(names, tuple(names)) if not left_out else {one.name: (one.name,)}
    new = [one for one in planned if one.name not in begun]
    return [*(tuple(by_name[name] for name in names) for names in dict.fromkeys(begun.values())), *_stacks(new, size)]


def _stacks(planned: Sequence[Planned], size: int) -> Iterator[Unit]:
    kinds: list[tuple[Config | None, list[Planned]]] = []
    for one in planned:
        kind = alike(one.config)
        same = [runs for other, runs in kinds if kind is not None and other == kind]
        if same:
            same[0].append(one)
        else:
            kinds.append((kind, [one]))
    for _, runs in kinds:
        by_seed: dict[int, list[Planned]] = {}
        for one in runs:
            by_seed.setdefault(one.config.seed, []).append(one)
        alone = [one for same in by_seed.values() if len(same) == 1 for one in same]
        for group in [*(same for same in by_seed.values() if len(same) > 1), alone]:
            yield from _even(group, size)


def _even(runs: Sequence[Planned], size: int) -> Iterator[Unit]:
    """Pieces of at most `size`, of even sizes."""
    pieces = ceil(len(runs) / size)
    ends = [len(runs) * i // pieces for i in range(pieces + 1)] if pieces else []
    yield from (tuple(runs[i:j]) for i, j in pairwise(ends))


def train_unit(root: Path, unit: Unit, start: Path | None = None, data_dir: Path | None = None) -> list[str]:
    """Train what is not done of a unit in the folders `root/name`, from the weights of the run `start`; warnings.

    A run that diverges says so in its folder. Raises what `Run.create`, `fit` and `fitting_stack` do.
    """
    config = unit[0].config
    warnings: list[str] = []
    with threadpool_limits(config.blas_threads, user_api="blas"):
        data, backend = load(config.dataset, data_dir=data_dir), config.make_backend()
        runs = _created(root, unit, data, start)
        if len(runs) > 1:
            for _ in fitting_stack(runs, data, backend, warnings.append):
                pass
        elif not done(runs[0]):
            with suppress(NumericalError):  # which its manifest says
                fit(runs[0], data, backend, lambda log: None, warnings.append)
    return warnings


def _created(root: Path, unit: Unit, data: Dataset, start: Path | None) -> list[Run]:
    """The runs of a unit, those that are not there yet created."""
    weights = Run.open(start).latest() if start else None
    if start and weights is None:
        raise DataError(f"{start} has no checkpoint to start from")
    names = [one.name for one in unit] if len(unit) > 1 else []
    make_folder(root)
    return [opened(root, one) or Run.create(root / one.name, one.config, data, weights, names) for one in unit]


def train_all(
    todo: Sequence[Unit],
    executor: Executor,
    train: Callable[[Unit], list[str]],
    on_look: Callable[[], None] = lambda: None,
    warn: Warn = lambda message: None,
) -> list[Unit]:
    """`train`, which is `train_unit` but for the unit, for all that is to do; the units whose process died.

    `executor` is a pool of processes here, or of workers on a cluster that see the same files. `on_look` is called
    every second or so. Any other error than a `BrokenExecutor` is raised once the units under way have ended; those not
    begun are given up. A later call goes on.
    """
    running: dict[Future, Unit] = {executor.submit(train, unit): unit for unit in todo}
    lost = []
    try:
        while running:
            ended, _ = wait(running, timeout=POLL, return_when=FIRST_COMPLETED)
            for future in ended:
                unit = running.pop(future)
                try:
                    for message in future.result():
                        warn(message)
                except BrokenExecutor:
                    lost.append(unit)
            on_look()
        return lost
    finally:
        for future in running:
            future.cancel()


def epochs_done(root: Path, planned: Sequence[Planned]) -> int:
    """The epochs that all runs together have in their histories."""
    paths = [root / one.name / "history.jsonl" for one in planned]
    return sum(path.read_bytes().count(b"\n") for path in paths if path.exists())


def outcome(root: Path, planned: Planned) -> dict[str, Any]:
    """What became of a run: status, and of its last epoch accuracy, what was monitored, and measures of its layers."""
    folder = root / planned.name
    found: dict[str, Any] = {"run": str(folder), "status": "not begun"}
    if not folder.exists():
        return found
    run = Run.open(folder)
    manifest, history = run.manifest, run.history
    found |= {"status": run.status, "reason": manifest.get("reason"), "diverged": manifest.get("diverged")}
    last = history[-1] if history else {}
    found |= {key: last.get(key) for key in ("epoch", "accuracy", "layers")} | {"attacks": last.get("attacks", [])}
    return found | {"seconds": manifest["seconds"], "stack": manifest.get("stack", {}).get("size")}
