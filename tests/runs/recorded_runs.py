"""Short runs and attacks, one after the other, and a hash of every array they leave: what must keep its bits.

python tests/runs/recorded_runs.py           # write tests/runs/recorded_runs.json
pytest tests/runs/test_recorded_runs.py      # compare with it
"""

import hashlib
import json
import sys
import tempfile
from importlib.metadata import entry_points
from pathlib import Path

import numpy as np
from click.testing import CliRunner
from safetensors import safe_open
from threadpoolctl import threadpool_info

SHORT = "--dataset strokes-small --epochs 2 --no-report"

TRAINED = {
    "natural": "--arch fcnn",
    "adam": "--arch fcnn --optimizer adam --seed 3",
    "momentum": "--arch fcnn --momentum 0.9 --batch-size 100",
    "float64": "--arch fcnn --dtype float64",
    "widths": "--arch fcnn --widths 784,30,10 --learning-rate 0.1",
    "l1": "--arch fcnn --l1 1=0.01",
    "nuclear": "--arch fcnn --nuclear 1=0.03,2=0.01 --learning-rate 0.05",
    "joint": "--arch fcnn --joint 0.001",
    "l1-nuclear-proximal": "--arch fcnn --l1 1=0.01 --nuclear 1=0.03 --proximal --learning-rate 0.1",
    "nuclear-float64": "--arch fcnn --nuclear 1=0.03 --dtype float64",
    "fgsm": "--arch fcnn --adversarial fgsm",
    "pgd": "--arch fcnn --adversarial pgd --eps 0.1 --optimizer adam",
    "pgd-half-clip": "--arch fcnn --adversarial pgd --adversarial-fraction 0.5 --clip",
    "pgd-l2": "--arch fcnn --adversarial pgd-l2",
    "lora-pgd": "--arch fcnn --adversarial lora-pgd --rank 10% --eps 1",
    "weights": "--arch fcnn --adversarial-weights 0.005",
    "weights-pgd": "--arch fcnn --adversarial-weights 0.005 --adversarial pgd --momentum 0.5",
    "margin-bound": "--arch fcnn --margin-bound 0.01 --margin-bound-eps-weights 0.002 --operator-norms 0.001",
    "rank-terms": "--arch fcnn --rank-min 0.001 --rank-max 0.0005 --spectral-norm 0.01 --learning-rate 0.1",
    "everything": "--arch fcnn --l1 1=0.001 --nuclear 1=0.003 --joint 0.0001 --adversarial pgd"
    " --adversarial-fraction 0.5 --adversarial-weights 0.002 --margin-bound 0.01 --margin-bound-eps-weights 0.001"
    " --momentum 0.5",
    "low-rank": "--arch fcnn --low-rank 50% --tau 0.1 --learning-rate 0.1 --momentum 0.3",
    "low-rank-mean": "--arch fcnn --low-rank 50% --low-rank-mode mean --learning-rate 0.1",
    "low-rank-exact": "--arch fcnn --low-rank 50% --tau 0.5 --preconditioner exact --momentum 0.3",
    "low-rank-conditioning": "--arch fcnn --low-rank 50% --conditioning 0.1 --learning-rate 0.1",
    "low-rank-fgsm": "--arch fcnn --low-rank 50% --adversarial fgsm --adversarial-fraction 0.5",
    "cnn": "--arch cnn",
    "cnn-same-relu": "--arch cnn --padding same --activation relu",
    "cnn-threads": "--arch cnn --activation identity --optimizer adam --threads 2",
    "cnn-regularized": "--arch cnn --adversarial fgsm --l1 1=0.01,2=0.01 --nuclear 2=0.05",
    "cnn-pgd": "--arch cnn --adversarial pgd --adversarial-fraction 0.5 --clip --epochs 1",
    "cnn-weights": "--arch cnn --adversarial-weights 0.002",
    "cnn-proximal": "--arch cnn --nuclear 2=0.05 --l1 1=0.01 --proximal",
    "cnn-low-rank": "--arch cnn --low-rank 50% --tau 0.1",
    "lenet5": "--arch lenet5",
    "lenet5-low-rank": "--arch lenet5 --low-rank 50%",
    "tuned": "--from {natural} --method pgd --monitor all --monitor-examples 50",
    "tuned-low-rank": "--from {natural} --low-rank 50%",
}
"""Runs by name: the options of `refimpl train`, later ones over `SHORT`; {name} is an earlier run's folder."""

RESUMED = {"adam": 4, "cnn-threads": 3, "low-rank": 4, "nuclear": 4}
"""Runs continued, to how many epochs."""

ATTACKED = {
    "natural": (
        "--attack fgsm", "--attack fgsm --clip --eps 0.1", "--attack pgd", "--attack pgd --clip",
        "--attack pgd --random-start --restarts 3 --seed 1", "--attack gnm", "--attack gnm --norm 2 --eps 0.5",
        "--attack gnm --norm 1 --eps 2", "--attack pgd-l2", "--attack pgd-l2 --rank 3 --clip",
        "--attack lora-pgd --rank 1,10%", "--attack lora-pgd --warm-start",
        "--attack lora-pgd --warm-start --surrogate {tuned}",
        "--attack lora-pgd --match-nuclear --clip", "--attack lora-pgd --restarts 2",
        "--attack input-weight --eps-weights 0.005 --certify", "--attack input-weight --mode alternating --eps 0.02,0",
        "--attack input-weight --eps-weights 1=0.01,2=0.02 --clip", "--attack pgd --truncate 50%",
        "--attack pgd --target-class 3", "--attack apgd --steps 10",
        "--attack apgd --norm 2 --eps 1 --restarts 2 --steps 5",
        "--attack apgd --loss dlr --targeted --classes 2 --steps 5 --clip", "--attack square --queries 100 --clip",
        "--attack deepfool --steps 10", "--attack deepfool --norm 2", "--attack fmn --steps 20",
        "--attack fmn --norm 2", "--attack universal --steps 5", "--attack noise", "--attack random-signs --restarts 2",
        "--attack ensemble --steps 5 --queries 50",
    ),
    "pgd": ("--attack pgd --eps 0.01,0.1 --steps 7 --step-size 0.01",),
    "low-rank": ("--attack pgd", "--attack input-weight"),
    "cnn": ("--attack fgsm", "--attack pgd", "--attack gnm", "--attack lora-pgd", "--attack apgd --steps 3",
            "--attack input-weight --eps-weights 0.001", "--attack pgd --truncate 50%"),
    "cnn-same-relu": ("--attack pgd --clip", "--attack gnm"),
    "lenet5": ("--attack pgd",),
    "float64": ("--attack pgd --clip", "--attack pgd-l2"),
}  # fmt: skip
"""Attacks on these runs: the options of `refimpl attack`."""


def machine() -> dict[str, str]:
    """What decides bits: NumPy, and the kernels of its BLAS; SciPy has another."""
    (kernel,) = (
        f"{pool['internal_api']} {pool['version']} {pool['architecture']}"
        for pool in threadpool_info()
        if pool["user_api"] == "blas" and "numpy" in pool["filepath"]
    )
    return {"numpy": np.__version__, "blas": kernel}


def hashes(root: Path) -> dict[str, str]:
    """The SHA-256 of every array of every run and attack, by run, file and name."""
    (script,) = entry_points(group="console_scripts", name="refimpl")
    command, runner, found = script.load(), CliRunner(), {}
    folders = {name: str(root / name) for name in TRAINED}

    def call(line: str) -> None:
        result = runner.invoke(command, line.format(**folders).split())
        if result.exit_code:
            raise RuntimeError(f"refimpl {line}\n{result.output}") from result.exception

    for name, options in TRAINED.items():
        call(f"train {SHORT} --out {folders[name]} {options}")
        found |= _arrays(name, sorted((root / name / "checkpoints").glob("*"))[-1:])
    for name, epochs in RESUMED.items():
        call(f"train --resume {folders[name]} --epochs {epochs} --no-report")
        found |= _arrays(f"{name} resumed", sorted((root / name / "checkpoints").glob("*"))[-1:])
    for name, attacks in ATTACKED.items():
        for options in attacks:
            call(f"attack {folders[name]} {options} --save-images")
            results = sorted((root / name / "attacks").glob("*.safetensors"))
            found |= _arrays(f"{name} {options}", results)
            for path in results:
                path.unlink()
    return found


def _arrays(what: str, paths: list[Path]) -> dict[str, str]:
    found = {}
    for number, path in enumerate(paths):
        with safe_open(path, framework="numpy") as file:
            for name in file.offset_keys():
                x = file.get_tensor(name)
                digest = hashlib.sha256(f"{x.dtype} {x.shape}".encode() + x.tobytes()).hexdigest()
                found[f"{what}: {number} {name}"] = digest
    return found


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        content = {"machine": machine(), "arrays": hashes(Path(folder))}
    target = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).with_suffix(".json"))
    target.write_text(json.dumps(content, indent=1) + "\n")
