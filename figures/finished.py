"""The finished runs of a reproduction, by method: what the paper's figures are drawn from."""

from pathlib import Path
from typing import Any

from refimpl.errors import DataError
from refimpl.experiments import CONTROL, SOURCE
from refimpl.experiments.run_experiment import RESULT
from refimpl.runs.folder import Run
from refimpl.training.monitor import due

Line = dict[str, Any]
FACTS = ("arch", "dataset", "assumption", "eps")
"""The first columns of a figure of the paper: the same in all rows, but for the budget."""

LABELS = {SOURCE: "natural", CONTROL: "natural, continued", "fgsm": "FGSM", "pgd": "PGD"}
TERMS = {"l1": "ℓ1"}


def label(method: str) -> str:
    """A method's name as a reader of the figure knows it: `l1-0.01-nuclear-0.03` is ℓ1 0.01, nuclear 0.03."""
    if method in LABELS:
        return LABELS[method]
    parts = method.split("-")
    return ", ".join(f"{TERMS.get(kind, kind)} {lam}" for kind, lam in zip(parts[::2], parts[1::2], strict=True))


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

    def facts(self, arch: str) -> tuple[str, str, str]:
        """Net, data set and assumption: the first of `FACTS`."""
        return arch, self.of(arch, SOURCE)[0].config.dataset, self.assumption

    def lines(self, arch: str, method: str) -> list[list[Line]]:
        """For each seed the logs of the epochs that are monitored, and of the last."""
        histories = [run.history for run in self.of(arch, method)]
        return [[line for line in history if due(line["epoch"]) or line is history[-1]] for history in histories]
