"""A small reproduction: two runs of each net that were trained, and copies of them for every other method."""

import json
import shutil
from dataclasses import replace

import pytest

from refimpl.backend import backend
from refimpl.data import load
from refimpl.experiments import ASSUMPTIONS, JUDGED, methods_of, plan, results
from refimpl.experiments.run_experiment import RESULT
from refimpl.experiments.verdict import verdict
from refimpl.networks import CNN, FCNN
from refimpl.runs.fit import fit
from refimpl.runs.folder import Run
from refimpl.runs.results import to_json

SMALL = {"fcnn": FCNN(), "cnn": CNN(filters=(4, 4))}


@pytest.fixture(scope="session")
def reproduction(tmp_path_factory):
    """Every run that the figures and the report are drawn from, each with numbers of its own."""
    root = tmp_path_factory.mktemp("reproduction")
    data = load("strokes-small")
    for arch, network in SMALL.items():
        trained = []
        for experiment in plan("smoke", arch, ["literal"], methods=["l1-0.01"]):
            config = replace(experiment.config, network=network, epochs=2, monitor_examples=20)
            start = trained[0].latest() if trained else None
            run = Run.create(root / "trained" / experiment.name, config, data, start)
            fit(run, data, backend("numpy"), lambda log: None)
            trained.append(run)
        for assumption in JUDGED:
            for method in methods_of(arch):
                _copy(trained[method != "natural"], root, assumption, method)
    shutil.rmtree(root / "trained")
    found = {"profile": "smoke", **verdict(results(root))}
    (root / "verdict.json").write_text(to_json(found))
    return root


def _copy(run, root, assumption, method):
    arch = run.config.arch
    folder = root / f"{arch}-{assumption}" / f"{method}-seed0"
    shutil.copytree(run.folder, folder)
    factor = 1 + 0.01 * (1 + methods_of(arch).index(method)) * (1 + list(ASSUMPTIONS[arch]).index(assumption))
    history = run.history
    for line in history:
        for layer in line["layers"]:
            layer["effective_rank"] *= factor
    (folder / "history.jsonl").write_text("".join(json.dumps(line) + "\n" for line in history))
    copy = Run(folder)
    copy.write_manifest({**copy.manifest, "history_sha256": copy.history_sha256})
    last = history[-1]
    result = {"arch": arch, "dataset": run.config.dataset, "assumption": assumption, "method": method, "seed": 0}
    result |= {key: last[key] for key in ("accuracy", "layers")}
    counts = {"norm": "inf", "n_fooled": 1, "accuracy": 0.5, "robust_accuracy": 0.4, "mean_distance": 0.05}
    counts |= {"fooling_ratio_interval_95": [0.0, 1.0], "zero_gradients": 0}
    result["attacks"] = [attack | counts for attack in last["attacks"]]
    result |= {"epoch": last["epoch"], "checkpoint_sha256": copy.load(backend("numpy")).sha256}
    result |= {"data_sha256": copy.manifest["data"]["sha256"], "catastrophic_overfitting": None}
    (folder / RESULT).write_text(json.dumps(result))
