"""The bits of short runs and attacks are those on record, on the NumPy and the BLAS that the record was made with."""

import json
from pathlib import Path

import pytest
from recorded_runs import hashes, machine

RECORD = json.loads((Path(__file__).parent / "recorded_runs.json").read_text())


@pytest.mark.slow
def test_runs_and_attacks_keep_their_bits(tmp_path, monkeypatch):
    monkeypatch.delenv("REFIMPL_DATA", raising=False)
    if machine() != RECORD["machine"]:
        pytest.skip(f"the bits on record are those of {RECORD['machine']}, here is {machine()}")
    found = hashes(tmp_path)
    assert found.keys() == RECORD["arrays"].keys()
    assert [name for name, digest in found.items() if digest != RECORD["arrays"][name]] == []
