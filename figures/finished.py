"""The finished runs of a reproduction, by method: what the paper's figures are drawn from."""

from pathlib import Path
from typing import Any

import numpy as np

from refimpl.errors import DataError
from refimpl.experiments import CONTROL, SOURCE
from refimpl.experiments.run_experiment import RESULT
from refimpl.parameters import as_matrix
from refimpl.runs.folder import Run
from refimpl.training.monitor import due

Line = dict[str, Any]
LABELS = {SOURCE: "natural", CONTROL: "natural, continued", "fgsm": "FGSM", "pgd": "PGD"}


def label(method: str) -> str:
    """A method's name as a reader of the figure knows it: `l1-0.01-nuclear-0.03` is l1 0.01, nuclear 0.03."""
    if method in LABELS:
        return LABELS[method]
    parts = method.split("-")
    return ", ".join(f"{kind} {lam}" for kind, lam in zip(parts[::2], parts[1::2], strict=True))


class Finished:
    """The runs under `root/ARCH-ASSUMPTION/`, named METHOD-seedSEED, that have a result."""

    def __init__(self, root: Path, assumption: str) -> None:
        self.root, self.assumption = root, assumption

    def of(self, arch: str, method: str) -> list[Run]:
        """By seed. Raises `DataError` where there are none."""
        folder = self.root / f"{arch}-{self.assumption}"
        found = [Run(path.parent) for path in sorted(folder.glob(f"{method}-seed*/{RESULT}"))]
        if not found:
            raise DataError(
                f"no finished run {folder}/{method}-seed*: `refimpl reproduce --out {self.root}` makes what is missing"
            )
        return found

    def lines(self, arch: str, method: str) -> list[list[Line]]:
        """For each seed the logs of the epochs that are monitored, and of the last."""
        histories = [run.history for run in self.of(arch, method)]
        return [[line for line in history if due(line["epoch"]) or line is history[-1]] for history in histories]

    def matrix(self, arch: str, method: str, layer: str) -> np.ndarray:
        """A layer's weights after training, of the first seed, as a matrix."""
        last = self.of(arch, method)[0].latest()
        assert last is not None, "a finished run has a checkpoint"
        return np.asarray(as_matrix(last.params[layer]))
