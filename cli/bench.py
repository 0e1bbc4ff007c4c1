"""refimpl bench"""

from pathlib import Path
from typing import Any

import click

from refimpl import fcnn
from refimpl.backend import backend as make_backend
from refimpl.bench.race import pin
from refimpl.networks import NETWORKS

from . import options
from .console import note, report, table
from .session import blas_threads, find_data, open_run


@click.group()
def bench() -> None:
    """Time the same work by refimpl and by a peer, turn by turn in one process."""


def _shared(command: Any) -> Any:
    for option in reversed(
        (
            click.option(
                "--arch", type=click.Choice(list(NETWORKS)), default="fcnn", show_default=True, help="The architecture."
            ),
            click.option(
                "--against",
                type=click.Choice(["torch", "jax"]),
                multiple=True,
                default=("torch",),
                show_default=True,
                help="A peer; may be given twice.",
            ),
            click.option("--repeats", type=click.IntRange(min=1), default=5, show_default=True, help="Counted rounds."),
            click.option("--dataset", default="auto", show_default=True, help="As for train."),
            options.data_dir(),
            options.backend(),
            options.threads(),
            options.as_json(),
        )
    ):
        command = option(command)
    return command


@bench.command()
@_shared
def train(
    arch: str,
    against: tuple[str, ...],
    repeats: int,
    dataset: str,
    data_dir: Path | None,
    backend: str | None,
    threads: int | None,
    as_json: bool,
) -> None:
    """One epoch of plain SGD at the paper's sizes; shuffling and gathering count."""
    pin(threads or 1)
    from refimpl.bench import bench_train

    data = find_data(dataset, arch, data_dir)
    with blas_threads(threads or 1):
        rows = bench_train(
            data, make_backend(backend or "numpy"), against=against, threads=threads or 1, repeats=repeats
        )
    _show(rows, as_json)


@bench.command()
@_shared
@click.option("--run", type=options.FOLDER, help="Attack this run's net instead of an untrained one.")
def attack(
    arch: str,
    against: tuple[str, ...],
    repeats: int,
    dataset: str,
    data_dir: Path | None,
    backend: str | None,
    threads: int | None,
    as_json: bool,
    run: Path | None,
) -> None:
    """PGD-20 at eps 0.05 on every test image, without a random start."""
    pin(threads or 1)
    from refimpl.bench import bench_attack

    where = make_backend(backend or "numpy")
    if run:
        session = open_run(run, data_dir, where.name)
        data, params = session.data, session.params
    else:
        data, params = find_data(dataset, arch, data_dir), fcnn.init(where)
    with blas_threads(threads or 1):
        rows = bench_attack(data, params, where, against=against, threads=threads or 1, repeats=repeats)
    _show(rows, as_json)


@bench.command()
@click.option(
    "--examples", type=click.IntRange(min=2), default=10_000, show_default=True, help="The peer takes their square."
)
@click.option("--repeats", type=click.IntRange(min=1), default=5, show_default=True, help="Counted rounds.")
@options.threads()
@options.as_json()
def mi(examples: int, repeats: int, threads: int | None, as_json: bool) -> None:
    """Both bounds of the mutual information, against SciPy's cdist and logsumexp on the full matrix."""
    pin(threads or 1)
    from refimpl.bench import bench_information

    with blas_threads(threads or 1):
        rows = bench_information(examples, threads=threads or 1, repeats=repeats)
    _show(rows, as_json)


def _show(rows: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        report({"benchmarks": rows})
        return
    cells = []
    for r in rows:
        if "absent" in r:
            note(r["absent"])
            continue
        ours, theirs = (_seconds(r[f"{who}_s"], r[f"{who}_spread_s"]) for who in ("ours", "peer"))
        cells.append((r["peer"], ours, theirs, f"{r['ratio']:.2f}x", *_results(r)))
    if cells:
        note(f"{rows[0]['name']}; {rows[0]['threads']} thread(s), median of {rows[0]['repeats']} (fastest to slowest)")
        what = "accuracy" if "accuracy" in rows[0] else "bits, peak MB"
        table(("against", "ours, s", "theirs, s", "theirs/ours", f"our {what}", f"their {what}"), cells)


def _results(row: dict[str, Any]) -> tuple[str, str]:
    """What was computed in the time, ours and theirs."""
    if "accuracy" in row:
        return f"{row['accuracy']:.4f}", f"{row['peer_accuracy']:.4f}"
    bounds = ("{} to {}".format(*(f"{b:.6f}" for b in row[key])) for key in ("bounds", "peer_bounds"))
    peaks = (f"{row[key] / 1e6:.1f}" for key in ("peak_bytes", "peer_peak_bytes"))
    ours, theirs = (f"{b}, {peak}" for b, peak in zip(bounds, peaks, strict=True))
    return ours, theirs


def _seconds(median: float, spread: list[float]) -> str:
    return f"{median:.4f} ({spread[0]:.4f} to {spread[1]:.4f})"
