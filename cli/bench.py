"""refimpl bench"""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
from refimpl.networks.architectures import PAPERS

from refimpl.backend import Backend, Params
from refimpl.backend import backend as make_backend
from refimpl.bench.race import pin
from refimpl.data import Dataset, Split
from refimpl.low_rank.network import dense
from refimpl.networks.gradients import Network
from refimpl.runs.config import Config

from . import options
from .console import note, report, table
from .options import FOLDER
from .session import blas_threads, find_data, open_run


@click.group()
def bench() -> None:
    """Time the same work by refimpl and by a peer, turn by turn in one process."""


def _shared(command: Any) -> Any:
    for option in reversed(
        (
            click.option(
                "--arch", type=click.Choice(PAPERS), default="fcnn", show_default=True, help="The architecture."
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
            click.option(
                "--examples",
                type=click.IntRange(min=1),
                show_default="all; cnn 6400 to train, 640 to attack",
                help="The first so many.",
            ),
            click.option("--dataset", default="auto", show_default=True, help="As for train."),
            options.data_dir(),
            options.backend(),
            options.threads(),
            options.as_json(),
        )
    ):
        command = option(command)
    return command


@contextmanager
def _pinned(options: dict[str, Any]) -> Iterator[tuple[dict[str, Any], Backend, Dataset]]:
    """What every comparison takes, on as many processors as threads are asked for."""
    threads = options["threads"] or 1
    pin(threads)
    shared = {"against": options["against"], "threads": threads, "repeats": options["repeats"]}
    data = find_data(options["dataset"], options["arch"], options["data_dir"])
    with blas_threads(1 if options["arch"] == "cnn" else threads):
        yield shared, make_backend(options["backend"] or "numpy"), data


def _first(data: Dataset, options: dict[str, Any], cnn: int) -> Dataset:
    """As many examples as asked for; of what a CNN is slow on, a few."""
    n = options["examples"] or (cnn if options["arch"] == "cnn" else None)
    train, test = (Split(part.images[:n], part.labels[:n]) for part in (data.train, data.test))
    return replace(data, train=train, test=test)


def _net(
    run: Path | None, options: dict[str, Any], threads: int, backend: Backend, data: Dataset
) -> tuple[Network, Params, Dataset]:
    """Of a run, with its data; else an untrained one."""
    if run:
        session = open_run(run, options["data_dir"], backend.name, threads)
        return session.network, dense(session.params), session.data
    config = Config.of(arch=options["arch"], threads=threads)
    return config.network, config.init(backend), data


@bench.command()
@_shared
def train(**options: Any) -> None:
    """One epoch of plain SGD at the paper's sizes; shuffling and gathering count."""
    with _pinned(options) as (shared, backend, data):
        from refimpl.bench import bench_train

        rows = bench_train(_first(data, options, 6400), backend, arch=options["arch"], **shared)
    _show(rows, options["as_json"])


@bench.command()
@_shared
@click.option("--run", type=FOLDER, help="Attack this run's net instead of an untrained one.")
def attack(run: Path | None, **options: Any) -> None:
    """PGD-20 at eps 0.05 on the test images, without a random start."""
    with _pinned(options) as (shared, backend, data):
        from refimpl.bench import bench_attack

        network, params, data = _net(run, options, shared["threads"], backend, data)
        rows = bench_attack(_first(data, options, 640), network, params, backend, **shared)
    _show(rows, options["as_json"])


@bench.command()
@_shared
def nuclear(**options: Any) -> None:
    """The nuclear norm's gradient by itself, and what it adds to an epoch of training fcnn."""
    with _pinned(options) as (shared, backend, data):
        from refimpl.bench import bench_nuclear

        rows = bench_nuclear(_first(data, options, 6400), backend, **shared)
    _show(rows, options["as_json"])


@bench.command()
@_shared
@click.option("--run", type=FOLDER, help="Attack this run's net instead of an untrained one.")
def lora(run: Path | None, **options: Any) -> None:
    """A step of low-rank PGD, random start and all, against a step of PGD in the l_2 ball; bytes of an image's."""
    with _pinned(options) as (shared, backend, data):
        from refimpl.bench import bench_low_rank_attack

        network, params, data = _net(run, options, shared["threads"], backend, data)
        rows = bench_low_rank_attack(
            _first(data, options, 640), network, params, backend, threads=shared["threads"], repeats=shared["repeats"]
        )
    _show(rows, options["as_json"])


@bench.command()
@_shared
@click.option("--share", type=options.Share(), default="50%", show_default=True, help="Of the full rank that is kept.")
def low_rank(share: float, **options: Any) -> None:
    """An epoch of low-rank training against one of the dense net, by the readable and by the fast step."""
    with _pinned(options) as (shared, backend, data):
        from refimpl.bench import bench_low_rank_training

        rows = bench_low_rank_training(
            _first(data, options, 640), backend, arch=options["arch"], share=share,
            threads=shared["threads"], repeats=shared["repeats"],
        )  # fmt: skip
    _show(rows, options["as_json"])


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


@bench.command()
@click.option("--repeats", type=click.IntRange(min=1), default=5, show_default=True, help="Steps that count.")
@options.threads()
@options.as_json()
def cost(repeats: int, threads: int | None, as_json: bool) -> None:
    """How time and memory of the cnn grow: with batch size, filters, image size, and images evaluated."""
    pin(threads or 1)
    from refimpl.bench import bench_cost

    with blas_threads(1):
        rows = bench_cost(threads=threads or 1, repeats=repeats)
    if as_json:
        report({"costs": rows})
        return
    for varied, group in itertools.groupby(rows, key=lambda r: r["varied"]):
        *measured, fit = group
        cells = [(str(r["size"]), f"{1e3 * r['seconds']:.2f}", f"{r['peak_bytes'] / 1e6:.1f}") for r in measured]
        cells.append(("grows as its power", f"{fit['seconds_exponent']:.2f}", f"{fit['peak_bytes_exponent']:.2f}"))
        table((varied, "time, ms", "peak memory, MB"), cells)


def _show(rows: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        report({"benchmarks": rows})
        return
    for absent in (r for r in rows if "absent" in r):
        note(absent["absent"])
    timed = [r for r in rows if "absent" not in r]
    for name, group in itertools.groupby(timed, key=lambda r: r["name"]):
        _table(name, list(group))


def _table(name: str, rows: list[dict[str, Any]]) -> None:
    """A row for each peer; whatever else was found comes in pairs, `accuracy` and `peer_accuracy`."""
    note(f"{name}; {rows[0]['threads']} thread(s), median of {rows[0]['repeats']} (fastest to slowest)")
    results = [key for key in rows[0] if f"peer_{key}" in rows[0]]
    columns = ["against", "ours, s", "theirs, s", "theirs/ours"]
    titles = {key: "peak MB" if key == "peak_bytes" else key for key in results}
    columns += [f"{whose} {title}" for title in titles.values() for whose in ("our", "their")]
    cells = []
    for r in rows:
        ours, theirs = (_seconds(r[f"{who}_s"], r[f"{who}_spread_s"]) for who in ("ours", "peer"))
        found = [_result(key, r[f"{who}{key}"]) for key in results for who in ("", "peer_")]
        cells.append((r["peer"], ours, theirs, f"{r['ratio']:.2f}x", *found))
    table(columns, cells)


def _result(key: str, value: Any) -> str:
    if isinstance(value, list):
        return " to ".join(_result(key, part) for part in value)
    return f"{value / 1e6:.1f}" if key == "peak_bytes" else f"{value:.4g}"


def _seconds(median: float, spread: list[float]) -> str:
    return f"{median:.4f} ({spread[0]:.4f} to {spread[1]:.4f})"
