"""One experiment, from wherever it was left to its result; the same call does it again without doing it twice."""

import json
import shutil
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_limits

from ..atomic import write_text
from ..attacks.base import ATTACKS
from ..backend import backend as make_backend
from ..data import Dataset, load
from ..errors import DataError
from ..measures.fooling import fooling
from ..measures.per_layer import information, layers
from ..runs.fit import fit
from ..runs.folder import Run
from ..runs.results import to_json
from ..training.loop import score
from .claims import course
from .plan import Experiment

RESULT = "result.json"


def carry_out(root: Path, experiment: Experiment, data_dir: Path | None = None) -> dict[str, Any]:
    """Train the run `root/experiment.name` unless it is trained, measure it unless it is measured; its result.

    Whatever was begun is continued to the bits of a run that was never stopped. Raises `DataError` where the folder
    holds a run of other settings, `UsageError` where another process is at work on it.
    """
    folder = root / experiment.name
    if (folder / RESULT).is_file():
        _check(Run.open(folder), experiment)
        return dict(json.loads((folder / RESULT).read_text()))
    data = load(experiment.config.dataset, data_dir=data_dir)
    with threadpool_limits(limits=1, user_api="blas"):
        run = _opened(root, folder, experiment, data)
        last = fit(run, data, make_backend(experiment.config.backend), lambda record: None)
        result = {
            "method": experiment.method,
            "reading": experiment.reading,
            **_measure(run, data),
            "epoch": last.epoch,
        }
    write_text(folder / RESULT, to_json(result) + "\n")
    return result


def results(root: Path) -> list[dict[str, Any]]:
    """Those of all runs under `root` that have one, by name, and the `course` of each."""
    return [
        json.loads(path.read_text()) | {"course": course(Run(path.parent).history)}
        for path in sorted(root.glob(f"*/*/{RESULT}"))
    ]


def _opened(root: Path, folder: Path, experiment: Experiment, data: Dataset) -> Run:
    if (folder / "config.toml").is_file():
        run = Run.open(folder)
        _check(run, experiment)
        return run
    if folder.exists():  # killed before it was a run: config.toml is written last
        shutil.rmtree(folder)
    start = Run.open(root / experiment.source).latest() if experiment.source else None
    if experiment.source and start is None:
        raise DataError(f"{root / experiment.source} has no weights for {experiment.name} to start from")
    return Run.create(folder, experiment.config, data, start)


def _check(run: Run, experiment: Experiment) -> None:
    if run.config != experiment.config:
        raise DataError(
            f"{run.folder} holds a run of other settings than {experiment.name} now has: choose another --out"
        )


def _measure(run: Run, data: Dataset) -> dict[str, Any]:
    """Accuracy, the three fooling ratios, rank and sparsity of every layer; of `fcnn` also mutual information."""
    config, test = run.config, data.test
    backend = make_backend(config.backend)
    params = run.load(backend).params
    images, labels = backend.asarray(test.images), backend.asarray(test.labels, "int64")
    _, correct = score(config.network, params, images, labels)
    attacks = [config.make_attack(name) for name in ATTACKS]
    outcomes = fooling(config.network, params, test.images, test.labels, attacks, backend=backend, dtype=config.dtype)
    measured = layers(params)
    if config.arch == "fcnn":
        known = information(config.network, params, images)
        measured = [layer | more for layer, more in zip(measured, [*known, {}], strict=True)]
    return {
        "arch": config.arch,
        "dataset": data.name,
        "seed": config.seed,
        "accuracy": float(correct) / len(test.labels),
        "layers": measured,
        "attacks": [outcome.summary for outcome in outcomes],
        "catastrophic_overfitting": run.manifest["catastrophic_overfitting"],
    }
