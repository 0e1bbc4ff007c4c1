"""An audit of a run: its net, its test images, its siblings as surrogates, and the result as plain data."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import DataError, UsageError
from ..layers.images import scale
from ..measures import LabelledImages, certified, interval
from ..parameters import as_matrix, weights
from ..runs.compare import comparable
from ..runs.config import Config
from ..runs.folder import Run, Warn, list_runs
from ..runs.trained import TrainedRun, warn_in_python
from ..runs.zoo import ZooRun, index
from .checklist import answered
from .checks.worst_case import found_by
from .run_checks import Audit
from .subject import AuditSettings, Certify, Found, Subject, Surrogate

EPS = 0.05
"""The paper's budget (Section 5)."""
MOST = 2
"""Surrogates of a kind that are looked for."""


def subject_of(run: TrainedRun, settings: AuditSettings, surrogates: Sequence[tuple[str, TrainedRun]] = ()) -> Subject:
    """The net of a run with random test images, those that `refimpl attack --examples` draws with the same seed.

    The budget is what the run was trained against, where that is one of l_inf, unless the settings have one.
    `surrogates` are runs, each with its kind. Raises `UsageError` for surrogates of other data.
    """
    trained = run.config.attack
    if settings.eps is None:
        settings = replace(settings, eps=trained.eps if trained and trained.ball == "inf" and trained.eps else EPS)
    for _, other in surrogates:
        if other.data.sha256 != run.data.sha256:
            raise UsageError(f"{other.name} was trained on other data than {run.name}: it is no surrogate")
    backend, test = run.backend, run.data.test
    inputs = LabelledImages(test.images, test.labels, backend).some(settings.examples, settings.seed)
    doubled = {name: backend.xp.astype(p, backend.dtype("float64")) for name, p in run.params.items()}
    return Subject(
        net=run.network.gradients(run.params),
        images=scale(backend.asarray(inputs.images), backend.dtype(run.config.dtype)),
        labels=inputs.labels.astype(np.int64),
        index=np.arange(len(inputs.labels)) if inputs.positions is None else inputs.positions,
        backend=backend,
        settings=settings,
        exact=run.network.gradients(doubled),
        surrogates=tuple(_surrogate(kind, other) for kind, other in surrogates),
        certify=_certify(run),
        lipschitz=lipschitz(run),
        natural=is_natural(run.config),
    )


def _surrogate(kind: str, run: TrainedRun) -> Surrogate:
    return Surrogate(name=run.name, kind=kind, net=run.network.gradients(run.params), lipschitz=lipschitz(run))


def lipschitz(run: TrainedRun) -> float:
    r"""$\prod_l \|W^l\|_2$, of filters as matrices (O, C k k)."""
    found = 1.0
    for W in weights(run.full().params).values():
        found *= float(run.backend.xp.linalg.matrix_norm(as_matrix(W), ord=2))
    return found


def _certify(run: TrainedRun) -> Certify | None:
    """None for a net that has no certificates."""
    full = run.full()
    if not full.network.certifiable:
        return None
    return lambda x, y, eps: certified(full.network, full.params, x, y, eps, 0.0)


def is_natural(config: Config) -> bool:
    """Whether training had no defence: no attack, no regularizer, full layers, weights not perturbed."""
    return not (config.attack or config.regularizers or config.low_rank or config.adversarial_weights)


def siblings(run: Run, warn: Warn = warn_in_python) -> list[tuple[str, Path]]:
    """Runs beside this one that can be surrogates, each with its kind: at most two of another seed, two natural ones.

    Of the latter the run that this one started from comes first, then those of the same seed. `warn` is told of damaged
    runs, which are left out.
    """
    same = [other for other in _neighbours(run, warn) if other.config.network == run.config.network]
    seeds = [o for o in same if o.config.seed != run.config.seed and _settings(o) == _settings(run)]
    natural = [] if is_natural(run.config) else [other for other in same if is_natural(other.config)]
    natural.sort(key=lambda other: (not _started(run, other), other.config.seed != run.config.seed))
    found = [("seed", Path(other.title)) for other in seeds[:MOST]]
    return found + [("natural", Path(other.title)) for other in natural[:MOST]]


def _started(run: Run, other: Run) -> bool:
    """Whether `run` started from the weights of `other`."""
    start = run.config.start
    return start == other.title or (bool(start) and Path(start).resolve() == other.folder.resolve())


def _neighbours(run: Run, warn: Warn) -> Iterator[Run]:
    """Other whole runs in the folder above, or in the zoo, trained on the same data."""
    for other in _candidates(run):
        if other.folder.resolve() == run.folder.resolve():
            continue
        try:
            if other.manifest["data"]["sha256"] == run.manifest["data"]["sha256"] and other.latest():
                yield other
        except (DataError, UsageError) as error:
            warn(f"{other.folder.name} cannot be a surrogate: {error}")


def _candidates(run: Run) -> list[Run]:
    if run.read_only:
        return [ZooRun(name) for name in index()]
    return list_runs(run.folder.resolve().parent)


def _settings(run: Run) -> dict[str, Any]:
    return comparable(run.config.table())


def as_result(run: TrainedRun, audit: Audit) -> dict[str, Any]:
    """The audit as audit.json has it."""
    subject = audit.subject
    fooled = subject.fooled_so_far()
    low, high = interval(int((~fooled).sum()), subject.n)
    return {
        "run": run.title,
        **run.origin,
        "dataset": run.data.name,
        "network": run.config.arch,
        "method": run.config.method,
        "settings": subject.settings.table(),
        "surrogates": [{"run": one.name, "kind": one.kind} for one in subject.surrogates],
        "n": subject.n,
        "n_correct": len(subject.y),
        "accuracy": len(subject.y) / subject.n,
        "robust_accuracy": subject.robust_accuracy(fooled),
        "robust_accuracy_interval_95": [low, high],
        "seconds": round(audit.seconds, 2),
        "checks": audit.rows(),
        "attacks": [_attack(one, subject) for one in subject.attacks.values()],
        "checklist": answered(audit),
        "examples": _examples(subject),
    }


def _attack(one: Found, subject: Subject) -> dict[str, Any]:
    fooled = int(one.fooled.sum())
    return {
        **one.attack.describe(),
        "by": one.by,
        "n": subject.n,
        "n_correct": len(subject.y),
        "n_fooled": fooled,
        "fooling_ratio": fooled / len(subject.y),
        "robust_accuracy": subject.robust_accuracy(one.fooled),
        "seconds": round(one.seconds, 3),
    }


def _examples(subject: Subject) -> dict[str, list[Any]]:
    """Columns of the correctly classified examples; a distance is null where nothing fooled."""
    smallest = subject.smallest()
    found: dict[str, list[Any]] = {
        "index": subject.index[subject.right].tolist(),
        "label": subject.y.tolist(),
        "found_by": found_by(subject),
        "smallest_perturbation": [float(one) for one in smallest],
    }
    if subject.certify is not None:
        found["certified_radius"] = [float(one) for one in subject.certified_radius]
    return found
