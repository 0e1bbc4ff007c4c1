"""Event files hold every number of the history, and TensorBoard reads them."""

import json
import shutil
import struct
from pathlib import Path

import numpy as np
import pytest

from refimpl.errors import DataError
from refimpl.interop.tensorboard import FILE, _checksum, events, export_histories, scalars
from refimpl.runs.folder import Run

RUN = Path("runs") / "fcnn-seed0"
LOG = {
    "epoch": 300,
    "loss": 0.5,
    "accuracy": 1,
    "layers": [{"name": "W1", "effective_rank": 2.5, "effective_sparsity": None}],
    "attacks": [{"attack": "pgd", "eps": 0.05, "n": 10, "n_correct": 8, "fooling_ratio": 0.25}],
}


def test_every_number_has_a_name():
    assert dict(scalars(LOG)) == {
        "loss": 0.5,
        "accuracy": 1,
        "effective_rank/W1": 2.5,
        "eps/pgd": 0.05,
        "n/pgd": 10,
        "n_correct/pgd": 8,
        "fooling_ratio/pgd": 0.25,
    }


def test_the_checksum_is_that_of_rfc_3720():
    """CRC-32C of 32 zeros is 0x8A9136AA there; TensorFlow turns it by 15 bits and adds a constant."""
    (masked,) = struct.unpack("<I", _checksum(bytes(32)))
    turned = (masked - 0xA282EAD8) % 2**32
    assert (turned << 15 | turned >> 17) % 2**32 == 0x8A9136AA


def test_tensorboard_reads_every_number(tmp_path):
    name = "tensorboard.backend.event_processing.event_accumulator"
    loader = pytest.importorskip(name, reason="tensorboard is not installed: nothing reads the events")
    (tmp_path / FILE).write_bytes(events([LOG | {"epoch": 1}, LOG], 123.5))
    found = loader.EventAccumulator(str(tmp_path))
    found.Reload()
    assert set(found.Tags()["scalars"]) == set(dict(scalars(LOG)))
    for name, value in scalars(LOG):
        assert [(one.step, one.value, one.wall_time) for one in found.Scalars(name)] == [
            (step, np.float32(value), 123.5) for step in (1, 300)
        ]


def test_a_second_export_replaces_the_first(refimpl, in_folder):
    (file,) = json.loads(refimpl("export", RUN, "--to", "tensorboard", "--json").stdout)["files"]
    assert file == {"file": f"tensorboard/fcnn-seed0/{FILE}", "epochs": 15}
    first = Path(file["file"]).read_bytes()
    refimpl("export", RUN, RUN, "--to", "tensorboard")
    assert Path(file["file"]).read_bytes() == first
    assert [path.name for path in Path("tensorboard/fcnn-seed0").iterdir()] == [FILE]


def test_runs_of_one_name_are_told_apart_by_their_folders(in_folder, folder):
    for name in ("a/run", "b/copy/run"):
        shutil.copytree(folder / "runs" / "fcnn-seed0", name)
    written = export_histories([Run(Path("a/run")), Run(Path("b/copy/run"))], Path("logs"))
    assert [str(path.parent) for path, _ in written] == ["logs/a/run", "logs/b/copy/run"]


def test_a_run_without_an_epoch_is_refused_and_nothing_written(in_folder, folder):
    shutil.copytree(folder / "runs" / "fcnn-seed0", "fresh")
    manifest = json.loads(Path("fresh/manifest.json").read_text())
    Path("fresh/manifest.json").write_text(json.dumps(manifest | {"status": "interrupted"}))
    Path("fresh/history.jsonl").write_text("")
    with pytest.raises(DataError, match="no epoch to export yet"):
        export_histories([Run(RUN), Run(Path("fresh"))])
    assert not Path("tensorboard").exists()
