"""The bits of short runs and attacks are those on record, on the NumPy and the BLAS that the record was made with."""

import json
from pathlib import Path

import pytest
from recorded_runs import ATTACKED, TRAINED, hashes, machine

from refimpl.attacks import ATTACKS
from refimpl.networks import NETWORKS
from refimpl.optimizers import OPTIMIZERS
from refimpl.regularizers import REGULARIZERS

RECORD = json.loads((Path(__file__).parent / "recorded_runs.json").read_text())


def test_every_attack_network_optimizer_and_regularizer_is_among_the_runs():
    attacked = [line for lines in ATTACKED.values() for line in lines]
    said = " ".join([*TRAINED.values(), *attacked, "--optimizer sgd", ""])  # which runs have that name no other
    asked = [f"--attack {name} " for name in ATTACKS.names()]
    asked += [f"--arch {name} " for name in NETWORKS.names()]
    asked += [f"--optimizer {name} " for name in OPTIMIZERS.names()]
    asked += [f"--{name} " for name in REGULARIZERS.names()]
    assert [option for option in asked if option not in said] == []


@pytest.mark.slow
def test_runs_and_attacks_keep_their_bits(tmp_path, monkeypatch):
    monkeypatch.delenv("REFIMPL_DATA", raising=False)
    if machine() != RECORD["machine"]:
        pytest.skip(f"the bits on record are those of {RECORD['machine']}, here is {machine()}")
    found = hashes(tmp_path)
    assert found.keys() == RECORD["arrays"].keys()
    assert [name for name, digest in found.items() if digest != RECORD["arrays"][name]] == []
