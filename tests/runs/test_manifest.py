"""What a manifest says of the machine, and what of it is warned of."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from refimpl.runs import manifest
from refimpl.runs.manifest import differences, environment
from refimpl.runs.schema import Manifest


def elsewhere(**variables: str) -> dict[str, object]:
    """The environment of a fresh process."""
    code = "import json; from refimpl.runs.manifest import environment; print(json.dumps(environment('numpy')))"
    command = [sys.executable, "-c", code]
    found = subprocess.run(command, env={**os.environ, **variables}, capture_output=True, check=True)
    return json.loads(found.stdout)


def test_the_kernel_of_numpy_is_named_and_its_change_is_warned_of():
    """OPENBLAS_CORETYPE chooses the kernel of a process; of numpy's own OpenBLAS, whatever others are loaded."""
    if environment("numpy")["numpy_kernel"] is None:
        pytest.skip("the BLAS of this NumPy does not name its kernel")
    one, other = (elsewhere(OPENBLAS_CORETYPE=kernel) for kernel in ("Haswell", "Sandybridge"))
    if one["numpy_kernel"] == other["numpy_kernel"]:
        pytest.skip("OPENBLAS_CORETYPE is without effect here")
    assert (one["numpy_kernel"], other["numpy_kernel"]) == ("Haswell", "Sandybridge")
    assert (one["openblas_coretype"], other["openblas_coretype"]) == ("Haswell", "Sandybridge")
    assert "numpy_kernel Haswell, now Sandybridge" in differences(one, other)


def test_an_environment_does_not_differ_from_itself():
    assert differences(environment("numpy"), environment("numpy")) == []


def test_a_run_on_a_gpu_names_its_libraries_and_their_change_is_warned_of(monkeypatch):
    device = {"gpu": "GPU 0", "cupy": "14.2.0", "cuda_driver": "13000", "cuda_runtime": "12080"}
    device |= {"cublas": "120904", "cusolver": "11.7.5", "cupy_tf32": ""}
    monkeypatch.setattr(manifest, "cupy_trouble", lambda: None)
    monkeypatch.setattr(manifest, "describe_gpu", lambda: device)
    then = environment("cupy")
    assert device.items() <= then.items()
    assert device.keys() <= Manifest.__annotations__.keys()
    for key in ("cublas", "cusolver", "cuda_runtime", "cupy_tf32"):
        assert differences(then, then | {key: "other"}) == [f"{key} {device[key]}, now other"]


def test_without_the_variable_no_kernel_was_chosen(monkeypatch):
    monkeypatch.delenv("OPENBLAS_CORETYPE", raising=False)
    assert environment("numpy")["openblas_coretype"] is None


def test_the_commit_of_a_clone_is_named():
    root = Path(__file__).parents[2]
    if not (root / ".git").exists():
        pytest.skip("these files are no clone")
    command = ["git", "-C", str(root), "rev-parse", "HEAD"]
    head = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    assert environment("numpy")["git"]["commit"] == head
