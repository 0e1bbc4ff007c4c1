"""One experiment, from wherever it was left to its result; the same call does it again without doing it twice."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from threadpoolctl import threadpool_limits

from ..atomic import write_text
from ..attacks import PAPERS
from ..backend import backend as make_backend
from ..data import Dataset, load
from ..errors import DataError, NumericalError, UsageError
from ..measures.fooling import LabelledImages, fooling
from ..measures.per_layer import layer_information, layers
from ..runs.fast_twins import accelerated
from ..runs.fit import fit
from ..runs.fit_stack import fitting_stack
from ..runs.folder import Run
from ..runs.results import to_json
from ..runs.schema import ExperimentResult
from ..training.loop import score
from .claims import course
from .plan import Experiment

RESULT = "result.json"


def run_experiment(root: Path, experiment: Experiment, data_dir: Path | None = None) -> dict[str, Any]:
    """Train the run `root/experiment.name` unless it is trained, measure it unless it is measured; its result.

    Whatever was begun is continued to the bits of a run that was never stopped. Raises `DataError` where the folder
    holds a run of other settings, or one without its configuration; `UsageError` where another process is at work on
    it.
    """
    folder = root / experiment.name
    with _alone(folder):
        return _run(root, folder, experiment, data_dir)


def run_stack(root: Path, experiments: Sequence[Experiment], data_dir: Path | None = None) -> list[dict[str, Any]]:
    """`run_experiment` of each, in turn, once those that are not trained are trained together.

    They start from one run. Raises also `NumericalError` where one of them diverged, when the others are measured.
    """
    lost = _train_stack(root, experiments, data_dir) if len(experiments) > 1 else []
    found = [run_experiment(root, one, data_dir) for one in experiments if one.name not in lost]
    if lost:
        raise NumericalError(f"{root / lost[0]}: {Run.open(root / lost[0]).manifest.get('reason')}")
    return found


def _train_stack(root: Path, experiments: Sequence[Experiment], data_dir: Path | None) -> list[str]:
    """Train what is not trained of a stack; the names of those that diverged."""
    folders = [root / one.name for one in experiments]
    with ExitStack() as locks, threadpool_limits(limits=1, user_api="blas"):
        for folder in folders:
            locks.enter_context(_alone(folder))
        config = experiments[0].config
        data, names = load(config.dataset, data_dir=data_dir), [folder.name for folder in folders]
        runs = [_opened(root, root / one.name, one, data, names) for one in experiments]
        for _ in fitting_stack(runs, data, config.make_backend()):
            pass
        return [one.name for one, run in zip(experiments, runs, strict=True) if "diverged" in run.manifest]


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """No other process at work on the run. Raises `UsageError` where one is."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder.parent / f".{folder.name}.lock", timeout=0):
            yield
    except Timeout:
        raise UsageError(f"{folder}: another process is at work on this run") from None


def _run(root: Path, folder: Path, experiment: Experiment, data_dir: Path | None) -> dict[str, Any]:
    if (folder / RESULT).is_file():
        run = Run.open(folder, experiment.config)
        return dict(run.result(folder / RESULT, ExperimentResult))
    data = load(experiment.config.dataset, data_dir=data_dir)
    with threadpool_limits(limits=1, user_api="blas"):
        run = _opened(root, folder, experiment, data)
        last = fit(run, data, experiment.config.make_backend(), lambda log: None)
        result = {
            "method": experiment.method,
            "assumption": experiment.assumption,
            **_measure(run, data),
            "epoch": last.epoch,
            "checkpoint_sha256": run.load(make_backend("numpy")).sha256,
            "data_sha256": data.sha256,
        }
    write_text(folder / RESULT, to_json(result) + "\n")
    return result


def results(root: Path) -> list[dict[str, Any]]:
    """Those of all runs under `root` that have one, by name, and the `course` of each."""
    runs = [Run(path.parent) for path in sorted(root.glob(f"*/*/{RESULT}"))]
    return [{**run.result(run.folder / RESULT, ExperimentResult), "course": course(run.history)} for run in runs]


def _opened(root: Path, folder: Path, experiment: Experiment, data: Dataset, stack: Sequence[str] = ()) -> Run:
    if (folder / "config.toml").is_file():
        return Run.open(folder, experiment.config)
    if folder.exists():
        raise DataError(f"{folder} has lost its config.toml, but not its other files: put it back, or move the folder")
    start = None
    if experiment.source:
        source = root / experiment.source
        if not (source / RESULT).is_file():
            raise DataError(f"{source} is not finished, and {experiment.name} starts from its weights: run it first")
        start = Run.open(source).latest()
    return Run.create(folder, experiment.config, data, start, stack)


def _measure(run: Run, data: Dataset) -> dict[str, Any]:
    """Accuracy, the three fooling ratios, rank and sparsity of every layer; mutual information if monitored."""
    config, test = run.config, data.test
    backend, network = config.make_backend(), accelerated(config.trained(), config.threads)
    params = run.load(backend).params
    images, labels = backend.asarray(test.images), backend.asarray(test.labels, "int64")
    _, correct = score(network, params, images, labels)
    attacks = [config.paper_attack(name) for name in PAPERS]
    inputs = LabelledImages(test.images, test.labels, backend, config.dtype)
    measured = layers(network, params)
    if "mi" in config.monitored:
        known = layer_information(network, params, images)
        measured = [layer | more for layer, more in zip(measured, [*known, {}], strict=True)]
    return {
        "arch": config.arch,
        "dataset": data.name,
        "seed": config.seed,
        "accuracy": float(correct) / len(test.labels),
        "layers": measured,
        "attacks": [result.summary for result in fooling(network, params, inputs, attacks)],
        "catastrophic_overfitting": run.manifest["catastrophic_overfitting"],
    }
