"""refimpl measure"""

from pathlib import Path
from typing import Any

import click

from refimpl.errors import UsageError
from refimpl.runs.measured import LayerMeasures, NetworkMeasures
from refimpl.runs.trained import SIGMA2, TrainedRun

from . import console, options
from .console import count, percent, printable, report, table
from .derived import Option
from .help import SectionedCommand
from .session import open_run

MI = "Mutual information"


@click.command(cls=SectionedCommand)
@click.argument("run", type=options.RUN)
@click.option(
    "--mi",
    cls=Option,
    section=MI,
    is_flag=True,
    help="Also bound the mutual information of each hidden layer with input and label.",
)
@click.option(
    "--sigma2",
    cls=Option,
    section=MI,
    type=float,
    show_default="0.1",
    help="Variance of the noise that is added to each unit.",
)
@options.where
@options.out("measure.json")
@options.as_json()
def measure(run: Path, mi: bool, sigma2: float | None, out: Path | None, as_json: bool, **where: Any) -> None:
    """Measure the net in RUN: test accuracy, effective rank and effective sparsity of every layer.

    With --mi also I(x;t) and I(y;t), in bits, as a lower and an upper bound, over the test images. Writes
    RUN/measure.json; what is found of zoo:NAME only where --out says.
    """
    if sigma2 is not None and not mi:
        raise UsageError("--sigma2 is the noise variance of --mi: give both")
    trained = open_run(run, where)
    found = trained.measure(sigma2=(SIGMA2 if sigma2 is None else sigma2) if mi else None, out=out)
    if as_json:
        report(trained.as_result(found))
    else:
        show(trained, found)


def show(trained: TrainedRun, found: NetworkMeasures) -> None:
    low, high = found.accuracy_interval_95
    after = count(trained.epoch, "epoch")
    accuracy = f"{percent(found.accuracy)} ({100 * low:.2f} to {100 * high:.2f} %, 95 % interval)"
    said = f"{trained.title}: test accuracy {accuracy} on {found.dataset} after {after}"
    console.out.print(printable(said), soft_wrap=True, markup=False)
    rows = []
    for layer in found.layers:
        m, n = layer.shape
        most = (f"{min(m, n) ** 0.5:.2f}", f"{(m * n) ** 0.5:.1f}")
        rank, sparsity = f"{layer.effective_rank:.3f}", f"{layer.effective_sparsity:.2f}"
        rows.append((layer.name, f"{m} x {n}", rank, most[0], sparsity, most[1]))
    table(("layer", "shape", "effective rank", "at most", "effective sparsity", "at most"), rows)
    factored = [layer for layer in found.layers if layer.rank is not None]
    if factored:
        table(
            ("layer", "rank", "condition number"),
            [(layer.name, str(layer.rank), f"{layer.condition_number:.4f}") for layer in factored],
        )
        weights, full = found.weights, found.full_weights
        console.out.print(
            f"{weights:,} weights, {percent(weights / full)} of the {full:,} of full layers", soft_wrap=True
        )
    known = [layer for layer in found.layers if layer.mutual_information_lower is not None]
    if known:
        table(
            ("layer", "I(x;t), bits", "I(y;t), bits"),
            [(layer.name, _range(layer, "mutual"), _range(layer, "label")) for layer in known],
        )


def _range(layer: LayerMeasures, which: str) -> str:
    return " to ".join(f"{getattr(layer, f'{which}_information_{end}'):.3f}" for end in ("lower", "upper"))
