"""`refimpl doctor --gpu`: the checks of a device, or one line where there is none."""

import json

import pytest
from backends import FAKE

from refimpl.backend import cupy_trouble
from refimpl.device import Outcome

PASSED = Outcome("passes", True, "112 arrays, differing by at most 2e-15", 1.25)
FAILED = Outcome("no wait", False, "these wait for the device: a score", 0.5)


@pytest.fixture
def device(monkeypatch):
    """The mock, on which the checks find these outcomes."""

    def finds(*outcomes):
        monkeypatch.setattr("refimpl_cli.doctor.make_backend", lambda name: FAKE)
        monkeypatch.setattr("refimpl_cli.doctor.describe_gpu", lambda: {"gpu": "A mock", "cupy": "14.2.0"})
        monkeypatch.setattr("refimpl_cli.doctor.run_checks", lambda backend: iter(outcomes))

    return finds


@pytest.mark.parametrize("arguments", [(), ("--json",)])
def test_without_a_gpu_it_is_one_line_and_nothing_else(refimpl, arguments):
    if cupy_trouble() is None:
        pytest.skip("CuPy works here: there is nothing to complain of")
    result = refimpl("doctor", "--gpu", *arguments, code=2)
    (line,) = result.stderr.splitlines()
    assert line == f"refimpl: {cupy_trouble()}"
    assert result.stdout == ""


def test_each_check_is_a_row_and_all_is_well(refimpl, device):
    device(PASSED)
    result = refimpl("doctor", "--gpu")
    assert "checks on A mock" in result.stderr
    header, row = result.stdout.splitlines()
    assert header.split() == ["check", "passed", "found", "seconds"]
    assert row.split(maxsplit=2) == ["passes", "yes", "112 arrays, differing by at most 2e-15      1.2"]


def test_a_check_that_fails_is_a_verdict(refimpl, device):
    device(PASSED, FAILED)
    result = refimpl("doctor", "--gpu", code=5)
    assert "no wait  NO      these wait for the device: a score" in result.stdout
    last = result.stderr.splitlines()[-1]
    assert last.startswith("refimpl: 1 of 2 checks failed on A mock: no wait; CUDA_LAUNCH_BLOCKING=1")


def test_as_json_it_is_one_object_whether_or_not_all_is_well(refimpl, device):
    device(PASSED, FAILED)
    found = json.loads(refimpl("doctor", "--gpu", "--json", code=5).stdout)
    assert found["gpu"] == {"gpu": "A mock", "cupy": "14.2.0"}
    assert found["checks"] == [vars(PASSED), vars(FAILED)]


def test_data_are_not_asked_for_in_vain(refimpl, tmp_path):
    assert "takes no --data-dir" in refimpl("doctor", "--gpu", "--data-dir", tmp_path, code=2).stderr
