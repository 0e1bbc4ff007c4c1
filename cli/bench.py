"""refimpl bench"""

import itertools
from collections.abc import Sequence
from typing import Any

import click

from refimpl.bench import BENCHMARKS, Benchmark, NetworkBenchmark, Row
from refimpl.data import NAMES
from refimpl.networks import NETWORKS

from . import options
from .console import note, report, table
from .derived import Name, Option, names_of, options_of
from .help import SummarizedGroup

HIDDEN = ("name", "peer", "repeats", "threads", "device", "numpy_kernel")

COMPLETED = {"dataset": lambda: ("auto", *NAMES), "arch": NETWORKS.names}
"""Options whose values the shell completes."""


class Benchmarks(SummarizedGroup):
    """A command for each benchmark that is registered, with its settings as options."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(BENCHMARKS.names())

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        return _command(name, BENCHMARKS[name]) if name in BENCHMARKS else None


@click.group(cls=Benchmarks)
def bench() -> None:
    """Time the same work by refimpl and by a peer, in turn in one process."""


def _command(name: str, kind: type[Benchmark]) -> click.Command:
    own = options_of({name: kind}, "Options", ())
    for option in own:
        if option.name in COMPLETED:
            option.type = Name(COMPLETED[option.name])
    of_network = _of_network(own) if issubclass(kind, NetworkBenchmark) else []

    def call(as_json: bool, **given: Any) -> None:
        settings: dict[str, Any] = {key: value for key, value in given.items() if value is not None}
        network = {one.path[-1]: one.meant(settings.pop(one.name)) for one in of_network if one.name in settings}
        if network:
            settings["network_settings"] = network
        rows = kind(**settings).run(note)
        if as_json:
            report({"benchmarks": rows})
        else:
            _show(rows)

    params = [*own, *of_network, *options.parameters(options.as_json())]
    return click.Command(name, callback=call, params=params, help=kind.__doc__)


def _of_network(others: Sequence[Option]) -> list[Option]:
    """The options that `refimpl train` has for the settings of networks."""
    return options_of(dict(NETWORKS.items()), "Options", ("network",), taken=names_of(others))


def _show(rows: list[Row]) -> None:
    for absent in (row for row in rows if "absent" in row):
        note(absent["absent"])
    timed = [row for row in rows if "absent" not in row]
    for _, alike in itertools.groupby(timed, key=lambda row: [row["name"], *row]):
        group = list(alike)
        note(f"{group[0]['name']}; {_where(group[0])}")
        (_compared if "peer_s" in group[0] else _listed)(group)


def _where(row: Row) -> str:
    """What the times depend on, in words."""
    parts = [f"{row['threads']} thread{'s' if row['threads'] > 1 else ''}", row["device"]]
    parts += [f"BLAS kernel {row['numpy_kernel']}"] if row["numpy_kernel"] else []
    parts += [f"median of {row['repeats']} (fastest to slowest)"] if "repeats" in row else []
    return ", ".join(parts)


def _listed(rows: list[Row]) -> None:
    columns = [key for key in rows[0] if key not in HIDDEN]
    table([_title(key) for key in columns], [[_result(key, row[key]) for key in columns] for row in rows])


def _compared(rows: list[Row]) -> None:
    """A row for each peer; whatever else was found comes in pairs, `accuracy` and `peer_accuracy`."""
    results = [key for key in rows[0] if f"peer_{key}" in rows[0] and not key.endswith("_s")]
    columns = ["against", "ours, s", "theirs, s", "theirs/ours"]
    columns += [f"{whose} {_title(key)}" for key in results for whose in ("our", "their")]
    cells = []
    for row in rows:
        ours, theirs = (_seconds(row[f"{who}_s"], row[f"{who}_spread_s"]) for who in ("ours", "peer"))
        found = [_result(key, row[f"{who}{key}"]) for key in results for who in ("", "peer_")]
        cells.append((row["peer"], ours, theirs, f"{row['ratio']:.2f}x", *found))
    table(columns, cells)


def _title(key: str) -> str:
    return "peak MB" if key == "peak_bytes" else key.replace("_", " ")


def _result(key: str, value: Any) -> str:
    if isinstance(value, list):
        return " to ".join(_result(key, part) for part in value)
    if isinstance(value, str):
        return value
    return f"{value / 1e6:.1f}" if key == "peak_bytes" else f"{value:.4g}"


def _seconds(median: float, spread: list[float]) -> str:
    return f"{median:.4f} ({spread[0]:.4f} to {spread[1]:.4f})"
