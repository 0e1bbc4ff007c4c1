"""refimpl measure"""

from pathlib import Path
from typing import Any

import click

from refimpl.atomic import write_text
from refimpl.errors import DataError, UsageError
from refimpl.low_rank import n_weights
from refimpl.measures import interval
from refimpl.measures.per_layer import information, layers
from refimpl.runs.results import to_json
from refimpl.runs.session import Session
from refimpl.training import score

from . import options
from .console import count, out, percent, printable, report, table, warn
from .derived import Option
from .help import SectionedCommand
from .session import blas_threads, open_run

MI = "Mutual information"


@click.command(cls=SectionedCommand)
@click.argument("run", type=options.FOLDER)
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
@options.as_json()
def measure(run: Path, mi: bool, sigma2: float | None, as_json: bool, **where: Any) -> None:
    """Measure the net in RUN: test accuracy, effective rank and effective sparsity of every layer.

    With --mi also I(x;t) and I(y;t), in bits, as a lower and an upper bound, over the test images. Writes
    RUN/measure.json.
    """
    if sigma2 is not None and not mi:
        raise UsageError("--sigma2 is the noise variance of --mi: give both")
    session = open_run(run, where)
    with blas_threads(session.config.blas_threads):
        measured = evaluate(session, (0.1 if sigma2 is None else sigma2) if mi else None)
    if as_json:
        report(measured)
    else:
        show(measured)


def evaluate(session: Session, sigma2: float | None = None) -> dict[str, Any]:
    """The measures, saved beside the run where that can be written."""
    network, params, test, backend = session.network, session.params, session.data.test, session.backend
    images, labels = backend.asarray(test.images), backend.asarray(test.labels, "int64")
    loss, correct = (float(number) for number in score(network, params, images, labels))
    measured: dict[str, Any] = {
        "run": str(session.run.folder),
        **session.origin,
        "dataset": session.data.name,
        "n": len(test.labels),
        "test_loss": loss,
        "accuracy": correct / len(test.labels),
        "accuracy_interval_95": list(interval(round(correct), len(test.labels))),
        "layers": layers(network, params),
        "weights": n_weights(params),
        "full_weights": n_weights(network.full(params)),
    }
    if sigma2 is not None:
        measured["sigma2"] = sigma2
        known = information(network, params, images, labels, sigma2)
        measured["layers"] = [layer | more for layer, more in zip(measured["layers"], [*known, {}], strict=True)]
    try:
        write_text(session.run.folder / "measure.json", to_json(measured) + "\n")
    except DataError as error:
        warn(f"the measures could not be saved: {error}")
    return measured


def show(measured: dict[str, Any]) -> None:
    low, high = measured["accuracy_interval_95"]
    after = count(measured["epoch"], "epoch")
    accuracy = f"{percent(measured['accuracy'])} ({100 * low:.2f} to {100 * high:.2f} %, 95 % interval)"
    said = f"{measured['run']}: test accuracy {accuracy} on {measured['dataset']} after {after}"
    out.print(printable(said), soft_wrap=True, markup=False)
    rows = []
    for layer in measured["layers"]:
        m, n = layer["shape"]
        rank, sparsity = layer["effective_rank"], layer["effective_sparsity"]
        most = (f"{min(m, n) ** 0.5:.2f}", f"{(m * n) ** 0.5:.1f}")
        rows.append((layer["name"], f"{m} x {n}", f"{rank:.3f}", most[0], f"{sparsity:.2f}", most[1]))
    table(("layer", "shape", "effective rank", "at most", "effective sparsity", "at most"), rows)
    factored = [layer for layer in measured["layers"] if "rank" in layer]
    if factored:
        table(
            ("layer", "rank", "condition number"),
            [(layer["name"], str(layer["rank"]), f"{layer['condition_number']:.4f}") for layer in factored],
        )
        weights, full = measured["weights"], measured["full_weights"]
        out.print(f"{weights:,} weights, {percent(weights / full)} of the {full:,} of full layers", soft_wrap=True)
    if "sigma2" in measured:
        known = [layer for layer in measured["layers"] if "mutual_information_lower" in layer]
        table(
            ("layer", "I(x;t), bits", "I(y;t), bits"),
            [(layer["name"], _range(layer, "mutual"), _range(layer, "label")) for layer in known],
        )


def _range(layer: dict[str, Any], which: str) -> str:
    return " to ".join(f"{layer[f'{which}_information_{end}']:.3f}" for end in ("lower", "upper"))
