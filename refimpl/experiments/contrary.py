"""What others found against the paper, on its fully connected net: each method at a budget, and at one for its scale.

A net whose layers are longer changes more within the same budget. Whether a method does more than shorten the layers is
seen at a budget that is divided by the product of their spectral norms, which bounds what the logits can change by.
"""

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_limits

from ..atomic import write_text
from ..attacks import PGD, Ensemble, InputAttack
from ..backend import Params, to_host
from ..errors import DataError
from ..parameters import as_matrix, weights
from ..regularizers.spectral_norm import spectral_norm
from ..runs.config import Config
from ..runs.folder import list_runs
from ..runs.presets import METHODS, Table, merged
from ..runs.results import to_json
from ..runs.schema import ContraryRecord, ContraryResult, from_json, read_json
from ..runs.trained import Evaluation, TrainedRun, open_run
from ..settings import PIXELS
from .assumptions import ASSUMPTIONS
from .plan import CONTROL, PROFILES, SOURCE, Experiment
from .record import recorded

ARCH, ASSUMPTION, FOLDER = "fcnn", "adam-clipped", "fcnn-contrary"
RESULT = RECORD = "contrary.json"
EPS = 0.05
"""The paper's budget (Section 5)."""
EXAMPLES, QUERIES = 500, 1000
"""What the ensemble is tried on, and the queries of its attack without gradients: it takes minutes a net."""


@dataclass(frozen=True)
class Row:
    """A method that continues natural training; `of` is whose evidence it is."""

    of: str
    settings: Table


def _term(**terms: Any) -> Table:
    return {"regularizer": {name.replace("_", "-"): table for name, table in terms.items()}}


def _low_rank(tau: float, *terms: Table) -> Table:
    """Low-rank training has SGD's steps, here those of its authors' program."""
    return merged({"optimizer": SGD, "low_rank": {"fraction": 0.5, "tau": tau}}, *terms)


SGD: Table = {"sgd": {"learning_rate": 0.1, "momentum": 0.3}}
_PAPER = METHODS[ARCH]
ROWS: dict[str, Row] = {
    CONTROL: Row("the control", {}),
    **{name: Row("the paper", _PAPER[name]) for name in ("pgd", "l1-0.01", "nuclear-0.01", "l1-0.01-joint-0.001")},
    "rank-min": Row("Goldblum et al. 2020", _term(rank_min={"lam": 0.1})),
    "rank-max": Row("Goldblum et al. 2020", _term(rank_max={"lam": 0.1})),
    "rank-max-spectral-norm": Row(
        "Goldblum et al. 2020", _term(rank_max={"lam": 0.1}, spectral_norm={"lam": 0.1, "cap": 1.5})
    ),
    "spectral-norm": Row("the cap alone", _term(spectral_norm={"lam": 0.1, "cap": 1.5})),
    "nuclear-0.1": Row("Barsbey et al. 2026", _term(nuclear={"W1": 0.1})),
    "nuclear-0.3": Row("Barsbey et al. 2026", _term(nuclear={"W1": 0.3})),
    "sgd": Row("the control of the next three", {"optimizer": SGD}),
    "low-rank": Row("rank alone", _low_rank(math.inf)),
    "low-rank-tau-0.1": Row("Savostianova et al. 2023", _low_rank(0.1)),
    "low-rank-conditioning": Row("Schotthöfer et al. 2025", _low_rank(math.inf, _term(conditioning={"lam": 0.1}))),
}


def plan(profile: str, seeds: Sequence[int] = ()) -> list[Experiment]:
    """The runs of a profile, as `plan.plan` has them."""
    amount, assumption = PROFILES[profile], ASSUMPTIONS[ARCH][ASSUMPTION]
    natural, tuned = amount.epochs[ARCH] if amount.epochs else (None, None)
    experiments = []
    for seed in seeds or amount.seeds:
        shared: Table = {"network": {ARCH: {}}, "dataset": amount.datasets[ARCH], "seed": seed, "monitor": "none"}
        source = f"{FOLDER}/{SOURCE}-seed{seed}"
        first = merged(shared, assumption.first(), {"epochs": natural} if natural else {})
        experiments.append(Experiment(source, SOURCE, FOLDER, Config.from_table(first)))
        for name, row in ROWS.items():
            others = {key: value for key, value in assumption.tuned.items() if key not in row.settings}
            settings = replace(assumption, tuned=others).applied(row.settings)
            table = merged(shared, settings, {"epochs": tuned} if tuned else {})
            config = Config.from_table(table | {"start": source})
            experiments.append(Experiment(f"{FOLDER}/{name}-seed{seed}", name, FOLDER, config, source))
    return experiments


def contrast(root: Path, experiment: Experiment, data_dir: Path | None = None) -> ContraryResult:
    """The finished run `root/experiment.name` under clipped PGD and the ensemble, at both budgets; kept beside it.

    The second budget is the first times the product of the spectral norms of the control of its seed, over its own, and
    at most 1, where any image is allowed. Raises `DataError` where a run is missing.
    """
    path = root / experiment.name / RESULT
    if path.is_file():
        return read_json(path, ContraryResult)
    run = open_run(root / experiment.name, data_dir=data_dir)
    control = open_run(root / FOLDER / f"{CONTROL}-seed{experiment.config.seed}", data_dir=data_dir)
    own, reference = (_norms(one.full().params) for one in (run, control))
    scaled = min(1.0, EPS * math.prod(reference) / math.prod(own))
    measured = run.measure(save=False)
    found: Any = {
        "method": experiment.method,
        "seed": experiment.config.seed,
        "dataset": run.data.name,
        **run.origin,
        "accuracy": measured.accuracy,
        "effective_ranks": [layer.effective_rank for layer in measured.layers],
        "spectral_norms": own,
        "attacks": {"eps": _attacked(run, EPS), "eps_scaled": _attacked(run, scaled)},
    }
    write_text(path, to_json(found) + "\n")
    return from_json(to_json(found), ContraryResult, str(path))


def _norms(params: Params) -> list[float]:
    return [float(to_host(spectral_norm(as_matrix(W))[0])) for W in weights(params).values()]


def _attacked(run: TrainedRun, eps: float) -> list[dict[str, Any]]:
    """PGD on all test images, the ensemble on some drawn at random; pixels stay in [0, 1]."""
    pgd: InputAttack = PGD(eps=eps, clip=PIXELS)
    ensemble = Ensemble(eps=eps, clip=PIXELS, queries=QUERIES)
    with threadpool_limits(1, user_api="blas"):
        (whole,) = run.attack_all([pgd], Evaluation(save=False))
        (worst,) = run.attack_all([ensemble], Evaluation(save=False, examples=EXAMPLES))
    return [whole.summary, worst.summary]


def contrasted(root: Path) -> dict[str, Any]:
    """What the runs under `root` say, a row a method with its values by seed, and where they were made.

    Raises `DataError` where there is no result, and where they are of more than one data set.
    """
    paths = sorted((root / FOLDER).glob(f"*/{RESULT}"))
    found = [read_json(path, ContraryResult) for path in paths]
    datasets = sorted({one["dataset"] for one in found})
    if len(datasets) != 1:
        raise DataError(f"{root}: the runs of the contrary evidence are of {' and '.join(datasets) or 'no data'}")
    manifests = [run.manifest for run in list_runs(root / FOLDER)]
    return {
        "dataset": datasets[0],
        "assumption": ASSUMPTION,
        "eps": EPS,
        "rows": [_row(name, [one for one in found if one["method"] == name]) for name in ROWS if _any(name, found)],
        "commits": sorted({(one["git"] or {}).get("commit", "") for one in manifests}),
        "processors": sorted({one["processor"] for one in manifests}),
        "core_hours": sum(one.get("cpu_seconds", 0.0) for one in manifests) / 3600,
    }


def _any(name: str, found: Sequence[ContraryResult]) -> bool:
    return any(one["method"] == name for one in found)


def _row(name: str, found: Sequence[ContraryResult]) -> dict[str, Any]:
    values: dict[str, Callable[[Any], float]] = {
        "accuracy": lambda one: one["accuracy"],
        "effective_rank": lambda one: one["effective_ranks"][0],
        "norms": lambda one: math.prod(one["spectral_norms"]),
        "pgd": lambda one: one["attacks"]["eps"][0]["fooling_ratio"],
        "ensemble": lambda one: one["attacks"]["eps"][1]["fooling_ratio"],
        "eps_scaled": lambda one: one["attacks"]["eps_scaled"][0]["eps"],
        "pgd_scaled": lambda one: one["attacks"]["eps_scaled"][0]["fooling_ratio"],
        "ensemble_scaled": lambda one: one["attacks"]["eps_scaled"][1]["fooling_ratio"],
    }
    by_seed = {quantity: {str(one["seed"]): of(one) for one in found} for quantity, of in values.items()}
    return {"method": name, "of": ROWS[name].of, "by_seed": by_seed}


def record() -> dict[str, Any] | None:
    """What is on record; None where there is nothing."""
    return recorded(RECORD, ContraryRecord)


def table(found: dict[str, Any]) -> tuple[str, list[str], list[list[str]]]:
    """A title, a header and rows of cells; `tables.markdown` and the command line print it."""
    header = ["method", "whose", "seeds", "accuracy", "r(W1)", "product of norms", "PGD", "ensemble", "eps, scaled",
              "PGD, scaled", "ensemble, scaled"]  # fmt: skip
    rows = [[row["method"], row["of"], str(len(row["by_seed"]["accuracy"])), *_cells(row["by_seed"])]
            for row in found["rows"]]  # fmt: skip
    return f"Contrary evidence, fully connected net, {found['dataset']}", header, rows


def _cells(by_seed: dict[str, dict[str, float]]) -> list[str]:
    def spread(quantity: str, factor: float = 1.0, unit: str = "") -> str:
        values = [factor * value for value in by_seed[quantity].values()]
        deviation = f" ± {statistics.stdev(values):.2f}" if len(values) > 1 else ""
        return f"{statistics.fmean(values):.2f}{deviation}{unit}"

    def middle(quantity: str) -> str:
        return f"{statistics.geometric_mean(by_seed[quantity].values()):.2g}"

    percents = {
        name: spread(name, 100.0, " %") for name in ("accuracy", "pgd", "ensemble", "pgd_scaled", "ensemble_scaled")
    }
    return [percents["accuracy"], spread("effective_rank"), middle("norms"), percents["pgd"], percents["ensemble"],
            middle("eps_scaled"), percents["pgd_scaled"], percents["ensemble_scaled"]]  # fmt: skip
