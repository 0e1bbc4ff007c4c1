"""The contrary evidence: others' methods beside the paper's, attacked at two budgets."""

import json
import math

import pytest

from refimpl.errors import DataError
from refimpl.experiments import CONTROL, contrary, run_experiment
from refimpl.experiments.tables import markdown
from refimpl.low_rank import LowRank
from refimpl.regularizers import Conditioning, RankMax, SpectralNorm
from refimpl.runs.schema import ContraryRecord, read_json


def test_every_method_continues_natural_training_of_its_seed():
    runs = contrary.plan("paper", [3])
    assert [run.method for run in runs] == ["natural", *contrary.ROWS]
    assert {run.source for run in runs[1:]} == {"fcnn-contrary/natural-seed3"}
    assert len({run.config.epochs for run in runs[1:]}) == 1  # as long as each other
    by_method = {run.method: run.config for run in runs}
    assert by_method["rank-max-spectral-norm"].regularizers == (RankMax(0.1), SpectralNorm(0.1, 1.5))
    assert by_method["low-rank-conditioning"].low_rank == LowRank(0.5, tau=math.inf)
    assert by_method["low-rank-conditioning"].regularizers == (Conditioning(0.1),)
    for method, config in by_method.items():
        assert config.optimizer.name == ("sgd" if "low-rank" in method or method == "sgd" else "adam")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """The control and a capped net, on built-in data."""
    root = tmp_path_factory.mktemp("contrary")
    for experiment in contrary.plan("smoke"):
        if experiment.method in ("natural", CONTROL, "spectral-norm"):
            run_experiment(root, experiment)
    return root


@pytest.fixture(autouse=True)
def briefly(monkeypatch):
    monkeypatch.setattr(contrary, "EXAMPLES", 5)
    monkeypatch.setattr(contrary, "QUERIES", 2)


def test_a_run_is_attacked_at_a_budget_for_its_scale(root):
    runs = [run for run in contrary.plan("smoke") if run.method in (CONTROL, "spectral-norm")]
    control, capped = (contrary.contrast(root, run) for run in runs)
    budgets = [[one["eps"] for one in found["attacks"]["eps_scaled"]] for found in (control, capped)]
    assert budgets[0] == pytest.approx([0.05, 0.05])
    products = [math.prod(found["spectral_norms"]) for found in (control, capped)]
    assert budgets[1] == pytest.approx([min(1.0, 0.05 * products[0] / products[1])] * 2)
    assert [one["attack"] for one in capped["attacks"]["eps"]] == ["pgd", "ensemble"]
    assert {tuple(one["clip"]) for one in capped["attacks"]["eps"]} == {(0.0, 1.0)}
    path = root / runs[1].name / contrary.RESULT
    before = path.stat().st_mtime_ns
    assert contrary.contrast(root, runs[1]) == capped
    assert path.stat().st_mtime_ns == before  # what is done is not done again
    found = contrary.contrasted(root)
    assert [row["method"] for row in found["rows"]] == [CONTROL, "spectral-norm"]
    assert found["rows"][1]["by_seed"]["norms"]["0"] == pytest.approx(products[1])
    title, header, rows = contrary.table(found)
    assert title == "Contrary evidence, fully connected net, strokes-small"
    assert all(len(row) == len(header) for row in rows)
    assert markdown([contrary.table(found)]).count("\n| ") == 4
    (root / contrary.RECORD).write_text(json.dumps(found))
    assert read_json(root / contrary.RECORD, ContraryRecord) == found


def test_nothing_to_show_is_one_line(tmp_path):
    with pytest.raises(DataError, match="the runs of the contrary evidence are of no data"):
        contrary.contrasted(tmp_path)


@pytest.mark.parametrize("option", [("--method", "pgd"), ("--arch", "fcnn"), ("--list",)])
def test_what_goes_with_other_experiments_is_refused(refimpl, option):
    assert "--contrary has its own methods" in refimpl("reproduce", "--contrary", *option, code=2).stderr
